#pragma once
#include "cuda/card.h"

namespace ltu::cuda {

// What the audio encoder does to each patch by itself, between products. Widths are multiples of 4.

// The pixels of patch (f, t) of features [clips, frames, mels], mel by mel, as row (clip, f, t) of `pixels`.
void cut_patches(Card &card, const float *features, Half *pixels, int64_t clips, int64_t frames, int64_t mels,
                 int64_t patch);

// x [n, width] += bias + positions[row % patches] + modality
void place_patches(Card &card, float *x, const float *bias, const float *positions, const float *modality,
                   int64_t n, int64_t patches, int64_t width);

struct LayerNorm { // weight and bias [width], or null: neither
  const float *weight, *bias;
  float epsilon;
};

// x [n, width] += bias [width], if there is one; y = layer_norm(x)
void add_and_norm(Card &card, float *x, const float *bias, const LayerNorm &norm, Half *y, int64_t n,
                  int64_t width);

// queries, keys and values [n, width] of qkv [n, 3 width] + bias
void split_heads(Card &card, const float *qkv, const float *bias, Half *queries, Half *keys, Half *values,
                 int64_t n, int64_t width);

// y [n, width] = gelu(x + bias), the exact one
void gelu(Card &card, const float *x, const float *bias, Half *y, int64_t n, int64_t width);

// Mean of layer_norm(x + bias) over all rows of patches and over `pooled` neighbours in time:
// x [clips, rows, columns, width] → y [clips, columns / pooled, width]
void pool_patches(Card &card, const float *x, const float *bias, const LayerNorm &norm, float *y,
                  int64_t clips, int64_t rows, int64_t columns, int64_t pooled, int64_t width);

// y [n, width] = layer_norm(x / divisor), without weight and bias
void scale_and_norm(Card &card, const float *x, float divisor, float epsilon, Half *y, int64_t n,
                    int64_t width);

// x [n, width] += bias [width]
void add_bias(Card &card, float *x, const float *bias, int64_t n, int64_t width);

} // namespace ltu::cuda
