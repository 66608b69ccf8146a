#pragma once
#include "ggml.h"
#include <cstdint>
#include <string>
#include <vector>

namespace ltu {

bool is_stored(ggml_type type);                // in files; some are for activations alone, or gone
std::string type_name(ggml_type type);         // ggml's, in small letters: f32 f16 bf16 q8_0 q4_k …
ggml_type type_named(const std::string &name); // throws Error for one that values can't be read from
size_t quantized_row_bytes(ggml_type type, int64_t columns);

// Rows of floats into a type of ggml's, and back. Throws Error when a row is no multiple of the type's block.
std::vector<uint8_t> quantize(const float *values, int64_t rows, int64_t columns, ggml_type type,
                              int threads);
std::vector<float> dequantize(const uint8_t *data, int64_t rows, int64_t columns, ggml_type type);

} // namespace ltu
