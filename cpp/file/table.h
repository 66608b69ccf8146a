#pragma once
#include "file/config.h"
#include "file/gguf_header.h"
#include "kernels/kernels.h"
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace ltu {

// A matrix of the model: packed for our kernels on CPU, a tensor of the back end elsewhere. Our kernels on a
// card make their own copy (cuda/llama.h) of what is in the file.
struct Matrix {
  kernels::PackedMatrix packed;
  ggml_tensor *tensor = nullptr;
  const TensorInfo *source = nullptr;
  int64_t rows = 0, columns = 0;
};

struct Norm { // bias is null for RMSNorm
  ggml_tensor *weight = nullptr, *bias = nullptr;
};

struct AudioBlock {
  Norm norm1, norm2;         // [width]
  Matrix qkv, out, up, down; // [3 width, width], [width, width], [feed_forward, width], [width, feed_forward]
  ggml_tensor *qkv_bias = nullptr, *out_bias = nullptr, *up_bias = nullptr, *down_bias = nullptr;
};

struct LlamaBlock {
  Norm attention_norm, feed_forward_norm; // [width]
  Matrix q, k, v, out; // [heads × head_size, width], [kv_size, width] twice, [width, heads × head_size]
  ggml_tensor *q_bias = nullptr, *k_bias = nullptr, *v_bias = nullptr; // null where they are not biased
  Matrix gate, up, down; // [feed_forward, width] twice, [width, feed_forward]
};

struct Weights {           // of one LTU model
  Matrix patch, projector; // [width, patch × patch], [llama width, width]
  ggml_tensor *patch_bias = nullptr, *positions = nullptr,
              *modality = nullptr;       // [width], [width, patches], [width]
  ggml_tensor *projector_bias = nullptr; // [llama width]
  Norm audio_norm, output_norm;
  std::vector<AudioBlock> audio_blocks;
  std::vector<LlamaBlock> llama_blocks;
  const TensorInfo *token_embeddings = nullptr; // [vocabulary, width], in the file: read row by row
  Matrix output;                       // [vocabulary, width]; the token embeddings where they are tied
  ggml_tensor *rope_factors = nullptr; // [rope_size / 2] or null
};

// One row of the declared table: all that is said anywhere about one tensor of a model file. The engine loads
// by it; the converter, the tests and docs/gguf.md go by it, too.
struct TensorSpec {
  std::string name;           // in the file
  std::string source;         // in a checkpoint: of Hugging Face's LLaMA or of LTU; empty: in none
  std::vector<int64_t> shape; // ggml order
  // Where it goes: a matrix, of any type that the kernels know; a vector, in f32; or a matrix that stays
  // where it is in the file.
  std::variant<Matrix *, ggml_tensor **, const TensorInfo **> place;
  bool required = true;

  bool matrix() const { return !std::holds_alternative<ggml_tensor **>(place); }
};

// The rows, with places in `weights`, which gets as many blocks as there are.
std::vector<TensorSpec> audio_table(const AudioConfig &audio, Weights &weights);
std::vector<TensorSpec> llama_table(const LlamaConfig &llama, Weights &weights);

} // namespace ltu
