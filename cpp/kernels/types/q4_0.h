#pragma once
#include "kernels/types/low_bits.h"
#include "kernels/types/one_scale.h"

namespace ltu::kernels {

// A file's block: float16 scale, 32 values of 4 bits with an offset of 8.
struct Q4_0 : OneScale {
  static constexpr WeightType type = WeightType::q4_0;
  static constexpr const char *name = "q4_0";
  static constexpr int file_type = 2;
  static constexpr const char *encoding = "Q4_0";
  static constexpr Layout layout{block_length, 18, 256, block_length, scale_bytes};

  static uint8_t read(const uint8_t *block, int, int i) { return read_low(block + 2, i); }
  static void write(uint8_t *block, int lane, int k, uint8_t value) { write_low(block, lane, k, value); }
  static int value(const uint8_t *block, int lane, int k) { return low(block, lane, k) - 8; }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q4_0> : LoadingOneScale {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    load_low<i>(block, even, odd);
  }
  LTU_INLINE static Ints start(const ActivationBlock &x, int) { return broadcast_int(x.minus_8_sum); }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
