#include "compute/graph.h"
#include "compute/language_model.h"
#include "compute/rope.h"
#include "kernels/attention.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace ltu {

namespace {

// ggml's attention on CUDA reads large masks by up to 64 rows together, and beyond the last one.
int64_t mask_rows(int64_t n) {
  return n < 1024 ? n : GGML_PAD(n, 64);
}

// Attention of a batch of tree positions, on our kernels or through a mask.
class PathAttention {
public:
  PathAttention(Graph &graph, const Model &model, KvCells &cells, const LlamaBatch &batch)
      : graph_(graph), model_(model), llama_(model.llama()), cells_(cells), batch_(batch),
        seen_(batch.depths) {
    for (int32_t &length : seen_)
      ++length;
    depths_ = graph.input(GGML_TYPE_I32, batch.size(), 1);
    if (graph.device().own_kernels()) {
      units_ = graph.input(GGML_TYPE_F32, llama_.head_size, batch.size());
      turns_ = rotate(units_, 1);
      return;
    }
    int32_t last = 0;
    for (size_t i = 0; i < seen_.size(); ++i)
      last = std::max(last, *std::max_element(batch.paths[i], batch.paths[i] + seen_[i]));
    visible_ = std::min(cells.cells().capacity(), (last / KvCells::tile + 1) * KvCells::tile);
    mask_ = graph.input(GGML_TYPE_F16, visible_, mask_rows(batch.size()));
    targets_ = graph.input(GGML_TYPE_I64, batch.size(), 1);
  }

  // q: [heads × head_size, n], k and v: [kv_size, n], not rotated yet. Returns [heads × head_size, n].
  ggml_tensor *operator()(int64_t block, ggml_tensor *q, ggml_tensor *k, ggml_tensor *v) {
    return graph_.device().own_kernels()
               ? own(block, q, k, v)
               : masked(block, rotate(q, llama_.heads), rotate(k, llama_.kv_heads), v);
  }

  void set_inputs() const {
    const auto n = static_cast<size_t>(batch_.size());
    ggml_backend_tensor_set(depths_, batch_.depths.data(), 0, n * sizeof(int32_t));
    if (units_) {
      std::vector<float> units(n * static_cast<size_t>(llama_.head_size));
      for (size_t i = 0; i < units.size(); i += 2)
        units[i] = 1;
      ggml_backend_tensor_set(units_, units.data(), 0, units.size() * sizeof(float));
    }
    if (!mask_)
      return;
    std::vector<ggml_fp16_t> mask(static_cast<size_t>(ggml_nelements(mask_)), ggml_fp32_to_fp16(-INFINITY));
    std::vector<int64_t> targets(n);
    for (size_t i = 0; i < n; ++i) {
      for (int32_t j = 0; j < seen_[i]; ++j)
        mask[i * static_cast<size_t>(visible_) + static_cast<size_t>(batch_.paths[i][j])] = 0;
      targets[i] = batch_.cell(static_cast<int64_t>(i));
    }
    ggml_backend_tensor_set(mask_, mask.data(), 0, mask.size() * sizeof(ggml_fp16_t));
    ggml_backend_tensor_set(targets_, targets.data(), 0, n * sizeof(int64_t));
  }

private:
  Graph &graph_;
  const Model &model_;
  const LlamaConfig &llama_;
  KvCells &cells_;
  const LlamaBatch &batch_;
  std::vector<int32_t> seen_; // [n] length of each path
  int64_t visible_ = 0;       // cells that the mask covers
  ggml_tensor *depths_ = nullptr, *mask_ = nullptr, *targets_ = nullptr;
  // Our kernels: a head of (1, 0) for each position; rotated, it holds the cosines and sines, which all heads
  // of all blocks share.
  ggml_tensor *units_ = nullptr, *turns_ = nullptr;

  float scale() const { return 1.0F / std::sqrt(static_cast<float>(llama_.head_size)); }

