#pragma once
#include "file/model.h"
#include <cstdint>
#include <vector>

struct ggml_context;

namespace ltu {

// RoPE of neighbouring elements as the model file describes it; x: [head_size, heads, n], depths: [n].
ggml_tensor *rope(ggml_context *context, const LlamaConfig &llama, ggml_tensor *factors, ggml_tensor *x,
                  ggml_tensor *depths);

// Cosine and sine of each pair of a head's elements at depths 0, 1, …: [depths, head_size / 2, 2].
std::vector<float> turns(const Model &model, int64_t depths, int threads);

} // namespace ltu
