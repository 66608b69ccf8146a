#pragma once
#include "kernels/types/one_scale.h"

namespace ltu::kernels {

// A file's block: float16 scale, 32 values in two's complement. A panel's: vector g = group g.
struct Q8_0 : OneScale {
  static constexpr WeightType type = WeightType::q8_0;
  static constexpr const char *name = "q8_0";
  static constexpr int file_type = 7;
  static constexpr const char *encoding = "Q8_0";
  static constexpr Layout layout{block_length, 34, 512, block_length, scale_bytes};
  static constexpr bool is_signed = true;

  static uint8_t read(const uint8_t *block, int, int i) { return block[2 + i]; }
  static void write(uint8_t *block, int lane, int k, uint8_t value) {
    byte_of(block, k / 4, lane, k) = value;
  }
  static int value(const uint8_t *block, int lane, int k) {
    return static_cast<int8_t>(byte_of(block, k / 4, lane, k));
  }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q8_0> : LoadingOneScale {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    even = load_bytes(block + 128 * i);
    odd = load_bytes(block + 128 * i + 64);
  }
  LTU_INLINE static Ints start(const ActivationBlock &x, int) {
    return signed_dots ? zero_ints() : broadcast_int(x.minus_128_sum);
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
