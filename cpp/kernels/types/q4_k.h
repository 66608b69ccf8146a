#pragma once
#include "kernels/types/k_scales.h"
#include "kernels/types/low_bits.h"

namespace ltu::kernels {

// A file's block: 16 bytes of scales, 256 values of 4 bits: block 2j beside block 2j + 1.
struct Q4_K : QuantisedType {
  static constexpr WeightType type = WeightType::q4_k;
  static constexpr const char *name = "q4_k";
  static constexpr int file_type = 14;
  static constexpr const char *encoding = "Q4_K_S";
  static constexpr Layout layout{super_block_length, 144, 256, super_block_length, KScales::bytes};
  static constexpr bool has_minimum = true;

  static uint8_t read(const uint8_t *block, int part, int i) {
    return block[16 + part / 2 * 32 + i] >> (part % 2 * 4) & 15;
  }
  static void write(uint8_t *block, int lane, int k, uint8_t value) { write_low(block, lane, k, value); }
  static int value(const uint8_t *block, int lane, int k) { return low(block, lane, k); }
  static void write_scales(const uint8_t *block, int lane, uint8_t *scales) {
    KScales::write(block, lane, scales);
  }
  static ScaleAndOffset scale(const uint8_t *scales, int lane, int k) { return KScales::of(scales, lane, k); }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q4_K> {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    load_low<i>(block, even, odd);
  }
  LTU_INLINE static void load_scales(const uint8_t *scales, int64_t block, int, Floats &scale,
                                     Floats &offset) {
    load_k_scales(scales, block, scale, offset);
  }
  LTU_INLINE static Ints start(const ActivationBlock &, int) { return zero_ints(); }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
