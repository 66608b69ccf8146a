#pragma once
#include "kernels/types/type.h"

namespace ltu::kernels {

struct F16 : FloatType {
  static constexpr WeightType type = WeightType::f16;
  static constexpr const char *name = "f16";
  static constexpr int file_type = 1;
  static constexpr const char *encoding = "F16";
  static constexpr Layout layout{1, 2};
  using Bits = uint16_t;

  static float value(Bits bits) { return half_to_float(bits); }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<F16> {
  LTU_INLINE static Floats load_row(const std::byte *row) {
    return load_half(reinterpret_cast<const uint16_t *>(row));
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
