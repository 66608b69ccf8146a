// Chooses the variant for this processor and hands each call to it.

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "kernels/table.h"
#include "support/error.h"

namespace ltu::kernels {

namespace {

struct Variant {
  const char *name;
  bool available;
  const Table &(*table)();
};

const Variant &choose() {
#if defined(LTU_X86_VARIANTS)
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool avx512vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  static const Variant variants[] = {{"scalar", true, scalar::table},
                                     {"avx2", avx2, avx2::table},
                                     {"avx512", avx512, avx512::table},
                                     {"avx512vnni", avx512vnni, avx512vnni::table}};
#else
  static const Variant variants[] = {{"scalar", true, scalar::table}};
#endif
  const char *wanted = std::getenv("LTU_PROCESSOR");
  const Variant *best = nullptr;
  std::string names;
  for (const Variant &variant : variants) {
    if (!variant.available)
      continue;
    best = &variant;
    names += names.empty() ? variant.name : std::string(", ") + variant.name;
    if (wanted && !std::strcmp(wanted, variant.name))
      return variant;
  }
  if (wanted && *wanted)
    throw Error("LTU_PROCESSOR=" + std::string(wanted) + " is not available here: choose one of " + names +
                ", or leave it unset");
  return *best;
}

const Variant &variant() {
  static const Variant &chosen = choose();
  return chosen;
}

// This thread's memory, grown when needed and kept.
float *scratch(int64_t floats) {
  struct Free {
    void operator()(float *p) const { std::free(p); }
  };
  thread_local std::unique_ptr<float, Free> memory;
  thread_local int64_t size = 0;
  if (floats > size) {
    size = (floats + 15) / 16 * 16;
    memory.reset();
    memory.reset(static_cast<float *>(std::aligned_alloc(64, size * sizeof(float))));
    if (!memory) {
      size = 0;
      throw std::bad_alloc();
    }
  }
  return memory.get();
}

} // namespace

const char *processor() {
  return variant().name;
}

void write_rows(const Rows &rows, int64_t k, int64_t n, float *out, int64_t out_stride, int thread,
                int threads) {
  variant().table().write_rows(rows, k, n * thread / threads, n * (thread + 1) / threads, out, out_stride);
}

size_t packed_activation_bytes(WeightType type, int64_t k, int64_t n) {
  return is_float(type) ? n * float_stride(k) * sizeof(float) : n * block_stride(k) * sizeof(ActivationBlock);
}

void pack_activations(WeightType type, const Rows &rows, int64_t k, int64_t n, void *out, int thread,
                      int threads) {
  if (is_float(type))
    return write_rows(rows, k, n, static_cast<float *>(out), float_stride(k), thread, threads);
  variant().table().pack_quantised(rows, k, n * thread / threads, n * (thread + 1) / threads,
                                   static_cast<ActivationBlock *>(out), scratch(k));
}

void multiply(const PackedMatrix &w, const void *packed_x, int64_t n, float *y, int64_t y_stride, int thread,
              int threads, const Epilogue &epilogue) {
  variant().table().multiply(w, packed_x, n, y, y_stride, thread, threads, epilogue, scratch);
}

void attend(const AttentionBatch &batch, int thread, int threads) {
  variant().table().attend(batch, thread, threads, scratch);
}

void rotate(const float *x, const float *turn, int heads, int head_dim, float *out) {
  variant().table().rotate(x, turn, heads, head_dim, out);
}

} // namespace ltu::kernels