  ggml_tensor *rotate(ggml_tensor *x, int64_t heads) { // RoPE of each head
    ggml_context *c = graph_.context();
    const int64_t n = batch_.size();
    x = ggml_reshape_3d(c, x, llama_.head_size, heads, n);
    x = rope(c, llama_, model_.rope_factors, x, depths_);
    return ggml_reshape_2d(c, x, llama_.head_size * heads, n);
  }

  ggml_tensor *own(int64_t block, ggml_tensor *q, ggml_tensor *k, ggml_tensor *v) {
    std::byte *keys = cells_.keys(block), *values = cells_.values(block);
    ggml_tensor *rotated = graph_.custom( // and the rotated keys and the values put into their cells
        GGML_TYPE_F32, q->ne[0], q->ne[1], {q, k, v, turns_},
        [=, this](ggml_tensor *out, int part, int parts) {
          std::vector<float> key(static_cast<size_t>(llama_.kv_size()));
          for (int64_t i = batch_.size() * part / parts; i < batch_.size() * (part + 1) / parts; ++i) {
            kernels::rotate(row(q, i), row(turns_, i), static_cast<int>(llama_.heads),
                            static_cast<int>(llama_.head_size), row(out, i));
            kernels::rotate(row(k, i), row(turns_, i), static_cast<int>(llama_.kv_heads),
                            static_cast<int>(llama_.head_size), key.data());
            store(key.data(), keys, i);
            store(row(v, i), values, i);
          }
        });
    return graph_.custom(GGML_TYPE_F32, q->ne[0], q->ne[1], {rotated},
                         [=, this](ggml_tensor *out, int thread, int threads) {
                           kernels::attend({.q = static_cast<const float *>(rotated->data),
                                            .q_stride = static_cast<int64_t>(rotated->nb[1] / sizeof(float)),
                                            .k = keys,
                                            .v = values,
                                            .kv_stride = llama_.kv_size(),
                                            .half = cells_.half(),
                                            .heads = static_cast<int>(llama_.heads),
                                            .kv_heads = static_cast<int>(llama_.kv_heads),
                                            .head_dim = static_cast<int>(llama_.head_size),
                                            .scale = scale(),
                                            .cells = batch_.paths.data(),
                                            .lengths = seen_.data(),
                                            .positions = static_cast<int>(batch_.size()),
                                            .out = static_cast<float *>(out->data),
                                            .out_stride = static_cast<int64_t>(out->nb[1] / sizeof(float))},
                                           thread, threads);
                         });
  }

  static float *row(const ggml_tensor *x, int64_t i) {
    return reinterpret_cast<float *>(static_cast<std::byte *>(x->data) + static_cast<size_t>(i) * x->nb[1]);
  }

  void store(const float *row, std::byte *cells, int64_t i) const { // position i's keys or values
    const auto place = static_cast<size_t>(batch_.cell(i)) * static_cast<size_t>(llama_.kv_size());
    if (cells_.half())
      ggml_cpu_fp32_to_fp16(row, reinterpret_cast<ggml_fp16_t *>(cells) + place, llama_.kv_size());
    else
      std::memcpy(reinterpret_cast<float *>(cells) + place, row,
                  static_cast<size_t>(llama_.kv_size()) * sizeof(float));
  }

