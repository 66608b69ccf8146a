#pragma once
// Scales of q8_0 and q4_0: one float16 for each block, in a file before its values.

#include "kernels/types/type.h"

namespace ltu::kernels {

struct OneScale : QuantisedType {
  static constexpr int64_t scale_bytes = 2 * lane_count; // of a panel's record

  static void write_scales(const uint8_t *block, int lane, uint8_t *scales) {
    write_half(scales, 0, lane, block);
  }
  static ScaleAndOffset scale(const uint8_t *scales, int lane, int) { return {half_of(scales, 0, lane)}; }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

struct LoadingOneScale {
  LTU_INLINE static void load_scales(const uint8_t *scales, int64_t block, int, Floats &scale, Floats &) {
    scale = half_row(scales + block * OneScale::scale_bytes, 0);
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
