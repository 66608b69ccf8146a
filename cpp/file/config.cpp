#include "file/config.h"
#include "device/device.h"
#include <cmath>
#include <limits>

namespace ltu {

namespace {

// A size that everything else is derived from: positive, and small enough that products of two don't
// overflow.
int64_t size_key(const Keys &keys, const std::string &key) {
  const int64_t value = keys.integer(key);
  if (value < 1 || value > (int64_t{1} << 30))
    keys.fail("key " + key + " is " + std::to_string(value) + ", expected a positive size");
  return value;
}

float positive_key(const Keys &keys, const std::string &key, std::optional<double> usual = std::nullopt) {
  const auto value = static_cast<float>(usual ? keys.find_number(key).value_or(*usual) : keys.number(key));
  if (!(value > 0) || !std::isfinite(value))
    keys.fail("key " + key + " is " + std::to_string(value) + ", expected a positive number");
  return value;
}

void check_token(const Keys &keys, const std::string &key, int64_t token, int64_t vocabulary) {
  if (token < 0 || token >= vocabulary)
    keys.fail("key " + key + " is " + std::to_string(token) + ", the vocabulary has " +
              std::to_string(vocabulary) + " tokens");
}

// -1: there is none.
int64_t token_key(const Keys &keys, const std::string &key, int64_t vocabulary) {
  const std::optional<int64_t> token = keys.find_integer(key);
  if (token)
    check_token(keys, key, *token, vocabulary);
  return token.value_or(-1);
}

int64_t block_count(const Keys &keys, const std::string &key) {
  const int64_t blocks = size_key(keys, key);
  if (blocks > Device::max_blocks)
    keys.fail("key " + key + " is " + std::to_string(blocks) + ", at most " +
              std::to_string(Device::max_blocks) + " blocks are supported");
  return blocks;
}

void divides(const Keys &keys, int64_t whole, const std::string &whole_key, int64_t part,
             const std::string &part_key) {
  if (whole % part != 0)
    keys.fail("key " + whole_key + " (" + std::to_string(whole) + ") is no multiple of " + part_key + " (" +
              std::to_string(part) + ")");
}

Architecture architecture_named(const Keys &keys, const std::string &name) {
  std::string known;
  for (const Architecture &architecture : architectures) {
    if (architecture.name == name)
      return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  keys.fail("key ltu.language_model is " + quoted(name) + ", there are " + known);
}

} // namespace

AudioConfig audio_config(const Keys &keys) {
  AudioConfig c{};
  c.width = size_key(keys, "clip.audio.embedding_length");
  c.feed_forward = size_key(keys, "clip.audio.feed_forward_length");
  c.heads = size_key(keys, "clip.audio.attention.head_count");
  c.blocks = block_count(keys, "clip.audio.block_count");
  c.mels = size_key(keys, "clip.audio.num_mel_bins");
  c.norm_epsilon = positive_key(keys, "clip.audio.attention.layer_norm_epsilon");
  c.frames = size_key(keys, "ltu.audio.frame_count");
  c.patch = size_key(keys, "ltu.audio.patch_size");
  c.joint_blocks = size_key(keys, "ltu.audio.joint_block_count");
  if (c.joint_blocks > c.blocks)
    keys.fail("key ltu.audio.joint_block_count is " + std::to_string(c.joint_blocks) + ", of " +
              std::to_string(c.blocks) + " blocks in all");
  c.time_pool = size_key(keys, "ltu.audio.time_pool");
  c.embeddings = size_key(keys, "ltu.audio.embedding_count");
  c.projection = size_key(keys, "clip.audio.projection_dim");
  c.divisor = positive_key(keys, "ltu.projector.divisor");
  c.projector_epsilon = positive_key(keys, "ltu.projector.layer_norm_epsilon");
  divides(keys, c.width, "clip.audio.embedding_length", c.heads, "clip.audio.attention.head_count");
  divides(keys, c.mels, "clip.audio.num_mel_bins", c.patch, "ltu.audio.patch_size");
  divides(keys, c.frames, "ltu.audio.frame_count", c.patch * c.time_pool,
          "ltu.audio.patch_size × ltu.audio.time_pool");
  if (c.frames / c.patch / c.time_pool != c.embeddings)
    keys.fail("key ltu.audio.embedding_count is " + std::to_string(c.embeddings) + ", the frames give " +
              std::to_string(c.frames / c.patch / c.time_pool));
  return c;
}

LlamaConfig llama_config(const Keys &keys) {
  LlamaConfig c{};
  c.architecture = architecture_named(keys, keys.find_string("ltu.language_model").value_or("llama"));
  c.context = size_key(keys, "llama.context_length");
  c.width = size_key(keys, "llama.embedding_length");
  c.feed_forward = size_key(keys, "llama.feed_forward_length");
  c.blocks = block_count(keys, "llama.block_count");
  c.vocabulary = size_key(keys, "llama.vocab_size");
  c.heads = size_key(keys, "llama.attention.head_count");
  c.kv_heads = keys.find_integer("llama.attention.head_count_kv").value_or(c.heads);
  c.norm_epsilon = positive_key(keys, "llama.attention.layer_norm_rms_epsilon");
  if (c.kv_heads < 1)
    keys.fail("key llama.attention.head_count_kv is not a positive size");
  divides(keys, c.heads, "llama.attention.head_count", c.kv_heads, "llama.attention.head_count_kv");
  divides(keys, c.width, "llama.embedding_length", c.heads, "llama.attention.head_count");
  c.head_size = keys.find_integer("llama.attention.key_length").value_or(c.width / c.heads);
  if (c.head_size < 2 || c.head_size % 2 != 0 || c.head_size > 1024)
    keys.fail("the attention head size " + std::to_string(c.head_size) + " is not supported");
  c.rope_size = keys.find_integer("llama.rope.dimension_count").value_or(c.head_size);
  if (c.rope_size < 2 || c.rope_size > c.head_size || c.rope_size % 2 != 0)
    keys.fail("key llama.rope.dimension_count is " + std::to_string(c.rope_size) + ", the head size is " +
              std::to_string(c.head_size));
  c.rope_base = positive_key(keys, "llama.rope.freq_base", 10000.0);
  const std::string scaling = keys.find_string("llama.rope.scaling.type").value_or("none");
  if (scaling != "none" && scaling != "linear" && scaling != "yarn")
    keys.fail("key llama.rope.scaling.type is " + quoted(scaling) + ", supported are none, linear and yarn");
  c.yarn = scaling == "yarn";
  c.rope_factor = scaling == "none" ? 1.0F : positive_key(keys, "llama.rope.scaling.factor");
  c.rope_original_context = keys.contains("llama.rope.scaling.original_context_length")
                                ? size_key(keys, "llama.rope.scaling.original_context_length")
                                : c.context;
  c.bos = token_key(keys, "tokenizer.ggml.bos_token_id", c.vocabulary);
  c.eos = token_key(keys, "tokenizer.ggml.eos_token_id", c.vocabulary);
  c.ends.push_back(static_cast<int32_t>(c.eos));
  for (const int64_t token : keys.integers("ltu.eos_token_ids")) {
    check_token(keys, "ltu.eos_token_ids", token, c.vocabulary);
    c.ends.push_back(static_cast<int32_t>(token));
  }
  return c;
}

void check_sampling(const Keys &keys) {
  const auto within = [&](const std::string &key, std::optional<double> value, double least, double most) {
    if (value && !(*value >= least && *value <= most))
      keys.fail("key " + key + " is " + std::to_string(*value) + ", which is out of range");
  };
  const auto number = [&](const std::string &key, double least, double most) {
    within(key, keys.find_number(key), least, most);
  };
  const auto count = [&](const std::string &key, double least) {
    const std::optional<int64_t> value = keys.find_integer(key);
    within(key, value ? std::optional(static_cast<double>(*value)) : std::nullopt, least, INT32_MAX);
  };
  constexpr double tiny = std::numeric_limits<float>::min(), huge = std::numeric_limits<float>::max();
  number("general.sampling.temp", 0, huge);
  number("general.sampling.top_p", tiny, 1);
  number("general.sampling.penalty_repeat", tiny, huge);
  count("general.sampling.top_k", 0);
  count("ltu.sampling.max_new_tokens", 1);
}

} // namespace ltu