  ggml_tensor *masked(int64_t block, ggml_tensor *q, ggml_tensor *k, ggml_tensor *v) {
    ggml_context *c = graph_.context();
    const auto heads = [&](ggml_tensor *cache, ggml_tensor *fresh) { // [head_size, visible, kv_heads]
      ggml_tensor *filled = ggml_set_rows(c, cache, fresh, targets_);
      const size_t head = ggml_row_size(cache->type, llama_.head_size);
      return ggml_view_3d(c, filled, llama_.head_size, visible_, llama_.kv_heads, cache->nb[1], head, 0);
    };
    ggml_tensor *query = ggml_reshape_3d(c, q, llama_.head_size, llama_.heads, q->ne[1]);
    ggml_tensor *out =
        ggml_flash_attn_ext(c, ggml_permute(c, query, 0, 2, 1, 3), heads(cells_.key_tensor(block), k),
                            heads(cells_.value_tensor(block), v), mask_, scale(), 0.0F, 0.0F);
    ggml_flash_attn_ext_set_prec(out, GGML_PREC_F32);
    return ggml_reshape_2d(c, out, q->ne[0], q->ne[1]);
  }
};

// The input embedding of each position, [n, width].
std::vector<float> embedded(const Model &model, const ClipStore &clips, const LlamaBatch &batch) {
  const auto width = static_cast<size_t>(model.llama().width);
  std::vector<float> rows(batch.labels.size() * width);
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    float *out = rows.data() + i * width;
    if (batch.labels[i] >= 0)
      model.token_embedding(static_cast<int32_t>(batch.labels[i]), out);
    else
      std::copy_n(clips.embedding(batch.labels[i]), width, out);
  }
  return rows;
}

class LlamaGraph : public LanguageModel {
public:
  LlamaGraph(const Model &model, Device &device) : model_(model), device_(device) {}

  void forward(const ClipStore &clips, KvCells &cells, const LlamaBatch &batch) override {
    const LlamaConfig &llama = model_.llama();
    Graph graph(device_);
    ggml_context *c = graph.context();
    const int64_t n = batch.size();
    ggml_tensor *embeddings = graph.input(GGML_TYPE_F32, llama.width, n);
    ggml_tensor *wanted = graph.input(GGML_TYPE_I32, static_cast<int64_t>(batch.outputs.size()), 1);
    PathAttention attention(graph, model_, cells, batch);

    ggml_tensor *x = embeddings;
    for (int64_t i = 0; i < llama.blocks; ++i) {
      const LlamaBlock &block = model_.llama_blocks[static_cast<size_t>(i)];
      // x += attention(norm(x))
      Input normed{Source::rms_norm(x, block.attention_norm, llama.norm_epsilon)};
      ggml_tensor *q = graph.linear(normed, block.q, {.bias = block.q_bias});
      ggml_tensor *k = graph.linear(normed, block.k, {.bias = block.k_bias});
      ggml_tensor *v = graph.linear(normed, block.v, {.bias = block.v_bias});
      ggml_tensor *attended = attention(i, q, k, v);
      if (i + 1 == llama.blocks) { // from here on only what is asked for
        attended = ggml_get_rows(c, attended, wanted);
        x = ggml_get_rows(c, x, wanted);
      }
      x = graph.linear(attended, block.out, {.residual = x});
      // x += down(silu(gate(norm(x))) × up(norm(x)))
      Input again{Source::rms_norm(x, block.feed_forward_norm, llama.norm_epsilon)};
      ggml_tensor *gate = graph.linear(again, block.gate);
      ggml_tensor *up = graph.linear(again, block.up);
      x = graph.linear(Source::swiglu(gate, up), block.down, {.residual = x});
    }
    ggml_tensor *logits =
        graph.linear(Source::rms_norm(x, model_.output_norm, llama.norm_epsilon), model_.output);
    graph.output(logits);

    graph.allocate();
    const std::vector<float> rows = embedded(model_, clips, batch);
    ggml_backend_tensor_set(embeddings, rows.data(), 0, ggml_nbytes(embeddings));
    ggml_backend_tensor_set(wanted, batch.outputs.data(), 0, ggml_nbytes(wanted));
    attention.set_inputs();
    graph.compute();
    logits_ = device_.values(logits);
  }

  std::span<const float> logits(int64_t output) override {
    const auto vocabulary = static_cast<size_t>(model_.llama().vocabulary);
    return logits_.subspan(vocabulary * static_cast<size_t>(output), vocabulary);
  }

private:
  const Model &model_;
  Device &device_;
  std::span<const float> logits_; // of the last forward
};

} // namespace

std::unique_ptr<LanguageModel> llama_graph(const Model &model, Device &device) {
  return std::make_unique<LlamaGraph>(model, device);
}

} // namespace ltu
