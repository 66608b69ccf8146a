#pragma once
#include "device/device.h"
#include "file/model.h"
#include "ggml.h"
#include "kernels/attention.h"
#include "kernels/kernels.h"
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace ltu {

// What a matrix is multiplied with: activations, or a function of them that our kernels compute while they
// pack.
struct Source {
  enum class Kind { plain, rms_norm, layer_norm, swiglu } kind = Kind::plain;
  ggml_tensor *x = nullptr;  // [columns, n]
  ggml_tensor *up = nullptr; // [columns, n], swiglu: silu(x) × up
  Norm norm{};
  float epsilon = 0;

  Source(ggml_tensor *tensor) : x(tensor) {} // NOLINT: a tensor is a source
  static Source rms_norm(ggml_tensor *x, const Norm &norm, float epsilon);
  static Source layer_norm(ggml_tensor *x, const Norm &norm, float epsilon);
  static Source swiglu(ggml_tensor *gate, ggml_tensor *up);
};

// A source made ready for products; several matrices may share it.
struct Input {
  Source source;
  ggml_tensor *floats =
      nullptr; // packed for float weights (own kernels), or the source as a tensor (devices)
  ggml_tensor *integers = nullptr; // packed for integer weights (own kernels)
};

struct Extras { // of a product: + bias, then the exact GELU, then + residual
  ggml_tensor *bias = nullptr;
  bool gelu = false;
  ggml_tensor *residual = nullptr;
};

// Builds one graph. Only `linear` and the attention of llama.cpp and audio_encoder.cpp know the device.
class Graph {
public:
  explicit Graph(Device &device);

  ggml_context *context() const { return context_.get(); }
  Device &device() const { return device_; }

  ggml_tensor *input(ggml_type type, int64_t columns, int64_t n);
  ggml_tensor *linear(Input &input, const Matrix &matrix, const Extras &extras = {}); // [rows, n]
  ggml_tensor *linear(const Source &source, const Matrix &matrix, const Extras &extras = {});
  // An operation of our own on CPU, after all of `inputs` are there: f(output, part, parts) computes its
  // share.
  using Operation = std::function<void(ggml_tensor *, int, int)>;
  ggml_tensor *custom(ggml_type type, int64_t columns, int64_t n, std::vector<ggml_tensor *> inputs,
                      Operation operation);

  void output(ggml_tensor *tensor);
  void allocate() { device_.allocate(graph_); }
  void compute() { device_.compute(graph_); }

private:
  Device &device_;
  std::unique_ptr<ggml_context, decltype(&ggml_free)> context_;
  ggml_cgraph *graph_;
  struct SharedOperation {
    Operation operation;
    ThreadPool &pool;
  };
  std::deque<SharedOperation> operations_; // stable addresses: the nodes point at them

  ggml_tensor *pack(const Source &source, kernels::WeightType type);
  ggml_tensor *plain(const Source &source);
};

} // namespace ltu
