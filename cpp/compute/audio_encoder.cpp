#include "compute/audio_encoder.h"
#include "compute/clip_paths.h"
#include "compute/graph.h"
#include "kernels/attention.h"
#include "support/memory.h"
#include <cmath>

namespace ltu {

namespace {

// Cuts the features into patches, frequency-major: row (clip, f, t) holds the pixels of patch (f, t), mel by
// mel.
std::vector<float> patches(const AudioConfig &audio, const float *features, int64_t clips, ThreadPool &pool) {
  const int64_t across = audio.frames / audio.patch, pixels = audio.patch * audio.patch;
  std::vector<float> out(static_cast<size_t>(clips * audio.patches() * pixels));
  pool.run(static_cast<uint32_t>(clips), [&](uint32_t clip) {
    for (int64_t i = 0; i < audio.patches(); ++i) {
      const int64_t f = i / across, t = i % across;
      const float *corner = features + (clip * audio.frames + t * audio.patch) * audio.mels + f * audio.patch;
      float *patch = out.data() + (clip * audio.patches() + i) * pixels;
      for (int64_t mel = 0; mel < audio.patch; ++mel)
        for (int64_t frame = 0; frame < audio.patch; ++frame)
          patch[mel * audio.patch + frame] = corner[frame * audio.mels + mel];
    }
  });
  return out;
}

// Every patch of a clip attends to all patches of that clip. qkv: [3 width, clips × patches] → [width, clips
// × patches]
ggml_tensor *attention(Graph &graph, const AudioConfig &audio, const ClipPaths &clip_paths, ggml_tensor *qkv,
                       int64_t clips) {
  const float scale = 1.0F / std::sqrt(static_cast<float>(audio.head_size()));
  const int64_t n = audio.patches();
  if (graph.device().own_kernels())
    return graph.custom(GGML_TYPE_F32, audio.width, qkv->ne[1], {qkv},
                        [=, &audio, &clip_paths](ggml_tensor *out, int thread, int threads) {
                          const auto *q = static_cast<const float *>(qkv->data);
                          kernels::attend({.q = q,
                                           .q_stride = 3 * audio.width,
                                           .k = q + audio.width,
                                           .v = q + 2 * audio.width,
                                           .kv_stride = 3 * audio.width,
                                           .half = false,
                                           .heads = static_cast<int>(audio.heads),
                                           .kv_heads = static_cast<int>(audio.heads),
                                           .head_dim = static_cast<int>(audio.head_size()),
                                           .scale = scale,
                                           .cells = clip_paths.paths.data(),
                                           .lengths = clip_paths.lengths.data(),
                                           .positions = static_cast<int>(qkv->ne[1]),
                                           .out = static_cast<float *>(out->data),
                                           .out_stride = audio.width},
                                          thread, threads);
                        });
  ggml_context *c = graph.context();
  const auto part = [&](int64_t which) { // [head_size, patches, heads, clips]
    ggml_tensor *rows = ggml_view_4d(c, qkv, audio.head_size(), audio.heads, n, clips,
                                     qkv->nb[0] * static_cast<size_t>(audio.head_size()), qkv->nb[1],
                                     qkv->nb[1] * static_cast<size_t>(n),
                                     qkv->nb[0] * static_cast<size_t>(which * audio.width));
    return ggml_permute(c, rows, 0, 2, 1, 3);
  };
  ggml_tensor *out = ggml_flash_attn_ext(c, part(0), part(1), part(2), nullptr, scale, 0.0F, 0.0F);
  ggml_flash_attn_ext_set_prec(out, GGML_PREC_F32); // [head_size, heads, patches, clips]
  return ggml_reshape_2d(c, out, audio.width, n * clips);
}

// Mean over frequency, then over `time_pool` neighbours in time: [width, clips × patches] → [width, clips ×
// embeddings]
ggml_tensor *pool(Graph &graph, const AudioConfig &audio, ggml_tensor *x, int64_t clips) {
  ggml_context *c = graph.context();
  const int64_t rows = audio.mels / audio.patch, columns = audio.frames / audio.patch;
  const auto bytes = [&](int64_t tokens) { return x->nb[1] * static_cast<size_t>(tokens); };
  ggml_tensor *sum = nullptr;
  for (int64_t f = 0; f < rows; ++f) {
    ggml_tensor *row =
        ggml_view_3d(c, x, audio.width, columns, clips, bytes(1), bytes(rows * columns), bytes(f * columns));
    sum = sum ? ggml_add(c, sum, row) : ggml_cont(c, row);
  }
  ggml_tensor *pooled = nullptr;
  for (int64_t t = 0; t < audio.time_pool; ++t) {
    ggml_tensor *step = ggml_view_3d(c, sum, audio.width, audio.embeddings, clips, bytes(audio.time_pool),
                                     bytes(columns), bytes(t));
    pooled = pooled ? ggml_add(c, pooled, step) : ggml_cont(c, step);
  }
  pooled = ggml_reshape_2d(c, pooled, audio.width, audio.embeddings * clips);
  return ggml_scale(c, pooled, 1.0F / static_cast<float>(rows * audio.time_pool));
}

AudioEmbeddings compute(const Model &model, Device &device, const float *features, int64_t clips) {
  const AudioConfig &audio = model.audio();
  const ClipPaths clip_paths(audio.patches(), clips);
  Graph graph(device);
  ggml_context *c = graph.context();
  const int64_t n = audio.patches() * clips;
  ggml_tensor *pixels = graph.input(GGML_TYPE_F32, audio.patch * audio.patch, n);

  // x = patch embedding + position + modality
  ggml_tensor *place = ggml_add(c, model.positions, model.modality); // [width, patches]
  ggml_tensor *x = graph.linear(pixels, model.patch, {.bias = model.patch_bias});
  x = ggml_add(c, ggml_reshape_3d(c, x, audio.width, audio.patches(), clips), place);
  x = ggml_reshape_2d(c, x, audio.width, n);
  for (const AudioBlock &block : model.audio_blocks) {
    // x += out(attention(norm1(x)))
    ggml_tensor *qkv = graph.linear(Source::layer_norm(x, block.norm1, audio.norm_epsilon), block.qkv,
                                    {.bias = block.qkv_bias});
    ggml_tensor *attended = attention(graph, audio, clip_paths, qkv, clips);
    x = graph.linear(attended, block.out, {.bias = block.out_bias, .residual = x});
    // x += down(gelu(up(norm2(x))))
    ggml_tensor *hidden = graph.linear(Source::layer_norm(x, block.norm2, audio.norm_epsilon), block.up,
                                       {.bias = block.up_bias, .gelu = true});
    x = graph.linear(hidden, block.down, {.bias = block.down_bias, .residual = x});
  }
  x = ggml_norm(c, x, audio.norm_epsilon);
  x = ggml_add(c, ggml_mul(c, x, model.audio_norm.weight), model.audio_norm.bias);
  ggml_tensor *pooled = pool(graph, audio, x, clips);
  // projector(layer_norm(pooled / 50)), the norm without parameters
  ggml_tensor *scaled = ggml_scale(c, pooled, 1.0F / audio.divisor);
  ggml_tensor *projected = graph.linear(Source::layer_norm(scaled, {}, audio.projector_epsilon),
                                        model.projector, {.bias = model.projector_bias});
  graph.output(pooled);
  graph.output(projected);

  graph.allocate();
  const std::vector<float> cut = patches(audio, features, clips, device.pool());
  ggml_backend_tensor_set(pixels, cut.data(), 0, ggml_nbytes(pixels));
  graph.compute();
  const auto copy = [&](ggml_tensor *output) {
    const std::span<const float> values = device.values(output);
    return std::vector<float>(values.begin(), values.end());
  };
  return {.pooled = copy(pooled), .projected = copy(projected)};
}

class GraphEncoder : public AudioEncoder {
public:
  GraphEncoder(const Model &model, Device &device) : model_(model), device_(device) {}
  AudioEmbeddings encode(const float *features, int64_t clips) override {
    trim_heap(); // what computing the features left
    AudioEmbeddings result = compute(model_, device_, features, clips);
    device_.release_memory(); // many times what a step of answers needs
    trim_heap();
    return result;
  }

private:
  const Model &model_;
  Device &device_;
};

} // namespace

std::unique_ptr<AudioEncoder> audio_graph(const Model &model, Device &device) {
  return std::make_unique<GraphEncoder>(model, device);
}

} // namespace ltu
