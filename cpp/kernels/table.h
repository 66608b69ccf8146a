#pragma once
// What each variant offers to dispatch.cpp.

#include "kernels/attention.h"
#include "kernels/layout.h"

namespace ltu::kernels {

using Scratch = float *(*)(int64_t floats); // this thread's memory, 64-byte aligned

struct Table {
  void (*multiply)(const PackedMatrix &w, const void *x, int64_t n, float *y, int64_t y_stride, int thread,
                   int threads, const Epilogue &epilogue, Scratch scratch);
  void (*write_rows)(const Rows &rows, int64_t k, int64_t begin, int64_t end, float *out, int64_t out_stride);
  void (*pack_quantised)(const Rows &rows, int64_t k, int64_t begin, int64_t end, ActivationBlock *out,
                         float *buffer);
  void (*attend)(const AttentionBatch &batch, int thread, int threads, Scratch scratch);
  void (*rotate)(const float *x, const float *turn, int heads, int head_dim, float *out);
};

namespace scalar {
const Table &table();
}
namespace avx2 {
const Table &table();
}
namespace avx512 {
const Table &table();
}
namespace avx512vnni {
const Table &table();
}

} // namespace ltu::kernels
