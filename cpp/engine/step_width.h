#pragma once
#include <cstdint>
#include <functional>
#include <optional>

namespace ltu {

// How many rows a step has: of answers, of prompts, and of drafts that fill it up.
class StepWidth {
public:
  struct Options {
    int64_t answers = 128;          // that advance in one step; the rest wait for their turn
    int64_t answer_rows = 128;      // of one step; answers that have said the same share a row
    int64_t prompt_positions = 256; // of one step: bounds its time and memory
    int64_t rows = 0;               // of both; prompts fill what answers leave; 0: so many of each
    int64_t draft_rows = 0;         // rows up to which drafts fill a step; 0: measured; 1: no drafts
  };
  explicit StepWidth(Options options) : options_(options) {}

  int64_t answers() const { return options_.answers; }
  int64_t answer_rows() const { return options_.answer_rows; }
  int64_t rows() const {
    return options_.rows ? options_.rows : options_.answer_rows + options_.prompt_positions;
  }
  bool drafts() const { return options_.draft_rows != 1; }
  // While somebody waits for the next token of an answer, a step's prompts take a tenth of a second at most.
  int64_t prompt_positions(bool streaming) const;
  void learn_prompt(int64_t positions, double seconds); // what a step took that computed prompts
  // The widest step that drafts can fill, before it is measured.
  int64_t widest_draft_step() const;
  // The number of rows at which a step with drafts yields most tokens a second. It is measured once, when
  // there were enough steps to repay it; until then 1. `seconds`: of a step of so many rows, infinity where
  // there is no room for it.
  int64_t draft_rows(const std::function<double(int64_t rows)> &seconds);

private:
  Options options_;
  std::optional<int64_t> measured_;
  int64_t narrow_steps_ = 0;          // that drafts could have filled
  double seconds_per_position_ = 0.0; // of prompts, lately; 0: not known
};

} // namespace ltu
