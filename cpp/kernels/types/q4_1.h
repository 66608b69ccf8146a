#pragma once
#include "kernels/types/low_bits.h"

namespace ltu::kernels {

// A file's block: float16 scale and minimum, 32 values of 4 bits.
struct Q4_1 : QuantisedType {
  static constexpr WeightType type = WeightType::q4_1;
  static constexpr const char *name = "q4_1";
  static constexpr int file_type = 3;
  static constexpr const char *encoding = "Q4_1";
  static constexpr Layout layout{block_length, 20, 256, block_length, 64};
  static constexpr bool has_minimum = true;

  static uint8_t read(const uint8_t *block, int, int i) { return read_low(block + 4, i); }
  static void write(uint8_t *block, int lane, int k, uint8_t value) { write_low(block, lane, k, value); }
  static int value(const uint8_t *block, int lane, int k) { return low(block, lane, k); }
  static void write_scales(const uint8_t *block, int lane, uint8_t *scales) {
    write_half(scales, 0, lane, block);
    write_half(scales, 1, lane, block + 2);
  }
  static ScaleAndOffset scale(const uint8_t *scales, int lane, int) {
    return {half_of(scales, 0, lane), half_of(scales, 1, lane)};
  }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q4_1> {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    load_low<i>(block, even, odd);
  }
  LTU_INLINE static void load_scales(const uint8_t *scales, int64_t block, int, Floats &scale,
                                     Floats &offset) {
    scale = half_row(scales + block * Q4_1::layout.scale_bytes, 0);
    offset = half_row(scales + block * Q4_1::layout.scale_bytes, 1);
  }
  LTU_INLINE static Ints start(const ActivationBlock &, int) { return zero_ints(); }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
