#include "compute/graph.h"
#include <algorithm>

namespace ltu {

namespace {

constexpr size_t cache_line = 64;
const size_t graph_bytes =
    ggml_tensor_overhead() * Device::graph_size + ggml_graph_overhead_custom(Device::graph_size, false);

float *data(ggml_tensor *tensor) {
  return tensor ? static_cast<float *>(tensor->data) : nullptr;
}
int64_t stride(const ggml_tensor *tensor) {
  return static_cast<int64_t>(tensor->nb[1] / sizeof(float));
}

// ggml aligns to 32 bytes, the kernels want a cache line: packed tensors have that much room to spare.
void *aligned(ggml_tensor *tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor->data);
  return reinterpret_cast<void *>((address + cache_line - 1) / cache_line * cache_line);
}

kernels::Rows rows(const Source &s) {
  switch (s.kind) {
  case Source::Kind::rms_norm:
    return kernels::Rows::rms_norm(data(s.x), stride(s.x), data(s.norm.weight), s.epsilon);
  case Source::Kind::layer_norm:
    return kernels::Rows::layer_norm(data(s.x), stride(s.x), data(s.norm.weight), data(s.norm.bias),
                                     s.epsilon);
  case Source::Kind::swiglu:
    return kernels::Rows::swiglu(data(s.x), stride(s.x), data(s.up), stride(s.up));
  case Source::Kind::plain:
    break;
  }
  return kernels::Rows::plain(data(s.x), stride(s.x));
}

} // namespace

Source Source::rms_norm(ggml_tensor *x, const Norm &norm, float epsilon) {
  Source source(x);
  source.kind = Kind::rms_norm;
  source.norm = norm;
  source.epsilon = epsilon;
  return source;
}

Source Source::layer_norm(ggml_tensor *x, const Norm &norm, float epsilon) {
  Source source = rms_norm(x, norm, epsilon);
  source.kind = Kind::layer_norm;
  return source;
}

Source Source::swiglu(ggml_tensor *gate, ggml_tensor *up) {
  Source source(gate);
  source.kind = Kind::swiglu;
  source.up = up;
  return source;
}

Graph::Graph(Device &device)
    : device_(device), context_(ggml_init({.mem_size = graph_bytes,
                                           .mem_buffer = device.graph_memory(graph_bytes),
                                           .no_alloc = true}),
                                ggml_free),
      graph_(ggml_new_graph_custom(context_.get(), Device::graph_size, false)) {}

ggml_tensor *Graph::input(ggml_type type, int64_t columns, int64_t n) {
  ggml_tensor *tensor = ggml_new_tensor_2d(context(), type, columns, n);
  ggml_set_input(tensor);
  return tensor;
}

void Graph::output(ggml_tensor *tensor) {
  ggml_set_output(tensor);
  ggml_build_forward_expand(graph_, tensor);
}

ggml_tensor *Graph::custom(ggml_type type, int64_t columns, int64_t n, std::vector<ggml_tensor *> inputs,
                           Operation operation) {
  operations_.push_back({std::move(operation), device_.pool()});
  std::erase(inputs, nullptr);
  return ggml_custom_4d(
      context(), type, columns, n, 1, 1, inputs.data(), static_cast<int>(inputs.size()),
      [](ggml_tensor *out, int, int, void *self) {
        auto &[operation, pool] = *static_cast<SharedOperation *>(self);
        const int parts = pool.threads();
        pool.run(static_cast<uint32_t>(parts),
                 [&](uint32_t part) { operation(out, static_cast<int>(part), parts); });
      },
      1, &operations_.back());
}

ggml_tensor *Graph::pack(const Source &source, kernels::WeightType type) {
  const int64_t columns = source.x->ne[0], n = source.x->ne[1];
  const size_t bytes = kernels::packed_activation_bytes(type, columns, n) + cache_line;
  return custom(GGML_TYPE_I8, static_cast<int64_t>(bytes), 1,
                {source.x, source.up, source.norm.weight, source.norm.bias},
                [=](ggml_tensor *out, int thread, int threads) {
                  kernels::pack_activations(type, rows(source), columns, n, aligned(out), thread, threads);
                });
}

ggml_tensor *Graph::plain(const Source &s) {
  switch (s.kind) {
  case Source::Kind::rms_norm:
    return ggml_mul(context(), ggml_rms_norm(context(), s.x, s.epsilon), s.norm.weight);
  case Source::Kind::layer_norm: {
    ggml_tensor *x = ggml_norm(context(), s.x, s.epsilon);
    if (s.norm.weight)
      x = ggml_add(context(), ggml_mul(context(), x, s.norm.weight), s.norm.bias);
    return x;
  }
  case Source::Kind::swiglu:
    return ggml_swiglu_split(context(), s.x, s.up);
  case Source::Kind::plain:
    break;
  }
  return s.x;
}

ggml_tensor *Graph::linear(Input &input, const Matrix &matrix, const Extras &extras) {
  if (!device_.own_kernels()) {
    if (!input.floats)
      input.floats = plain(input.source);
    ggml_tensor *y = ggml_mul_mat(context(), matrix.tensor, input.floats);
    if (matrix.tensor->type != GGML_TYPE_F16) // device.cpp says how those are summed
      ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    if (extras.bias)
      y = ggml_add(context(), y, extras.bias);
    if (extras.gelu)
      y = ggml_gelu_erf(context(), y);
    return extras.residual ? ggml_add(context(), y, extras.residual) : y;
  }
  const kernels::PackedMatrix *weights = &matrix.packed;
  ggml_tensor *&packed = is_float(weights->type()) ? input.floats : input.integers;
  if (!packed)
    packed = pack(input.source, weights->type());
  const int64_t n = input.source.x->ne[1];
  return custom(GGML_TYPE_F32, matrix.rows, n, {packed, extras.bias, extras.residual},
                [=, x = packed](ggml_tensor *y, int thread, int threads) {
                  const kernels::Epilogue epilogue{.bias = data(extras.bias),
                                                   .gelu = extras.gelu,
                                                   .residual = data(extras.residual),
                                                   .residual_stride =
                                                       extras.residual ? stride(extras.residual) : 0};
                  kernels::multiply(*weights, aligned(x), n, data(y), stride(y), thread, threads, epilogue);
                });
}

ggml_tensor *Graph::linear(const Source &source, const Matrix &matrix, const Extras &extras) {
  Input input{source};
  return linear(input, matrix, extras);
}

} // namespace ltu
