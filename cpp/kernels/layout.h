#pragma once
// How weights and activations lie in memory, for all variants.

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace ltu::kernels {

constexpr int lane_count = 16;          // rows of a panel
constexpr int block_length = 32;        // weights and activations that share a scale
constexpr int super_block_length = 256; // of K-quants

// A panel of a float type is [k][16 rows]. One of a quantised type is [scales][blocks], each part starting at
// a multiple of 64 bytes; scales are records that cover some weights, 16 rows side by side. A block is made
// of vectors of 64 bytes: byte 4 * row + j holds k = 4 * group + j. types/ says what the vectors and records
// are.
struct Layout {
  int64_t file_block;        // weights per block in a file
  int64_t file_bytes;        // its bytes
  int64_t block_bytes = 0;   // of a block in a panel
  int64_t scale_weights = 0; // weights that one record of scales covers
  int64_t scale_bytes = 0;   // of such a record

  size_t scales_bytes(int64_t columns) const { // of a panel
    return (columns / scale_weights * scale_bytes + 63) / 64 * 64;
  }
};

// Activations of a float type are float32 [n][stride]. The stride is an odd number of cache lines, so that
// the columns of a tile don't fall into the same set of the first cache.
constexpr int64_t float_stride(int64_t k) {
  return ((k + 15) / 16 | 1) * 16;
}

// Activations of a quantised type are [n][stride] of these.
struct alignas(64) ActivationBlock {
  int8_t values[block_length];
  float scale;
  float scaled_sum;    // scale * sum of values
  int32_t minus_8_sum; // what weights stored with an offset of 8, 128 or 32 have too much
  int32_t minus_128_sum;
  int32_t minus_32_sum[2]; // of each half
};
static_assert(sizeof(ActivationBlock) == 64);

constexpr int64_t block_stride(int64_t k) {
  return k / block_length | 1;
}

} // namespace ltu::kernels
