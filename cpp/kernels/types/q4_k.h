#pragma once
#include "kernels/types/k_scales.h"
#include "kernels/types/low_bits.h"

namespace ltu::kernels {

// A file's block: 16 bytes of scales, 256 values of 4 bits: block 2j beside block 2j + 1.
struct Q4_K : KScales {
  static constexpr WeightType type = WeightType::q4_k;
  static constexpr const char *name = "q4_k";
  static constexpr int file_type = 14;
  static constexpr const char *encoding = "Q4_K_S";
  static constexpr Layout layout{super_block_length, 144, 256, super_block_length, scale_bytes};

  static uint8_t read(const uint8_t *block, int part, int i) {
    return block[16 + part / 2 * 32 + i] >> (part % 2 * 4) & 15;
  }
  static void write(uint8_t *block, int lane, int k, uint8_t value) { write_low(block, lane, k, value); }
  static int value(const uint8_t *block, int lane, int k) { return low(block, lane, k); }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q4_K> : LoadingKScales {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    load_low<i>(block, even, odd);
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
