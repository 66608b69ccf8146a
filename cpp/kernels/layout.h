#pragma once
// How weights and activations lie in memory, for all variants.

#include <cstddef>
#include <cstdint>

#include "kernels.h"

namespace ltu::kernels {

constexpr int kLanes = 16;       // rows of a panel
constexpr int kBlock = 32;       // weights and activations that share a scale
constexpr int kSuperBlock = 256; // of K-quants
constexpr int kGroups = 8;       // of a block: 4 neighbours in k, the bytes of one lane

// A panel of a float type is [k][16 rows]. One of a quantised type is [scales][blocks], each part starting at
// a multiple of 64 bytes. A block is made of vectors of 64 bytes: byte 4 * row + j holds k = 4 * group + j.
//   q8_0        vector g = group g, in two's complement
//   4 bits      vector i = group 2i in the low half of each byte, group 2i + 1 in the high half
//   q5_k        then one vector: bit g belongs to group g
//   q6_k        then two vectors: vector h, bits 2g and 2g + 1 belong to group 4h + g
// Scales, 16 rows side by side, float16 unless said otherwise:
//   q8_0, q4_0  scale of each block
//   q4_1        scale and minimum of each block
//   q4_k, q5_k  per super-block: scale, scale of the minimums, uint8 scales of 8 blocks, uint8 minimums of 8
//   q6_k        per super-block: scale, int8 scales of 16 half blocks
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

constexpr Layout layout(WeightType type) {
  switch (type) {
  case WeightType::f32:
    return {1, 4};
  case WeightType::f16:
    return {1, 2};
  case WeightType::bf16:
    return {1, 2};
  case WeightType::q8_0:
    return {kBlock, 34, 512, kBlock, 32};
  case WeightType::q4_0:
    return {kBlock, 18, 256, kBlock, 32};
  case WeightType::q4_1:
    return {kBlock, 20, 256, kBlock, 64};
  case WeightType::q4_k:
    return {kSuperBlock, 144, 256, kSuperBlock, 64 + 256};
  case WeightType::q5_k:
    return {kSuperBlock, 176, 320, kSuperBlock, 64 + 256};
  case WeightType::q6_k:
    return {kSuperBlock, 210, 384, kSuperBlock, 32 + 256};
  }
  return {1, 4};
}

constexpr bool is_float(WeightType type) {
  return layout(type).file_block == 1;
}

// Activations of a float type are float32 [n][stride]. The stride is an odd number of cache lines, so that
// the columns of a tile don't fall into the same set of the first cache.
constexpr int64_t float_stride(int64_t k) {
  return ((k + 15) / 16 | 1) * 16;
}

// Activations of a quantised type are [n][stride] of these.
struct alignas(64) ActivationBlock {
  int8_t values[kBlock];
  float scale;
  float scaled_sum;    // scale * sum of values
  int32_t minus_8_sum; // what weights stored with an offset of 8, 128 or 32 have too much
  int32_t minus_128_sum;
  int32_t minus_32_sum[2]; // of each half
};
static_assert(sizeof(ActivationBlock) == 64);

constexpr int64_t block_stride(int64_t k) {
  return k / kBlock | 1;
}

} // namespace ltu::kernels
