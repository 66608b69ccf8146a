#pragma once
// Attention along paths of cells: the token tree's on CPU, and the audio encoder's.

#include <cstdint>

namespace ltu::kernels {

// One layer. The result of a position depends on its own path only, bit for bit: all scores, the exact
// maximum, the exponentials, then the weighted sum of V in path order.
struct AttentionBatch {
  const float *q;   // [position][heads * head_dim], already rotated
  int64_t q_stride; // in floats
  const void *k;    // [cell][kv_heads * head_dim], float32 or (if half) float16
  const void *v;
  int64_t kv_stride; // from one cell to the next, in elements of k and v
  bool half;
  int heads;
  int kv_heads;
  int head_dim; // any; a multiple of 16 is fastest
  float scale;
  const int32_t *const *cells; // per position: its path's cells, root first, itself last
  const int32_t *lengths;      // per position: length of its path, at least 1
  int positions;               // neighbours that share long prefixes are computed together
  float *out;                  // [position][heads * head_dim]
  int64_t out_stride;
};

// Called by every thread of a pool with its own number; no barrier inside.
void attend(const AttentionBatch &batch, int thread, int threads);

// Rotary position embedding of one row: x, out[heads][head_dim]; neighbours (a, b) become
// (a cos − b sin, a sin + b cos). turn[head_dim]: cos, sin of each pair in turn.
void rotate(const float *x, const float *turn, int heads, int head_dim, float *out);

} // namespace ltu::kernels
