#pragma once
#include "kernels/types/k_scales.h"
#include "kernels/types/low_bits.h"

namespace ltu::kernels {

// A file's block: 16 bytes of scales, 32 bytes whose bit j is the fifth of block j, then as q4_k.
// A panel's: the low bits, then one vector whose bit g belongs to group g.
struct Q5_K : KScales {
  static constexpr WeightType type = WeightType::q5_k;
  static constexpr const char *name = "q5_k";
  static constexpr int file_type = 16;
  static constexpr const char *encoding = "Q5_K_S";
  static constexpr Layout layout{super_block_length, 176, 320, super_block_length, scale_bytes};

  static uint8_t read(const uint8_t *block, int part, int i) {
    const int low = block[48 + part / 2 * 32 + i] >> (part % 2 * 4) & 15;
    return static_cast<uint8_t>(low | (block[16 + i] >> part & 1) << 4);
  }
  static void write(uint8_t *block, int lane, int k, uint8_t value) {
    write_low(block, lane, k, value);
    byte_of(block, 4, lane, k) |= static_cast<uint8_t>((value >> 4) << (k / 4));
  }
  static int value(const uint8_t *block, int lane, int k) {
    return low(block, lane, k) | (byte_of(block, 4, lane, k) >> (k / 4) & 1) << 4;
  }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q5_K> : LoadingKScales {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    load_low<i>(block, even, odd);
    const Bytes high = load_bytes(block + 256);
    even = either(even, shift_and<2 * i - 4>(high, 16));
    odd = either(odd, shift_and<2 * i + 1 - 4>(high, 16));
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
