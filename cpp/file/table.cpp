#include "file/table.h"

namespace ltu {

namespace {

struct Table {
  std::vector<TensorSpec> rows;

  void matrix(const std::string &name, const std::string &source, int64_t columns, int64_t count,
              Matrix &place, bool required = true) {
    rows.push_back({name, source, {columns, count}, &place, required});
  }
  void vector(const std::string &name, const std::string &source, std::vector<int64_t> shape,
              ggml_tensor *&place, bool required = true) {
    rows.push_back({name, source, std::move(shape), &place, required});
  }
  void linear(const std::string &name, const std::string &source, int64_t columns, int64_t count,
              Matrix &weight, ggml_tensor *&bias) {
    matrix(name + ".weight", source + ".weight", columns, count, weight);
    vector(name + ".bias", source + ".bias", {count}, bias);
  }
  void layer_norm(const std::string &name, const std::string &source, int64_t width, Norm &norm) {
    vector(name + ".weight", source + ".weight", {width}, norm.weight);
    vector(name + ".bias", source + ".bias", {width}, norm.bias);
  }
};

} // namespace

std::vector<TensorSpec> audio_table(const AudioConfig &a, Weights &w) {
  Table table;
  const std::string encoder = "model.audio_encoder.";
  table.linear("a.patch_embd", encoder + "patch_embed_a.proj", a.patch * a.patch, a.width, w.patch,
               w.patch_bias);
  table.vector("a.position_embd.weight", encoder + "pos_embed_a", {a.width, a.patches()}, w.positions);
  table.vector("a.modality_embd", encoder + "modality_a", {a.width}, w.modality);
  w.audio_blocks.resize(static_cast<size_t>(a.blocks));
  for (int64_t i = 0; i < a.blocks; ++i) {
    AudioBlock &b = w.audio_blocks[static_cast<size_t>(i)];
    const int64_t alone = a.blocks - a.joint_blocks; // joint blocks follow, used with their audio norms
    const std::string name = "a.blk." + std::to_string(i) + ".", norms = i < alone ? "" : "_a";
    const std::string source =
        encoder + (i < alone ? "blocks_a." + std::to_string(i) : "blocks_u." + std::to_string(i - alone)) +
        ".";
    table.layer_norm(name + "ln1", source + "norm1" + norms, a.width, b.norm1);
    table.linear(name + "attn_qkv", source + "attn.qkv", a.width, 3 * a.width, b.qkv, b.qkv_bias);
    table.linear(name + "attn_out", source + "attn.proj", a.width, a.width, b.out, b.out_bias);
    table.layer_norm(name + "ln2", source + "norm2" + norms, a.width, b.norm2);
    table.linear(name + "ffn_up", source + "mlp.fc1", a.width, a.feed_forward, b.up, b.up_bias);
    table.linear(name + "ffn_down", source + "mlp.fc2", a.feed_forward, a.width, b.down, b.down_bias);
  }
  table.layer_norm("a.post_ln", encoder + "norm_a", a.width, w.audio_norm);
  table.linear("mm.a", "model.audio_proj.1", a.width, a.projection, w.projector, w.projector_bias);
  return std::move(table.rows);
}

std::vector<TensorSpec> llama_table(const LlamaConfig &l, Weights &w) {
  Table table;
  table.rows.push_back(
      {"token_embd.weight", "model.embed_tokens.weight", {l.width, l.vocabulary}, &w.token_embeddings});
  w.llama_blocks.resize(static_cast<size_t>(l.blocks));
  for (int64_t i = 0; i < l.blocks; ++i) {
    LlamaBlock &b = w.llama_blocks[static_cast<size_t>(i)];
    const std::string name = "blk." + std::to_string(i) + ".";
    const std::string source = "model.layers." + std::to_string(i) + ".";
    const auto projection = [&](const std::string &to, const std::string &from, int64_t rows, Matrix &weight,
                                ggml_tensor *&bias) {
      if (l.architecture.biased)
        table.linear(name + to, source + from, l.width, rows, weight, bias);
      else
        table.matrix(name + to + ".weight", source + from + ".weight", l.width, rows, weight);
    };
    table.vector(name + "attn_norm.weight", source + "input_layernorm.weight", {l.width},
                 b.attention_norm.weight);
    projection("attn_q", "self_attn.q_proj", l.query_size(), b.q, b.q_bias);
    projection("attn_k", "self_attn.k_proj", l.kv_size(), b.k, b.k_bias);
    projection("attn_v", "self_attn.v_proj", l.kv_size(), b.v, b.v_bias);
    table.matrix(name + "attn_output.weight", source + "self_attn.o_proj.weight", l.query_size(), l.width,
                 b.out);
    table.vector(name + "ffn_norm.weight", source + "post_attention_layernorm.weight", {l.width},
                 b.feed_forward_norm.weight);
    table.matrix(name + "ffn_gate.weight", source + "mlp.gate_proj.weight", l.width, l.feed_forward, b.gate);
    table.matrix(name + "ffn_up.weight", source + "mlp.up_proj.weight", l.width, l.feed_forward, b.up);
    table.matrix(name + "ffn_down.weight", source + "mlp.down_proj.weight", l.feed_forward, l.width, b.down);
  }
  table.vector("output_norm.weight", "model.norm.weight", {l.width}, w.output_norm.weight);
  table.matrix("output.weight", "lm_head.weight", l.width, l.vocabulary, w.output, false);
  table.vector("rope_freqs.weight", "", {l.rope_size / 2}, w.rope_factors, false);
  return std::move(table.rows);
}

} // namespace ltu
