#include "answer/sampler.h"
#include "answer/exponential.h"
#include "support/error.h"
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <string>

namespace ltu {

namespace {

bool before(const Candidate &a,
            const Candidate &b) { // the higher first; `probability` holds a score until the end
  return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
}

// The k-th highest score; −∞ when top-k is off.
float kth_highest(const std::vector<float> &scores, int32_t k) {
  if (k <= 0 || static_cast<size_t>(k) >= scores.size())
    return -std::numeric_limits<float>::infinity();
  std::priority_queue<float, std::vector<float>, std::greater<>> highest;
  for (const float score : scores)
    if (highest.size() < static_cast<size_t>(k)) {
      highest.push(score);
    } else if (score > highest.top()) {
      highest.pop();
      highest.push(score);
    }
  return highest.top();
}

[[noreturn]] void refuse_nan() {
  throw Error("the model computed no number (NaN): the model file or the audio embeddings are broken");
}

bool has_nan(std::span<const float> values) {
  bool found = false;
  for (const float value : values)
    found |= value != value;
  return found;
}

} // namespace

std::vector<Candidate> distribution(std::span<const float> logits, std::span<const int32_t> history,
                                    const Sampling &sampling) {
  if (has_nan(logits))
    refuse_nan();
  std::vector<float> scores(logits.begin(), logits.end());
  for (const int32_t token : history) { // from the untouched logit, so a second time changes nothing
    const float logit = logits[static_cast<size_t>(token)];
    scores[static_cast<size_t>(token)] =
        logit < 0 ? logit * sampling.repetition_penalty : logit / sampling.repetition_penalty;
  }
  if (sampling.greedy) {
    const auto highest = std::max_element(scores.begin(), scores.end());
    return {{static_cast<int32_t>(highest - scores.begin()), 1.0F}};
  }
  for (float &score : scores)
    score /= sampling.temperature;

  const float threshold = kth_highest(scores, sampling.top_k);
  std::vector<Candidate> kept;
  for (size_t i = 0; i < scores.size(); ++i)
    if (scores[i] >= threshold)
      kept.push_back({static_cast<int32_t>(i), scores[i]});
  std::sort(kept.begin(), kept.end(), before);

  const double highest = kept.front().probability;
  if (!std::isfinite(highest))
    throw Error("the logits overflow at temperature " + std::to_string(sampling.temperature) +
                ": use a higher one, or greedy");
  std::vector<double> weights(kept.size());
  double sum = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    weights[i] = exponential(static_cast<double>(kept[i].probability) - highest);
    sum += weights[i];
  }
  if (sampling.top_p < 1) {
    const double dropped = (1.0 - static_cast<double>(sampling.top_p)) * sum;
    double tail = 0;
    while (kept.size() > 1 && tail + weights[kept.size() - 1] <= dropped) {
      tail += weights[kept.size() - 1];
      kept.pop_back();
    }
    sum -= tail;
  }
  for (size_t i = 0; i < kept.size(); ++i)
    kept[i].probability = static_cast<float>(weights[i] / sum);
  return kept;
}

std::vector<Candidate> softmax(std::span<const float> logits) {
  if (has_nan(logits))
    refuse_nan();
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits)
    sum += std::exp(static_cast<double>(logit) - highest);
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    candidates.push_back({static_cast<int32_t>(i),
                          static_cast<float>(std::exp(static_cast<double>(logits[i]) - highest) / sum)});
  return candidates;
}

RawLogprobs raw_logprobs(std::span<const float> logits, size_t best) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits)
    sum += std::exp(static_cast<double>(logit) - highest);
  RawLogprobs raw{.log_sum = highest + std::log(sum), .best = {}};
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  best = std::min(best, order.size());
  const auto above = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(best), order.end(), above);
  for (size_t i = 0; i < best; ++i)
    raw.best.emplace_back(order[i], static_cast<double>(logits[static_cast<size_t>(order[i])]) - raw.log_sum);
  return raw;
}

void remember(std::vector<int32_t> &history, int32_t token) {
  if (std::find(history.begin(), history.end(), token) == history.end())
    history.push_back(token);
}

double probability_of(const std::vector<Candidate> &candidates, int32_t token) {
  for (const Candidate &c : candidates)
    if (c.token == token)
      return c.probability;
  return 0;
}

double RandomStream::uniform(uint64_t repeat, uint64_t step) const {
  uint32_t c[4] = {static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32),
                   static_cast<uint32_t>(repeat), static_cast<uint32_t>(repeat >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key_), k1 = static_cast<uint32_t>(key_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    std::copy_n(next, 4, c);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  const uint64_t bits = (static_cast<uint64_t>(c[0]) << 32 | c[1]) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

uint64_t stream_key(std::span<const uint64_t> words) {
  uint64_t key = 0x9E3779B97F4A7C15;
  for (const uint64_t word : words) { // splitmix64's finaliser
    key = (key ^ word) + 0x9E3779B97F4A7C15;
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9;
    key = (key ^ (key >> 27)) * 0x94D049BB133111EB;
    key ^= key >> 31;
  }
  return key;
}

const Candidate &draw(const std::vector<Candidate> &candidates, double uniform) {
  double sum = 0;
  for (const Candidate &c : candidates) {
    sum += c.probability;
    if (uniform < sum)
      return c;
  }
  return candidates.back(); // the rounding of the sum
}

} // namespace ltu
