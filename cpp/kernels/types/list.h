#pragma once
// All types of weights that the kernels multiply with, in the order of WeightType.

#include "kernels/types/bf16.h"
#include "kernels/types/f16.h"
#include "kernels/types/f32.h"
#include "kernels/types/q4_0.h"
#include "kernels/types/q4_1.h"
#include "kernels/types/q4_k.h"
#include "kernels/types/q5_k.h"
#include "kernels/types/q6_k.h"
#include "kernels/types/q8_0.h"

namespace ltu::kernels {

template <class... Types> struct TypeList {
  // f(Type{}) with the struct of this type.
  template <class F> static auto visit(WeightType type, const F &f) {
    using Call = decltype(f(F32{})) (*)(const F &);
    static constexpr Call calls[] = {[](const F &g) { return g(Types{}); }...};
    return calls[static_cast<int>(type)](f);
  }

  static constexpr bool in_order() {
    int next = 0;
    return ((static_cast<int>(Types::type) == next++) && ...);
  }
};

using WeightTypes = TypeList<F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q5_K, Q6_K>;
static_assert(WeightTypes::in_order());

} // namespace ltu::kernels
