#pragma once
#include "kernels/types/type.h"

namespace ltu::kernels {

struct F32 : FloatType {
  static constexpr WeightType type = WeightType::f32;
  static constexpr const char *name = "f32";
  static constexpr int file_type = 0;
  static constexpr const char *encoding = "F32";
  static constexpr Layout layout{1, 4};
  using Bits = uint32_t;

  static float value(Bits bits) { return std::bit_cast<float>(bits); }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<F32> {
  LTU_INLINE static Floats load_row(const std::byte *row) {
    return load(reinterpret_cast<const float *>(row));
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
