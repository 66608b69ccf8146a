#pragma once
#include "kernels/types/type.h"

namespace ltu::kernels {

// A file's block: float16 scale, 32 values in two's complement. A panel's: vector g = group g.
struct Q8_0 : QuantisedType {
  static constexpr WeightType type = WeightType::q8_0;
  static constexpr const char *name = "q8_0";
  static constexpr int file_type = 7;
  static constexpr const char *encoding = "Q8_0";
  static constexpr Layout layout{block_length, 34, 512, block_length, 32};
  static constexpr bool is_signed = true;

  static uint8_t read(const uint8_t *block, int, int i) { return block[2 + i]; }
  static void write(uint8_t *block, int lane, int k, uint8_t value) {
    byte_of(block, k / 4, lane, k) = value;
  }
  static int value(const uint8_t *block, int lane, int k) {
    return static_cast<int8_t>(byte_of(block, k / 4, lane, k));
  }
  static void write_scales(const uint8_t *block, int lane, uint8_t *scales) {
    write_half(scales, 0, lane, block);
  }
  static ScaleAndOffset scale(const uint8_t *scales, int lane, int) { return {half_of(scales, 0, lane)}; }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q8_0> {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    even = load_bytes(block + 128 * i);
    odd = load_bytes(block + 128 * i + 64);
  }
  LTU_INLINE static void load_scales(const uint8_t *scales, int64_t block, int, Floats &scale, Floats &) {
    scale = half_row(scales + block * Q8_0::layout.scale_bytes, 0);
  }
  LTU_INLINE static Ints start(const ActivationBlock &x, int) {
    return signed_dots ? zero_ints() : broadcast_int(x.minus_128_sum);
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
