#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace ltu {

struct Sampling { // neutral as it stands; a model file has its own
  float temperature = 1.0F;
  int32_t top_k = 0; // 0: off
  float top_p = 1.0F;
  float repetition_penalty = 1.0F;
  bool greedy = false; // the highest logit after the penalty

  bool operator==(const Sampling &) const = default;
};

struct Candidate {
  int32_t token;
  float probability;
  bool operator==(const Candidate &) const = default;
};

// The tokens that can be drawn, most probable first (equal ones by id), with probabilities that sum to 1:
// Hugging Face's processors in the order of `generate`: repetition penalty over `history` (each id once),
// temperature, top-k (ties at the k-th value stay), top-p (drops the tail whose ascending sum is at most 1 −
// p).
std::vector<Candidate> distribution(std::span<const float> logits, std::span<const int32_t> history,
                                    const Sampling &sampling);

// The model's own distribution over all tokens, by id.
std::vector<Candidate> softmax(std::span<const float> logits);

// What the untouched logits say: log-probability = logit − log_sum.
struct RawLogprobs {
  double log_sum;
  std::vector<std::pair<int32_t, double>> best; // token and log-probability, the best first, equal ones by id
};
RawLogprobs raw_logprobs(std::span<const float> logits, size_t best);

void remember(std::vector<int32_t> &history, int32_t token); // adds it unless it is there

double probability_of(const std::vector<Candidate> &candidates, int32_t token); // 0 when it can't be drawn

// A counter-based stream (Philox 4×32-10; Salmon et al., SC 2011): the draw of one repeat at one step depends
// on nothing else.
class RandomStream {
public:
  explicit RandomStream(uint64_t key) : key_(key) {}
  double uniform(uint64_t repeat, uint64_t step) const; // in [0, 1)

private:
  uint64_t key_;
};

// Mixes words into one key; order matters.
uint64_t stream_key(std::span<const uint64_t> words);

const Candidate &draw(const std::vector<Candidate> &candidates, double uniform);

} // namespace ltu
