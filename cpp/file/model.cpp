#include "file/model.h"
#include "device/device.h"
#include "ggml-backend.h"
#include "support/error.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace ltu {

namespace {

std::string shape_text(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<int64_t> trimmed(const std::array<int64_t, 4> &shape, size_t least) {
  size_t size = 4;
  while (size > least && shape[size - 1] == 1)
    --size;
  return {shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(size)};
}

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

// -1: there is none.
int64_t token_key(const Keys &keys, const std::string &key, int64_t vocabulary) {
  const std::optional<int64_t> token = keys.find_integer(key);
  if (token && (*token < 0 || *token >= vocabulary))
    keys.fail("key " + key + " is " + std::to_string(*token) + ", the vocabulary has " +
              std::to_string(vocabulary) + " tokens");
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

std::optional<kernels::WeightType> weight_type(ggml_type type) {
  switch (type) {
  case GGML_TYPE_F32:
    return kernels::WeightType::f32;
  case GGML_TYPE_F16:
    return kernels::WeightType::f16;
  case GGML_TYPE_BF16:
    return kernels::WeightType::bf16;
  case GGML_TYPE_Q8_0:
    return kernels::WeightType::q8_0;
  case GGML_TYPE_Q4_0:
    return kernels::WeightType::q4_0;
  case GGML_TYPE_Q4_1:
    return kernels::WeightType::q4_1;
  case GGML_TYPE_Q4_K:
    return kernels::WeightType::q4_k;
  case GGML_TYPE_Q5_K:
    return kernels::WeightType::q5_k;
  case GGML_TYPE_Q6_K:
    return kernels::WeightType::q6_k;
  default:
    return std::nullopt;
  }
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
  c.time_pool = size_key(keys, "ltu.audio.time_pool");
  c.embeddings = size_key(keys, "ltu.audio.embedding_count");
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

std::vector<TensorSpec> tensor_table(const AudioConfig &a, const LlamaConfig &l) {
  std::vector<TensorSpec> table;
  const auto matrix = [&](const std::string &name, int64_t columns, int64_t rows, bool required = true) {
    table.push_back({name, {columns, rows}, true, required});
  };
  const auto vector = [&](const std::string &name, std::vector<int64_t> shape, bool required = true) {
    table.push_back({name, std::move(shape), false, required});
  };
  const auto with_bias = [&](const std::string &name, int64_t columns, int64_t rows) {
    matrix(name + ".weight", columns, rows);
    vector(name + ".bias", {rows});
  };
  const auto layer_norm = [&](const std::string &name, int64_t width) {
    vector(name + ".weight", {width});
    vector(name + ".bias", {width});
  };

  with_bias("a.patch_embd", a.patch * a.patch, a.width);
  vector("a.position_embd.weight", {a.width, a.patches()});
  vector("a.modality_embd", {a.width});
  for (int64_t i = 0; i < a.blocks; ++i) {
    const std::string block = "a.blk." + std::to_string(i) + ".";
    layer_norm(block + "ln1", a.width);
    with_bias(block + "attn_qkv", a.width, 3 * a.width);
    with_bias(block + "attn_out", a.width, a.width);
    layer_norm(block + "ln2", a.width);
    with_bias(block + "ffn_up", a.width, a.feed_forward);
    with_bias(block + "ffn_down", a.feed_forward, a.width);
  }
  layer_norm("a.post_ln", a.width);
  with_bias("mm.a", a.width, l.width);

  matrix("token_embd.weight", l.width, l.vocabulary);
  for (int64_t i = 0; i < l.blocks; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    vector(block + "attn_norm.weight", {l.width});
    matrix(block + "attn_q.weight", l.width, l.query_size());
    matrix(block + "attn_k.weight", l.width, l.kv_size());
    matrix(block + "attn_v.weight", l.width, l.kv_size());
    matrix(block + "attn_output.weight", l.query_size(), l.width);
    vector(block + "ffn_norm.weight", {l.width});
    matrix(block + "ffn_gate.weight", l.width, l.feed_forward);
    matrix(block + "ffn_up.weight", l.width, l.feed_forward);
    matrix(block + "ffn_down.weight", l.feed_forward, l.width);
  }
  vector("output_norm.weight", {l.width});
  matrix("output.weight", l.width, l.vocabulary, false);
  vector("rope_freqs.weight", {l.rope_size / 2}, false);
  return table;
}

struct Model::Buffers { // of the back end: the contexts that own tensors, and their memory
  std::vector<std::unique_ptr<ggml_context, decltype(&ggml_free)>> contexts;
  std::vector<std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)>> buffers;
};

Model::Model(const std::string &path, Device &device)
    : file_(path), device_(device), buffers_(std::make_unique<Buffers>()) {
  const std::string architecture = file_.keys().string("general.architecture");
  if (architecture != "ltu")
    file_.fail("general.architecture is " + quoted(architecture) +
               ", expected \"ltu\": make an LTU model of it with ltu-convert");
  audio_ = audio_config(file_.keys());
  llama_ = llama_config(file_.keys());
  check_sampling(file_.keys());
  check_tensors();

  patch = matrix("a.patch_embd.weight");
  patch_bias = vector("a.patch_embd.bias");
  positions = vector("a.position_embd.weight");
  modality = vector("a.modality_embd");
  for (int64_t i = 0; i < audio_.blocks; ++i) {
    const std::string name = "a.blk." + std::to_string(i) + ".";
    AudioBlock &block = audio_blocks.emplace_back();
    block.norm1 = {vector(name + "ln1.weight"), vector(name + "ln1.bias")};
    block.qkv = matrix(name + "attn_qkv.weight");
    block.qkv_bias = vector(name + "attn_qkv.bias");
    block.out = matrix(name + "attn_out.weight");
    block.out_bias = vector(name + "attn_out.bias");
    block.norm2 = {vector(name + "ln2.weight"), vector(name + "ln2.bias")};
    block.up = matrix(name + "ffn_up.weight");
    block.up_bias = vector(name + "ffn_up.bias");
    block.down = matrix(name + "ffn_down.weight");
    block.down_bias = vector(name + "ffn_down.bias");
  }
  audio_norm = {vector("a.post_ln.weight"), vector("a.post_ln.bias")};
  projector = matrix("mm.a.weight");
  projector_bias = vector("mm.a.bias");

  for (int64_t i = 0; i < llama_.blocks; ++i) {
    const std::string name = "blk." + std::to_string(i) + ".";
    LlamaBlock &block = llama_blocks.emplace_back();
    block.attention_norm = {vector(name + "attn_norm.weight"), nullptr};
    block.q = matrix(name + "attn_q.weight");
    block.k = matrix(name + "attn_k.weight");
    block.v = matrix(name + "attn_v.weight");
    block.out = matrix(name + "attn_output.weight");
    block.feed_forward_norm = {vector(name + "ffn_norm.weight"), nullptr};
    block.gate = matrix(name + "ffn_gate.weight");
    block.up = matrix(name + "ffn_up.weight");
    block.down = matrix(name + "ffn_down.weight");
  }
  output_norm = {vector("output_norm.weight"), nullptr};
  token_embeddings_ = file_.find_tensor("token_embd.weight");
  output = matrix(file_.find_tensor("output.weight") ? "output.weight" : "token_embd.weight");
  if (file_.find_tensor("rope_freqs.weight"))
    rope_factors = vector("rope_freqs.weight");
  file_.release_all(); // reading one tensor makes its neighbours' pages resident, too
}

Model::~Model() = default;

void Model::check_tensors() {
  std::set<std::string> known;
  bool all_float32 = true;
  for (const TensorSpec &spec : tensor_table(audio_, llama_)) {
    known.insert(spec.name);
    const TensorInfo *tensor = file_.find_tensor(spec.name);
    if (!tensor) {
      if (spec.required)
        file_.fail("tensor " + spec.name + " is missing");
      continue;
    }
    const std::vector<int64_t> shape = trimmed(tensor->shape, spec.shape.size());
    if (shape != spec.shape)
      file_.fail("tensor " + spec.name + " has shape " + shape_text(shape) + ", the header says " +
                 shape_text(spec.shape) + ": the parts of this file come from different models");
    if (!spec.matrix && tensor->type != GGML_TYPE_F32)
      file_.fail("tensor " + spec.name + " is " + ggml_type_name(tensor->type) + ", expected f32");
    if (spec.matrix && !weight_type(tensor->type))
      file_.fail("tensor " + spec.name + " is of type " + ggml_type_name(tensor->type) +
                 ", which this engine doesn't compute with: convert it with ltu-convert");
    if (spec.matrix && spec.name.starts_with("blk."))
      all_float32 = all_float32 && tensor->type == GGML_TYPE_F32;
  }
  for (const TensorInfo &tensor : file_.tensors())
    if (!known.contains(tensor.name))
      file_.fail("tensor " + tensor.name + " is not part of an LTU model");
  half_cache_ = !all_float32;
}

ggml_tensor *Model::place(const TensorInfo &info) {
  const ggml_init_params params{.mem_size = ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true};
  ggml_context *context = buffers_->contexts.emplace_back(ggml_init(params), ggml_free).get();
  ggml_tensor *tensor = ggml_new_tensor(context, info.type, GGML_MAX_DIMS, info.shape.data());
  ggml_set_name(tensor, info.name.c_str());
  ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, device_.buffer_type());
  if (!buffer)
    throw Error("not enough memory on " + device_.name() + " for " + file_.path());
  buffers_->buffers.emplace_back(buffer, ggml_backend_buffer_free);
  ggml_backend_tensor_set(tensor, info.data.data(), 0, info.data.size());
  bytes_ += info.data.size();
  file_.release(info.data);
  return tensor;
}

ggml_tensor *Model::vector(const std::string &name) {
  const TensorInfo &info = *file_.find_tensor(name);
  return place(info);
}

Matrix Model::matrix(const std::string &name) {
  const TensorInfo &info = *file_.find_tensor(name);
  Matrix result;
  result.rows = info.rows();
  result.columns = info.columns();
  if (device_.own_kernels()) {
    result.packed = kernels::PackedMatrix(*weight_type(info.type), result.rows, result.columns);
    const size_t row = ggml_row_size(info.type, result.columns);
    constexpr int64_t panel = 16;
    const int64_t piece =
        std::max<int64_t>(panel, (int64_t{4} << 20) / static_cast<int64_t>(row) / panel * panel);
    for (int64_t first = 0; first < result.rows;
         first += piece) { // a piece at a time, so that no tensor is held twice
      const int64_t count = std::min(piece, result.rows - first);
      const auto rows = info.data.subspan(row * static_cast<size_t>(first), row * static_cast<size_t>(count));
      result.packed.pack_rows(rows.data(), first, count);
      file_.release(rows);
    }
    bytes_ += result.packed.bytes();
  } else {
    result.tensor = place(info);
  }
  return result;
}

void Model::token_embedding(int32_t token, float *out) const {
  const size_t bytes = ggml_row_size(token_embeddings_->type, llama_.width);
  const auto row = token_embeddings_->data.subspan(bytes * static_cast<size_t>(token), bytes);
  if (token_embeddings_->type == GGML_TYPE_F32)
    return file_.read(row, reinterpret_cast<std::byte *>(out));
  std::vector<std::byte> packed(bytes);
  file_.read(row, packed.data());
  ggml_get_type_traits(token_embeddings_->type)->to_float(packed.data(), out, llama_.width);
}

} // namespace ltu
