#pragma once
#include "cuda/card.h"
#include "support/portable.h"

namespace ltu::cuda {

// What LLaMA does to each row by itself, between products. A row's result depends on nothing but the row.
// Widths are multiples of 4.

// x [n, width]: row i is token places[i] of the table [vocabulary, width], or row −1 − places[i] of `heard`.
void embed(Card &card, const int32_t *places, const Half *table, const float *heard, float *x, int64_t n,
           int64_t width);

// y = x / sqrt(mean(x²) + epsilon) × weight
void rms_norm(Card &card, const float *x, const float *weight, float epsilon, Half *y, int64_t n,
              int64_t width);

struct Heads {
  int64_t queries, keys, size; // number of query heads, of key heads, elements of each

  LTU_PORTABLE int64_t columns() const {
    return (queries + 2 * keys) * size;
  } // of queries, keys and values side by side
};

// Rotates queries and keys by the turns of their depths (RoPE of neighbouring elements); keys and values go
// into their cells. qkv: [n, columns]; bias: [columns] or null; turns: [context, size / 2] cosines and sines.
void rotate(Card &card, const float *qkv, const float *bias, const float *turns, const int32_t *depths,
            const int32_t *cells, const Heads &heads, Half *queries, Half *keys, Half *values, int64_t n);

// y [n, width] = silu(gate) × up, from gate and up side by side: [n, 2 width]
void swiglu(Card &card, const float *gate_up, Half *y, int64_t n, int64_t width);

// Row i of the results is row chosen[i]: of x [, width] and of attended [, attended_width].
void gather(Card &card, const int32_t *chosen, const float *x, float *x_chosen, int64_t width,
            const Half *attended, Half *attended_chosen, int64_t attended_width, int64_t n);

} // namespace ltu::cuda
