#pragma once
#include "file/keys.h"
#include <algorithm>
#include <cstdint>
#include <vector>

namespace ltu {

struct AudioConfig { // CAV-MAE audio branch and the projector
  int64_t width, feed_forward, heads, blocks, joint_blocks, mels, frames, patch, time_pool, embeddings;
  int64_t projection; // width of the embeddings: the language model's
  float norm_epsilon, divisor, projector_epsilon;

  int64_t patches() const { return (mels / patch) * (frames / patch); }
  int64_t head_size() const { return width / heads; }
};

// A family of language models that are computed like LLaMA but for what is said here.
struct Architecture {
  const char *name; // llama.cpp's, and Hugging Face's model_type
  bool biased;      // q, k and v have biases
  bool paired_rows; // llama.cpp's files hold rows of q and k with (i, i + half) side by side, as ours all do
};
constexpr Architecture architectures[] = {{"llama", false, true}, {"qwen2", true, false}};

struct LlamaConfig {
  Architecture architecture;
  int64_t context, width, feed_forward, blocks, heads, kv_heads, head_size, vocabulary;
  int64_t rope_size, rope_original_context;
  float norm_epsilon, rope_base, rope_factor;
  bool yarn;
  int64_t bos;               // -1: there is none
  int64_t eos;               // what ends a given continuation
  std::vector<int32_t> ends; // every token that ends an answer, that one included

  int64_t query_size() const { return heads * head_size; }
  int64_t kv_size() const { return kv_heads * head_size; }
  bool is_end(int32_t token) const { return std::find(ends.begin(), ends.end(), token) != ends.end(); }
};

// Sizes and constants from a file's keys (docs/gguf.md), each within what can be computed.
AudioConfig audio_config(const Keys &keys);
LlamaConfig llama_config(const Keys &keys);
void check_sampling(const Keys &keys); // the defaults that Python takes from the file, where there are any

} // namespace ltu
