#include "engine/step_width.h"
#include <algorithm>
#include <cmath>

namespace ltu {

namespace {

constexpr double longest_wait = 0.1;          // s, for the next token of an answer beside a prompt
constexpr int64_t least_prompt_positions = 8; // which a step computes almost for the price of one
constexpr double memory_of_speed = 0.7; // the share of what was known that stays when a step is measured
constexpr int64_t most_measured_rows = 16;
constexpr int64_t steps_before_measuring = 16;
constexpr double draft_share = 0.8; // of the drafts that are drawn, for the choice of a step's width

} // namespace

int64_t StepWidth::prompt_positions(bool streaming) const {
  if (!streaming || seconds_per_position_ <= 0)
    return options_.prompt_positions;
  const auto bound = static_cast<int64_t>(longest_wait / seconds_per_position_);
  return std::min(options_.prompt_positions, std::max(least_prompt_positions, bound));
}

void StepWidth::learn_prompt(int64_t positions, double seconds) {
  if (positions < least_prompt_positions)
    return;
  const double now = seconds / static_cast<double>(positions);
  seconds_per_position_ =
      seconds_per_position_ > 0 ? memory_of_speed * seconds_per_position_ + (1 - memory_of_speed) * now : now;
}

int64_t StepWidth::widest_draft_step() const {
  return options_.draft_rows ? options_.draft_rows : most_measured_rows;
}

int64_t StepWidth::draft_rows(const std::function<double(int64_t rows)> &seconds) {
  if (options_.draft_rows)
    return options_.draft_rows;
  if (measured_)
    return *measured_;
  if (++narrow_steps_ < steps_before_measuring) // it takes longer than short work would gain
    return 1;
  measured_ = 1;
  double best = 0;
  for (const int64_t rows : {1, 2, 3, 4, 6, 8, 12, 16}) {
    const double tokens = (1 - std::pow(draft_share, rows)) / (1 - draft_share);
    const double rate = tokens / seconds(rows);
    if (rate > best) {
      best = rate;
      measured_ = rows;
    }
  }
  return *measured_;
}

} // namespace ltu
