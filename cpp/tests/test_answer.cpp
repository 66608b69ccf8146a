// Sampler, reading and walk against sums done by hand.
#include "answer/reading.h"
#include "answer/sampler.h"
#include "answer/walk.h"
#include "check.h"
#include "support/error.h"
#include <cmath>
#include <limits>
#include <memory>

using namespace ltu;

namespace {

bool near(double a, double b) {
  return std::abs(a - b) < 1e-6;
}

void processors_apply_in_hugging_faces_order() {
  // Penalty 2 on token 0 (2 → 1) and token 3 (−1 → −2), temperature ½, top-k 2: tokens 1 and 0 with logits
  // 4, 2.
  const std::vector<float> logits{2, 2, 0.5, -1};
  const auto kept = distribution(logits, std::vector<int32_t>{0, 3},
                                 {.temperature = 0.5F, .top_k = 2, .top_p = 1, .repetition_penalty = 2});
  CHECK(kept.size() == 2);
  CHECK(kept[0].token == 1 && kept[1].token == 0);
  CHECK(near(kept[0].probability, 1 / (1 + std::exp(-2.0))));
}

void ties_at_the_kth_value_stay_and_the_best_always_does() {
  const std::vector<float> logits{1, 1, 1, 0};
  CHECK(distribution(logits, {}, {.top_k = 2}).size() == 3);
  CHECK(distribution(logits, {}, {.top_p = 1e-9F}).size() == 1);
  CHECK(distribution(logits, {}, {.greedy = true})[0].token == 0);
}

void what_is_no_number_is_refused() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Sampling &how : {Sampling{}, Sampling{.top_k = 1}, Sampling{.greedy = true}})
    CHECK_THROWS(distribution(std::vector<float>{1, nan, 0}, {}, how), Error);
  CHECK_THROWS(softmax(std::vector<float>{nan, 0}), Error);
  CHECK_THROWS(distribution(std::vector<float>{90, 1}, {}, {.temperature = 1e-38F}), Error);
}

void raw_logprobs_sum_to_one_and_come_best_first() {
  const std::vector<float> logits{0, 3, 3, -2};
  const RawLogprobs raw = raw_logprobs(logits, 9);
  double sum = 0;
  for (const auto &[token, logprob] : raw.best)
    sum += std::exp(logprob);
  CHECK(near(sum, 1));
  CHECK(raw.best[0].first == 1 && raw.best[1].first == 2 && raw.best[3].first == 3);
  CHECK(near(raw.best[0].second, 3 - raw.log_sum));
}

void streams_depend_on_key_repeat_and_step_alone() {
  const RandomStream a(1), b(1), c(2);
  CHECK(a.uniform(3, 4) == b.uniform(3, 4));
  CHECK(a.uniform(3, 4) != a.uniform(4, 3));
  CHECK(a.uniform(0, 0) != c.uniform(0, 0));
  double sum = 0;
  for (uint64_t i = 0; i < 100'000; ++i)
    sum += a.uniform(i, 0);
  CHECK(std::abs(sum / 100'000 - 0.5) < 4 / std::sqrt(12.0 * 100'000));
}

// "a" is decision 0, "b" decision 1, "c" decision 2, anything else decision 3; the earlier in the answer
// wins.
std::shared_ptr<Reading> letters() {
  ReadingProgram program{.rules = {}, .positions = {}, .decisions = 4, .by_position = true};
  for (const char letter : {'a', 'b', 'c'}) {
    const auto rule = static_cast<int32_t>(program.rules.size());
    program.rules.push_back({rule, ReadingProgram::At::any, {rule}});
    ReadingProgram::Position position{.rule = rule, .last = true, .bytes = {}, .follow = {}};
    position.bytes[static_cast<unsigned char>(letter)] = true;
    program.positions.push_back(position);
  }
  return std::make_shared<Reading>(std::move(program));
}

void a_reading_can_have_any_number_of_outcomes() {
  const auto reading = letters();
  const auto read = [&](std::string_view text) { return reading->at_end(reading->run(0, text)); };
  CHECK(read("a") == 0 && read("x b, a") == 1 && read("c") == 2);
  CHECK(read("") == 3 && read("abc") == 3); // words, not letters inside them
  CHECK(reading->decided(reading->run(0, "b ")) == 1);
  CHECK(reading->decided(reading->run(0, "b")) == undecided); // may become "bird"
}

// Every node gives the letters a, b, x and the end with ½, ¼, ⅛, ⅛.
void a_walk_sums_the_probability_of_each_outcome() {
  const std::vector<std::string> bytes{"", "a ", "b ", "x "};
  const std::vector<Candidate> candidates{{1, .5F}, {2, .25F}, {3, .125F}, {0, .125F}};
  for (const int64_t room : {1, 3, 1000}) {
    Cells cells(100'000);
    TokenTree tree(cells);
    const auto reading = letters();
    Walk walk(reading.get(), bytes, {0}, {.epsilon = 1e-6, .nodes = 1000, .new_tokens = 50});
    Node *start = tree.child(tree.root(), 9);
    tree.hold(start);
    walk.expand(tree, start, 0, 0, 1, candidates);
    while (!walk.finished())
      for (const Walk::Item &item : walk.take(room)) {
        Node *node = tree.child(item.parent, item.token);
        tree.hold(node);
        tree.release(item.parent);
        walk.expand(tree, node, item.state, item.drawn, item.mass, candidates);
        tree.release(node);
      }
    const std::vector<double> masses = walk.masses(); // "x" repeats: sums of ⅛ⁿ
    CHECK(masses.size() == 5);
    CHECK(near(masses[0], .5 / .875) && near(masses[1], .25 / .875) && masses[2] == 0);
    CHECK(near(masses[3], .125 / .875) && masses[4] < 1e-6);
    walk.abandon(tree);
    tree.release(start);
    CHECK(cells.available() == 100'000);
  }
}

// Two tokens end an answer: both count as its end, and neither is part of it.
void a_walk_ends_answers_at_every_end_token() {
  const std::vector<std::string> bytes{"", "a ", "b ", ""};
  Cells cells(1000);
  TokenTree tree(cells);
  Walk walk(nullptr, bytes, {0, 3}, {.epsilon = 1e-6, .nodes = 100, .new_tokens = 50});
  Node *start = tree.child(tree.root(), 9);
  tree.hold(start);
  walk.expand(tree, start, 0, 0, 1, {{0, .5F}, {3, .25F}, {1, .25F}});
  CHECK(walk.answers().size() == 2);
  CHECK(walk.answers()[0].first.empty() && walk.answers()[1].first.empty());
  CHECK(near(walk.answers()[0].second, .5) && near(walk.answers()[1].second, .25));
  CHECK(near(walk.masses().back(), .25)); // "a" goes on
  walk.abandon(tree);
  tree.release(start);
}

} // namespace

int main() {
  processors_apply_in_hugging_faces_order();
  ties_at_the_kth_value_stay_and_the_best_always_does();
  what_is_no_number_is_refused();
  raw_logprobs_sum_to_one_and_come_best_first();
  streams_depend_on_key_repeat_and_step_alone();
  a_reading_can_have_any_number_of_outcomes();
  a_walk_sums_the_probability_of_each_outcome();
  a_walk_ends_answers_at_every_end_token();
}
