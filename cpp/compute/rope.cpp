#include "compute/rope.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include <algorithm>
#include <memory>
#include <numeric>
#include <span>

namespace ltu {

ggml_tensor *rope(ggml_context *context, const LlamaConfig &llama, ggml_tensor *factors, ggml_tensor *x,
                  ggml_tensor *depths) {
  return ggml_rope_ext(context, x, depths, factors, static_cast<int>(llama.rope_size), GGML_ROPE_TYPE_NORMAL,
                       static_cast<int>(llama.rope_original_context), llama.rope_base,
                       1.0F / llama.rope_factor, llama.yarn ? 1.0F : 0.0F, 1.0F, 32.0F, 1.0F);
}

std::vector<float> turns(const Model &model, int64_t depths, int threads) {
  const LlamaConfig &llama = model.llama();
  const auto size = static_cast<size_t>(depths * llama.head_size);
  const size_t bytes = 2 * size * sizeof(float) + static_cast<size_t>(depths) * sizeof(int32_t) +
                       static_cast<size_t>(llama.rope_size) * sizeof(float) + (size_t{1} << 20);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
      ggml_init({.mem_size = bytes, .mem_buffer = nullptr, .no_alloc = false}), ggml_free);
  ggml_context *c = context.get();
  ggml_tensor *place = ggml_new_tensor_1d(c, GGML_TYPE_I32, depths);
  const std::span places(static_cast<int32_t *>(place->data), static_cast<size_t>(depths));
  std::iota(places.begin(), places.end(), 0);
  ggml_tensor *factors = nullptr;
  if (model.rope_factors) {
    factors = ggml_new_tensor_1d(c, GGML_TYPE_F32, model.rope_factors->ne[0]);
    ggml_backend_tensor_get(model.rope_factors, factors->data, 0, ggml_nbytes(factors));
  }
  ggml_tensor *units =
      ggml_new_tensor_3d(c, GGML_TYPE_F32, llama.head_size, 1, depths); // (1, 0) turned is (cos, sin)
  float *unit = static_cast<float *>(units->data);
  for (size_t i = 0; i < size; ++i)
    unit[i] = i % 2 == 0 ? 1.0F : 0.0F;
  ggml_tensor *turned = rope(c, llama, factors, units, place);
  ggml_cgraph *graph = ggml_new_graph(c);
  ggml_build_forward_expand(graph, turned);
  ggml_graph_compute_with_ctx(c, graph, threads);
  const auto *values = static_cast<const float *>(turned->data);
  return {values, values + size};
}

} // namespace ltu
