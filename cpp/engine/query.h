#pragma once
#include "answer/reading.h"
#include "answer/sampler.h"
#include "tree/clip_store.h"
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace ltu {

struct Query {
  enum class Mode {
    sample,
    exact,
    score, // each continuation, placed as a whole
    forced // each continuation, token by token as if it had been drawn: measures models that say nothing
  };
  std::vector<int32_t> ids; // token ids; -1 where a whole clip stands
  std::vector<Clip> clips;  // one for each -1, in order
  Mode mode = Mode::sample;
  int64_t repeats = 1; // sample
  uint64_t seed = 0;
  Sampling sampling;
  bool tempered = true; // score: under the sampler's distribution, or under the model's own
  int64_t max_new_tokens = 400;
  bool stream = false; // events for every token, not only for finished answers
  // exact: of the answers, null: whole answers are wanted; sample: stop as soon as it has decided
  std::shared_ptr<Reading> reading = nullptr;
  double epsilon = 1e-3;                                // exact: this much may stay undecided
  int64_t node_budget = 4096;                           // exact: so many positions may be computed
  std::vector<std::vector<int32_t>> continuations = {}; // score, forced: one answer for each

  bool is_given() const { return mode == Mode::score || mode == Mode::forced; }
  bool by_token() const { return mode == Mode::sample || mode == Mode::forced; }
};

struct Event {
  enum class Kind { token, finished } kind;
  int64_t query, repeat;
  int32_t token = -1;                // token
  std::vector<int32_t> tokens = {};  // finished: without EOS
  double logprob = 0;                // finished: of all drawn or given tokens, EOS included
  const char *stop = "";             // finished: "eos", "length", "decided", "given", "exact" or "cancelled"
  std::array<double, 4> masses = {}; // exact: yes, no, neither, undecided
  int64_t nodes = 0;                 // exact: positions computed
  std::vector<std::pair<std::vector<int32_t>, double>> answers =
      {}; // exact without a reading: with probability
};

} // namespace ltu
