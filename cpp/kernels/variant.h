// The kernels of one variant, as a table of functions. Included by variant_*.cpp after its simd_*.h, each
// compiled for its own instruction set: nothing defined from here on may be shared with another variant.

#include <cmath>
#include <cstring>

#include "table.h"

// In this order: each builds on those before.
#include "functions.h"

#include "rotate.h"
#include "rows.h"

#include "product.h"

#include "attend.h"

namespace ltu::kernels::LTU_VARIANT {

inline void multiply(const PackedMatrix &w, const void *x, int64_t n, float *y, int64_t y_stride, int thread,
                     int threads, const Epilogue &epilogue, Scratch scratch) {
  auto *function = [&] {
    switch (w.type()) {
    case WeightType::f32:
      return multiply_any<FloatWeights<WeightType::f32>>;
    case WeightType::f16:
      return multiply_any<FloatWeights<WeightType::f16>>;
    case WeightType::bf16:
      return multiply_any<FloatWeights<WeightType::bf16>>;
    case WeightType::q8_0:
      return multiply_any<QuantisedWeights<WeightType::q8_0>>;
    case WeightType::q4_0:
      return multiply_any<QuantisedWeights<WeightType::q4_0>>;
    case WeightType::q4_1:
      return multiply_any<QuantisedWeights<WeightType::q4_1>>;
    case WeightType::q4_k:
      return multiply_any<QuantisedWeights<WeightType::q4_k>>;
    case WeightType::q5_k:
      return multiply_any<QuantisedWeights<WeightType::q5_k>>;
    default:
      return multiply_any<QuantisedWeights<WeightType::q6_k>>;
    }
  }();
  function(w, x, n, y, y_stride, thread, threads, epilogue, scratch);
}

const Table &table() {
  static constexpr Table functions{multiply, write_rows, pack_quantised, attend, rotate};
  return functions;
}

} // namespace ltu::kernels::LTU_VARIANT
