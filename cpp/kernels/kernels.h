#pragma once
// Matrix products on CPU. Every output element is summed in one fixed order over k, so that its bits depend
// neither on the number of columns nor on the number of threads nor on the processor's instruction set.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace ltu::kernels {

// In the order of types/list.h; each has a file of its own in types/.
enum class WeightType { f32, f16, bf16, q8_0, q4_0, q4_1, q4_k, q5_k, q6_k };

struct WeightTypeInfo {
  WeightType type;
  const char *name;     // ggml's, in small letters
  int file_type;        // llama.cpp's llama_ftype of a file whose matrices have this type
  const char *encoding; // and llama.cpp's word for it in names of files
  bool is_float;
};
std::span<const WeightTypeInfo> weight_types();
bool is_float(WeightType type);

// A row of a matrix must be a multiple of this many weights: 1, 32 or (K-quants) 256.
int64_t block_size(WeightType type);

// Bytes of one row in a file (ggml's layout).
size_t row_bytes(WeightType type, int64_t columns);

// Instruction set in use: "scalar", "avx2", "avx512" or "avx512vnni". LTU_PROCESSOR forces a lower one.
// Throws Error if LTU_PROCESSOR names one that this processor or this build lacks.
// Called for its error at load, before any other function of this header.
const char *processor();

// A weight matrix [rows, columns], packed once at load and read-only afterwards: panels of 16 rows whose
// weights lie side by side, so that one vector lane is one row.
class PackedMatrix {
public:
  PackedMatrix() = default;
  // Throws Error if columns is no multiple of the type's block.
  PackedMatrix(WeightType type, int64_t rows, int64_t columns);
  PackedMatrix(PackedMatrix &&) = default;
  PackedMatrix &operator=(PackedMatrix &&) = default;

  // Takes `count` rows as they lie in a file; first_row is a multiple of 16, so is count unless the rows end.
  // Threads may pack different panels at once.
  void pack_rows(const void *file_rows, int64_t first_row, int64_t count);
  // The row's values, exactly as the file's type defines them: out[columns].
  void unpack_row(int64_t row, float *out) const;

  WeightType type() const { return type_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t panels() const { return (rows_ + 15) / 16; }
  size_t panel_bytes() const { return panel_bytes_; }
  size_t bytes() const { return panel_bytes_ * panels(); }
  const std::byte *panel(int64_t index) const { return data_.get() + index * panel_bytes_; }

private:
  WeightType type_ = WeightType::f32;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  size_t panel_bytes_ = 0;
  std::shared_ptr<std::byte> data_; // a part of a block of memory that matrices share
};

// Where rows of activations come from: each row is computed when it is needed, never stored by itself.
struct Rows {
  enum class Kind { plain, rms_norm, layer_norm, swiglu };
  Kind kind;
  const float *x;                // [n][stride]
  int64_t stride;                // in floats
  const float *weight = nullptr; // [k], norms; layer_norm without weight and bias is the plain normalisation
  const float *bias = nullptr;   // [k] or null, layer_norm
  float epsilon = 0;
  const float *up = nullptr; // [n][up_stride], swiglu: silu(x) * up
  int64_t up_stride = 0;

  static Rows plain(const float *x, int64_t stride) { return {Kind::plain, x, stride}; }
  static Rows rms_norm(const float *x, int64_t stride, const float *weight, float epsilon) {
    return {Kind::rms_norm, x, stride, weight, nullptr, epsilon};
  }
  static Rows layer_norm(const float *x, int64_t stride, const float *weight, const float *bias,
                         float epsilon) {
    return {Kind::layer_norm, x, stride, weight, bias, epsilon};
  }
  static Rows swiglu(const float *gate, int64_t stride, const float *up, int64_t up_stride) {
    return {Kind::swiglu, gate, stride, nullptr, nullptr, 0, up, up_stride};
  }
};

// Every function below is called by all `threads` threads of a pool, each with its own `thread`, does that
// thread's share and returns; the caller puts a barrier between one that writes and one that reads.

// The rows as float32: out[n][out_stride].
void write_rows(const Rows &rows, int64_t k, int64_t n, float *out, int64_t out_stride, int thread,
                int threads);

// Activations as the products with matrices of this type read them. The float types share one form, the
// quantised types another (int8 in blocks of 32 with a float32 scale). 64-byte aligned.
size_t packed_activation_bytes(WeightType type, int64_t k, int64_t n);
void pack_activations(WeightType type, const Rows &rows, int64_t k, int64_t n, void *out, int thread,
                      int threads);

struct Epilogue {
  const float *bias = nullptr;     // [rows]
  bool gelu = false;               // the exact one, x/2 (1 + erf(x/sqrt 2))
  const float *residual = nullptr; // [n][residual_stride]; not y: sums wait there
  int64_t residual_stride = 0;
};

// y[i][row] = sum_k w[row][k] x[i][k], then + bias, then GELU, then + residual[i][row]
void multiply(const PackedMatrix &w, const void *packed_x, int64_t n, float *y, int64_t y_stride, int thread,
              int threads, const Epilogue &epilogue = {});

} // namespace ltu::kernels
