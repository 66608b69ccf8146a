#pragma once
#include "answer/reading.h"
#include "answer/sampler.h"
#include "tree/clip_store.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace ltu {

// Independent answers, drawn token by token.
struct Sample {
  Sampling sampling;
  int64_t repeats = 1, first_repeat = 0;                // repeats first_repeat, first_repeat + 1, …
  std::shared_ptr<Reading> stop_when_decided = nullptr; // an answer ends as soon as its decision is decided
  bool stream = false;                                  // events for every token, too
  std::optional<int32_t> logprobs = std::nullopt;       // log-probabilities, with so many of the best ones
};

// The probability of each decision of a reading, or of each whole answer.
struct Exact {
  Sampling sampling;
  std::shared_ptr<Reading> reading = nullptr; // null: whole answers are wanted
  double epsilon = 1e-3;                      // this much may stay undecided
  int64_t node_budget = 4096;                 // so many positions may be computed
};

// The log-likelihood of each continuation, one answer for each.
struct Score {
  std::vector<std::vector<int32_t>> continuations;
  std::optional<Sampling> sampling = std::nullopt; // none: under the model's own distribution
  bool end = false;                                // of the end of the answer behind it, too
  bool by_token = false; // as if each token had been drawn: measures models that say nothing
};

struct Query {
  std::vector<int32_t> ids; // token ids; -1 where a whole clip stands
  std::vector<Clip> clips;  // one for each -1, in order
  std::variant<Sample, Exact, Score> mode;
  uint64_t seed = 0;
  int64_t max_new_tokens = 400;
  uint64_t caller = 0; // queries of different callers take turns
};

// Of one token: under the distribution that it was drawn from, and under the model's own.
struct Logprobs {
  double drawn = 0, raw = 0;
  std::vector<std::pair<int32_t, double>> best_drawn, best_raw; // token and log-probability, the best first
};

struct Event {
  enum class Kind { token, finished, failed } kind;
  int64_t query, repeat;
  int32_t token = -1;                  // token
  std::vector<int32_t> tokens = {};    // finished: without EOS
  double logprob = 0;                  // finished: of all drawn or given tokens, EOS included; token: its own
  std::vector<Logprobs> logprobs = {}; // where they were asked for: of the token, or of `tokens`
  // finished: "eos", "length", "decided", "given", "exact" or "cancelled"; failed: why
  std::string stop = {};
  std::vector<double> masses = {}; // exact: of each decision of the reading, then undecided
  int64_t nodes = 0;               // exact: positions computed
  int64_t found = 0;               // finished: positions of the prompt that were in the tree already
  std::vector<std::pair<std::vector<int32_t>, double>> answers =
      {}; // exact without a reading: with probability
};

} // namespace ltu
