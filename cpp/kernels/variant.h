// The kernels of one variant, as a table of functions. Included by variant_*.cpp after its simd_*.h, each
// compiled for its own instruction set: nothing defined from here on may be shared with another variant.

#include <cmath>
#include <cstring>

#include "kernels/table.h"

// In this order: each builds on those before.
#include "kernels/functions.h"

#include "kernels/rotate.h"
#include "kernels/rows.h"

#include "kernels/types/list.h"

#include "kernels/product.h"

#include "kernels/attend.h"

namespace ltu::kernels::LTU_VARIANT {

inline void multiply(const PackedMatrix &w, const void *x, int64_t n, float *y, int64_t y_stride, int thread,
                     int threads, const Epilogue &epilogue, Scratch scratch) {
  WeightTypes::visit(w.type(), [&]<class Type>(Type) {
    multiply_any<WeightsOf<Type>>(w, x, n, y, y_stride, thread, threads, epilogue, scratch);
  });
}

const Table &table() {
  static constexpr Table functions{multiply, write_rows, pack_quantised, attend, rotate};
  return functions;
}

} // namespace ltu::kernels::LTU_VARIANT
