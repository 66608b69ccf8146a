#pragma once
#include "kernels/types/type.h"

namespace ltu::kernels {

struct BF16 : FloatType {
  static constexpr WeightType type = WeightType::bf16;
  static constexpr const char *name = "bf16";
  static constexpr int file_type = 32;
  static constexpr const char *encoding = "BF16";
  static constexpr Layout layout{1, 2};
  using Bits = uint16_t;

  static float value(Bits bits) { return bfloat_to_float(bits); }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<BF16> {
  LTU_INLINE static Floats load_row(const std::byte *row) {
    return load_bfloat(reinterpret_cast<const uint16_t *>(row));
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
