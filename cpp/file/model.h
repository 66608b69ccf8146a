#pragma once
#include "file/gguf_file.h"
#include "kernels/kernels.h"
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct ggml_tensor;

namespace ltu {

class Device;

struct AudioConfig { // CAV-MAE audio branch and the projector
  int64_t width, feed_forward, heads, blocks, joint_blocks, mels, frames, patch, time_pool, embeddings;
  float norm_epsilon, divisor, projector_epsilon;

  int64_t patches() const { return (mels / patch) * (frames / patch); }
  int64_t head_size() const { return width / heads; }
};

struct LlamaConfig {
  int64_t context, width, feed_forward, blocks, heads, kv_heads, head_size, vocabulary;
  int64_t rope_size, rope_original_context;
  float norm_epsilon, rope_base, rope_factor;
  bool yarn;
  int64_t bos, eos;

  int64_t query_size() const { return heads * head_size; }
  int64_t kv_size() const { return kv_heads * head_size; }
};

struct TensorSpec { // one row of the declared table
  std::string name;
  std::vector<int64_t> shape; // ggml order
  bool matrix;                // takes part in a product: any supported type; otherwise f32
  bool required = true;
};

AudioConfig audio_config(const Keys &keys);
LlamaConfig llama_config(const Keys &keys);
void check_sampling(const Keys &keys); // the defaults that Python takes from the file, where there are any
std::vector<TensorSpec> tensor_table(const AudioConfig &audio, const LlamaConfig &llama);

// A matrix of the model: packed for our kernels on CPU, a tensor of the back end elsewhere.
struct Matrix {
  kernels::PackedMatrix packed;
  ggml_tensor *tensor = nullptr;
  int64_t rows = 0, columns = 0;
};

struct Norm { // bias is null for RMSNorm
  ggml_tensor *weight = nullptr, *bias = nullptr;
};

struct AudioBlock {
  Norm norm1, norm2;         // [width]
  Matrix qkv, out, up, down; // [3 width, width], [width, width], [feed_forward, width], [width, feed_forward]
  ggml_tensor *qkv_bias, *out_bias, *up_bias, *down_bias;
};

struct LlamaBlock {
  Norm attention_norm, feed_forward_norm; // [width]
  Matrix q, k, v, out;   // [heads × head_size, width], [kv_size, width] twice, [width, heads × head_size]
  Matrix gate, up, down; // [feed_forward, width] twice, [width, feed_forward]
};

// Hyper-parameters and weights of one LTU model on one device.
class Model {
public:
  Model(const std::string &path, Device &device);
  ~Model();

  const GgufFile &file() const { return file_; }
  const AudioConfig &audio() const { return audio_; }
  const LlamaConfig &llama() const { return llama_; }
  bool half_cache() const { return half_cache_; } // KV cache in f16; f32 when every LLaMA matrix is f32
  size_t bytes() const { return bytes_; }

  // The input embedding of a token, [width].
  void token_embedding(int32_t token, float *out) const;

  Matrix patch, projector;                        // [width, patch × patch], [llama width, width]
  ggml_tensor *patch_bias, *positions, *modality; // [width], [width, patches], [width]
  ggml_tensor *projector_bias;                    // [llama width]
  Norm audio_norm, output_norm;
  std::vector<AudioBlock> audio_blocks;
  std::vector<LlamaBlock> llama_blocks;
  Matrix output;                       // [vocabulary, width]; the token embeddings where they are tied
  ggml_tensor *rope_factors = nullptr; // [rope_size / 2] or null

private:
  struct Buffers;
  GgufFile file_;
  Device &device_;
  AudioConfig audio_;
  LlamaConfig llama_;
  std::unique_ptr<Buffers> buffers_;
  bool half_cache_ = false;
  size_t bytes_ = 0;
  const TensorInfo *token_embeddings_ = nullptr;

  void check_tensors();
  Matrix matrix(const std::string &name);
  ggml_tensor *vector(const std::string &name);
  ggml_tensor *place(const TensorInfo &tensor);
};

} // namespace ltu
