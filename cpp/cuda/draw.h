#pragma once
#include "answer/sampler.h"
#include "cuda/card.h"

namespace ltu::cuda {

constexpr int most_candidates = 1024; // of a row; more (ties, top-k off) are left to the CPU

// A row of logits whose distribution is wanted.
struct RowToDraw {
  int32_t row;
  int32_t history, history_size; // where its ids begin among all rows' ids, and how many they are
  float temperature, top_p, repetition_penalty;
  int32_t top_k; // greedy is top_k 1 at temperature 1
};

// Whether the card can do it; whether it did is in `counts`.
bool can_draw(const Sampling &sampling, int64_t vocabulary);

// `distribution` of answer/sampler.h for rows of `logits` [, vocabulary], the same bits: row i's candidates
// are the first counts[i] of candidates [n, most_candidates]. counts[i] is 0 where the CPU must do it: more
// than most_candidates ties, or a logit that is no number. keys: [n, vocabulary] of scratch.
void distributions(Card &card, const float *logits, int64_t vocabulary, const int32_t *history,
                   const RowToDraw *rows, int64_t n, uint32_t *keys, Candidate *candidates, int32_t *counts);

} // namespace ltu::cuda
