// A block of threads takes a row: the operations of answer/sampler.cpp, each rounded as there, the sums in
// its order. Scores become integers of the same order (keys), so that the k-th highest is found digit by
// digit (radix select) and candidates are sorted as integers. Compiled without contraction.
#include "answer/exponential.h"
#include "cuda/device_code.h"
#include "cuda/draw.h"
#include <cmath>

namespace ltu::cuda {

namespace {

constexpr int threads = 512;
constexpr int digits = 256;

// Ascending as the floats are; −0 counts as 0.
__device__ uint32_t key_of(float score) {
  const uint32_t bits = __float_as_uint(score == 0 ? 0.0F : score);
  return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}
__device__ float score_of(uint32_t key) {
  return __uint_as_float(key & 0x80000000U ? key & 0x7fffffffU : ~key);
}

struct State {
  uint32_t histogram[digits];
  uint32_t threshold, mask;         // the digits of the k-th highest key that are known
  uint32_t above;                   // keys that are higher in them
  uint32_t count;                   // of candidates
  uint32_t broken;                  // a logit is no number
  uint64_t sorted[most_candidates]; // (inverted key, token): ascending is the candidates' order
  double weight[most_candidates];
  double sum;
  int32_t kept;
};

__device__ float score_at(const State &s, int i) {
  return score_of(~static_cast<uint32_t>(s.sorted[i] >> 32));
}

// The k-th highest key, eight bits at a time from the top.
__device__ void select(State &s, const uint32_t *keys, int vocabulary, uint32_t k) {
  const int t = threadIdx.x;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (t < digits)
      s.histogram[t] = 0;
    __syncthreads();
    for (int i = t; i < vocabulary; i += threads)
      if ((keys[i] & s.mask) == s.threshold)
        atomicAdd(&s.histogram[keys[i] >> shift & 255U], 1);
    __syncthreads();
    if (t == 0) {
      int digit = digits - 1;
      for (; digit > 0 && s.above + s.histogram[digit] < k; --digit)
        s.above += s.histogram[digit];
      s.threshold |= static_cast<uint32_t>(digit) << shift;
      s.mask |= 255U << shift;
    }
    __syncthreads();
  }
}

// Bitonic, over all places; those behind `count` hold the largest number.
__device__ void sort(State &s) {
  for (int i = threadIdx.x; i < most_candidates; i += threads)
    if (static_cast<uint32_t>(i) >= s.count)
      s.sorted[i] = ~uint64_t{0};
  __syncthreads();
  for (int size = 2; size <= most_candidates; size *= 2)
    for (int stride = size / 2; stride > 0; stride /= 2) {
      for (int pair = threadIdx.x; pair < most_candidates / 2; pair += threads) {
        const int low = 2 * pair - (pair & (stride - 1)), high = low + stride;
        const uint64_t a = s.sorted[low], b = s.sorted[high];
        if ((a > b) == ((low & size) == 0)) {
          s.sorted[low] = b;
          s.sorted[high] = a;
        }
      }
      __syncthreads();
    }
}

// One thread sums, in the order of answer/sampler.cpp.
__device__ void cut_tail(State &s, float top_p) {
  double sum = 0;
  int kept = static_cast<int>(s.count);
  for (int i = 0; i < kept; ++i)
    sum += s.weight[i];
  if (top_p < 1) {
    const double dropped = (1.0 - static_cast<double>(top_p)) * sum;
    double tail = 0;
    while (kept > 1 && tail + s.weight[kept - 1] <= dropped) {
      tail += s.weight[kept - 1];
      --kept;
    }
    sum -= tail;
  }
  s.sum = sum;
  s.kept = kept;
}

__global__ void __launch_bounds__(threads)
    distribution_of_row(const float *__restrict__ all_logits, int vocabulary,
                        const int32_t *__restrict__ all_history, const RowToDraw *__restrict__ rows,
                        uint32_t *__restrict__ all_keys, Candidate *__restrict__ all_candidates,
                        int32_t *__restrict__ counts) {
  __shared__ State s;
  const int t = threadIdx.x;
  const RowToDraw &row = rows[blockIdx.x];
  const float *logits = all_logits + static_cast<int64_t>(row.row) * vocabulary;
  const int32_t *history = all_history + row.history;
  uint32_t *keys = all_keys + static_cast<int64_t>(blockIdx.x) * vocabulary;
  Candidate *candidates = all_candidates + static_cast<int64_t>(blockIdx.x) * most_candidates;
  if (t == 0)
    s.threshold = s.mask = s.above = s.count = s.broken = 0;
  __syncthreads();

  for (int i = t; i < vocabulary; i += threads) {
    if (logits[i] != logits[i])
      s.broken = 1;
    keys[i] = key_of(divide(logits[i], row.temperature));
  }
  __syncthreads();
  for (int i = t; i < row.history_size; i += threads) { // each id stands there once
    const float logit = logits[history[i]];
    const float penalised =
        logit < 0 ? logit * row.repetition_penalty : divide(logit, row.repetition_penalty);
    keys[history[i]] = key_of(divide(penalised, row.temperature));
  }
  __syncthreads();
  if (row.top_k < vocabulary)
    select(s, keys, vocabulary, static_cast<uint32_t>(row.top_k));
  for (int i = t; i < vocabulary; i += threads)
    if (keys[i] >= s.threshold) {
      const uint32_t place = atomicAdd(&s.count, 1);
      if (place < most_candidates)
        s.sorted[place] = static_cast<uint64_t>(~keys[i]) << 32 | static_cast<uint32_t>(i);
    }
  __syncthreads();
  const bool left_to_cpu = s.broken || s.count > most_candidates;
  if (left_to_cpu) {
    if (t == 0)
      counts[blockIdx.x] = 0;
    return;
  }
  sort(s);
  const double highest = score_at(s, 0);
  if (!(highest - highest == 0)) { // infinite: the CPU says what is wrong
    if (t == 0)
      counts[blockIdx.x] = 0;
    return;
  }
  for (int i = t; i < static_cast<int>(s.count); i += threads)
    s.weight[i] = exponential(static_cast<double>(score_at(s, i)) - highest);
  __syncthreads();
  if (t == 0)
    cut_tail(s, row.top_p);
  __syncthreads();
  for (int i = t; i < s.kept; i += threads)
    candidates[i] = {static_cast<int32_t>(s.sorted[i] & 0xffffffffU),
                     static_cast<float>(divide(s.weight[i], s.sum))};
  if (t == 0)
    counts[blockIdx.x] = s.kept;
}

} // namespace

bool can_draw(const Sampling &sampling, int64_t vocabulary) {
  return sampling.greedy || (sampling.top_k > 0 && sampling.top_k <= most_candidates) ||
         vocabulary <= most_candidates;
}

void distributions(Card &card, const float *logits, int64_t vocabulary, const int32_t *history,
                   const RowToDraw *rows, int64_t n, uint32_t *keys, Candidate *candidates, int32_t *counts) {
  launch(distribution_of_row, dim3(static_cast<unsigned>(n)), threads, 0, card.stream(), logits,
         static_cast<int>(vocabulary), history, rows, keys, candidates, counts);
  card.check_launch();
}

} // namespace ltu::cuda
