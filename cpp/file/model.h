#pragma once
#include "file/config.h"
#include "file/gguf_file.h"
#include "file/table.h"
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace ltu {

class Device;

// Hyper-parameters and weights of one LTU model on one device.
class Model : public Weights {
public:
  Model(const std::string &path, Device &device);
  ~Model();

  const GgufFile &file() const { return file_; }
  const AudioConfig &audio() const { return audio_; }
  const LlamaConfig &llama() const { return llama_; }
  bool half_cache() const { return half_cache_; } // KV cache in f16; f32 when every LLaMA matrix is f32
  // Whether our kernels on the card compute the language model, from copies of their own (cuda/weights.h).
  // Its matrices are then in no other place, unless all are quantised: those serve narrow steps.
  bool on_card() const { return on_card_; }
  bool audio_on_card() const { return audio_on_card_; } // likewise the encoder and the projector
  bool quantised() const { return quantised_; }         // every matrix of the language model's products
  size_t bytes() const { return bytes_; }
  // Matrices that the device holds in another type than the file: "bf16 as f16" → how many.
  const std::map<std::string, int> &converted() const { return converted_; }

  // The input embedding of a token, [width].
  void token_embedding(int32_t token, float *out) const;

private:
  struct Buffers;
  GgufFile file_;
  Device &device_;
  AudioConfig audio_;
  LlamaConfig llama_;
  std::unique_ptr<Buffers> buffers_;
  bool half_cache_ = false, quantised_ = false, on_card_ = false, audio_on_card_ = false;
  size_t bytes_ = 0;
  std::map<std::string, int> converted_;

  void check(const std::vector<TensorSpec> &table);
  bool fits_card(const std::vector<TensorSpec> &part, int64_t head_size) const;
  void load(const TensorInfo &tensor, Matrix *place);
  void load(const TensorInfo &tensor, ggml_tensor **place);
  void load(const TensorInfo &tensor, const TensorInfo **place);
  ggml_tensor *place(const TensorInfo &tensor);
  ggml_tensor *place(const TensorInfo &tensor, ggml_type type, std::span<const std::byte> data);
  void note_conversion(const TensorInfo &tensor, ggml_type type);
};

} // namespace ltu
