#pragma once
// Scales of the K-quants of 4 and 5 bits. In a file: float16 scale, float16 scale of the minimums, 12 bytes
// with scale and minimum (6 bits each) of 8 blocks. In a panel: two rows of float16, uint8 scales of 8
// blocks, uint8 minimums of 8.

#include "kernels/types/type.h"

namespace ltu::kernels {

struct KScales : QuantisedType {
  static constexpr bool has_minimum = true;
  static constexpr int64_t scale_bytes = 64 + 2 * 8 * lane_count; // of a panel's record
  static constexpr int scales_at = 64, minimums_at = 64 + 8 * lane_count;

  static void write_scales(const uint8_t *file_block, int lane, uint8_t *scales) {
    write_half(scales, 0, lane, file_block);
    write_half(scales, 1, lane, file_block + 2);
    const uint8_t *packed = file_block + 4;
    for (int block = 0; block < 8; block++) {
      uint8_t &scale = scales[scales_at + block * lane_count + lane];
      uint8_t &minimum = scales[minimums_at + block * lane_count + lane];
      if (block < 4) {
        scale = packed[block] & 63;
        minimum = packed[block + 4] & 63;
      } else {
        scale = static_cast<uint8_t>((packed[block + 4] & 15) | (packed[block - 4] >> 6) << 4);
        minimum = static_cast<uint8_t>((packed[block + 4] >> 4) | (packed[block] >> 6) << 4);
      }
    }
  }

  static ScaleAndOffset scale(const uint8_t *scales, int lane, int k) {
    const int block = k / block_length;
    return {half_of(scales, 0, lane) * scales[scales_at + block * lane_count + lane],
            -half_of(scales, 1, lane) * scales[minimums_at + block * lane_count + lane]};
  }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

struct LoadingKScales {
  // The minimum with its sign turned.
  LTU_INLINE static void load_scales(const uint8_t *scales, int64_t block, int, Floats &scale,
                                     Floats &offset) {
    constexpr int blocks = super_block_length / block_length;
    scales += block / blocks * KScales::scale_bytes;
    const uint8_t *part = scales + block % blocks * lane_count;
    scale = mul(half_row(scales, 0), to_floats(load_unsigned_bytes(part + KScales::scales_at)));
    offset = mul(half_row(scales, 1), to_floats(load_unsigned_bytes(part + KScales::minimums_at)));
    offset = sub(zero(), offset);
  }
  LTU_INLINE static Ints start(const ActivationBlock &, int) { return zero_ints(); }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
