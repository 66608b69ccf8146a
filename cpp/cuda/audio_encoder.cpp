#include "cuda/audio_encoder.h"
#include "compute/clip_paths.h"
#include "cuda/attention_plan.h"
#include "cuda/audio_rows.h"
#include "cuda/path_attention.h"
#include "cuda/weights.h"
#include "ggml.h"
#include <algorithm>

namespace ltu::cuda {

namespace {

const float *values(const ggml_tensor *vector) {
  return static_cast<const float *>(vector->data);
}

class Encoder : public AudioEncoder {
public:
  Encoder(const Model &model, Device &device, std::unique_ptr<Card> card)
      : model_(model), audio_(model.audio()), heads_{audio_.heads, audio_.heads, audio_.head_size()},
        device_(device), card_(std::move(card)), weights_(model, *card_, device.pool()) {}

  AudioEmbeddings encode(const float *features, int64_t clips) override {
    card_->use();
    AudioEmbeddings result;
    for (int64_t first = 0; first < clips; first += clips_at_once) {
      device_.check_interrupted();
      const int64_t count = std::min(clips_at_once, clips - first);
      encode_some(features + first * audio_.frames * audio_.mels, count);
      append(result.pooled, pooled_, count * audio_.embeddings * audio_.width);
      append(result.projected, projected_, count * audio_.embeddings * audio_.projection);
    }
    return result;
  }

  bool batch_invariant() const override { return true; }
  size_t bytes() const override { return weights_.bytes(); }

private:
  const Model &model_;
  const AudioConfig &audio_;
  const Heads heads_;
  Device &device_;
  std::unique_ptr<Card> card_;
  AudioWeights weights_;

  int64_t planned_clips_ = 0;
  CardArray<int32_t> order_{*card_}, groups_{*card_};
  CardArray<PathBlock> blocks_{*card_};
  int64_t group_count_ = 0;

  PinnedVector<float> features_on_host_, results_on_host_;
  CardArray<float> features_{*card_};         // [clips, frames, mels]
  CardArray<float> x_{*card_}, wide_{*card_}; // [n, width], [n, widest product]
  CardArray<Half> normed_{*card_}, hidden_{*card_},
      pixels_{*card_}; // [n, width], [n, feed_forward], [n, patch²]
  CardArray<Half> queries_{*card_}, keys_{*card_}, values_{*card_}; // [n, width]
  CardArray<float> pooled_{*card_}, projected_{*card_};             // [clips × embeddings, …]

  void encode_some(const float *features, int64_t clips) {
    const int64_t n = clips * audio_.patches(), width = audio_.width, pixels = audio_.patch * audio_.patch;
    reserve(clips);
    plan(clips);
    send(features, clips);

    // x = patch embedding + position + modality
    cut_patches(*card_, features_.data(), pixels_.data(), clips, audio_.frames, audio_.mels, audio_.patch);
    float *x = x_.data();
    card_->multiply(weights_.patch(), width, pixels, pixels_.data(), n, x, false);
    place_patches(*card_, x, values(model_.patch_bias), values(model_.positions), values(model_.modality), n,
                  audio_.patches(), width);
    const float *bias = nullptr; // of the product that was added to x last
    for (int64_t i = 0; i < std::ssize(model_.audio_blocks); ++i) {
      const AudioBlock &block = model_.audio_blocks[static_cast<size_t>(i)];
      const AudioWeights::Block &matrices = weights_.blocks()[static_cast<size_t>(i)];
      // x += out(attention(norm1(x)))
      add_and_norm(*card_, x, bias, norm(block.norm1), normed_.data(), n, width);
      card_->multiply(matrices.qkv.data(), 3 * width, width, normed_.data(), n, wide_.data(), false);
      split_heads(*card_, wide_.data(), values(block.qkv_bias), queries_.data(), keys_.data(), values_.data(),
                  n, width);
      Half *attended = normed_.data();
      path_attention(*card_, queries_.data(), keys_.data(), values_.data(), order_.data(), blocks_.data(),
                     groups_.data(), group_count_, heads_, attended, n);
      card_->multiply(matrices.out.data(), width, width, attended, n, x, true);
      // x += down(gelu(up(norm2(x))))
      add_and_norm(*card_, x, values(block.out_bias), norm(block.norm2), normed_.data(), n, width);
      card_->multiply(matrices.up.data(), audio_.feed_forward, width, normed_.data(), n, wide_.data(), false);
      gelu(*card_, wide_.data(), values(block.up_bias), hidden_.data(), n, audio_.feed_forward);
      card_->multiply(matrices.down.data(), width, audio_.feed_forward, hidden_.data(), n, x, true);
      bias = values(block.down_bias);
    }
    pool_patches(*card_, x, bias, norm(model_.audio_norm), pooled_.data(), clips, audio_.mels / audio_.patch,
                 audio_.frames / audio_.patch, audio_.time_pool, width);
    // projector(layer_norm(pooled / 50)), the norm without parameters
    const int64_t embeddings = clips * audio_.embeddings;
    scale_and_norm(*card_, pooled_.data(), audio_.divisor, audio_.projector_epsilon, normed_.data(),
                   embeddings, width);
    card_->multiply(weights_.projector(), audio_.projection, width, normed_.data(), embeddings,
                    projected_.data(), false);
    add_bias(*card_, projected_.data(), values(model_.projector_bias), embeddings, audio_.projection);
  }

  LayerNorm norm(const Norm &norm) const {
    return {values(norm.weight), values(norm.bias), audio_.norm_epsilon};
  }

  void reserve(int64_t clips) {
    const auto of = [](int64_t rows, int64_t size) { return static_cast<size_t>(product_rows(rows) * size); };
    const int64_t n = clips * audio_.patches(), embeddings = clips * audio_.embeddings, width = audio_.width;
    features_.reserve(of(clips, audio_.frames * audio_.mels));
    pixels_.reserve(of(n, audio_.patch * audio_.patch));
    x_.reserve(of(n, width));
    normed_.reserve(of(std::max(n, embeddings), width));
    wide_.reserve(of(n, std::max(3 * width, audio_.feed_forward)));
    for (CardArray<Half> *part : {&queries_, &keys_, &values_})
      part->reserve(of(n, width));
    hidden_.reserve(of(n, audio_.feed_forward));
    pooled_.reserve(of(embeddings, width));
    projected_.reserve(of(embeddings, audio_.projection));
  }

  void plan(int64_t clips) {
    if (clips == planned_clips_)
      return;
    const ClipPaths clip_paths(audio_.patches(), clips);
    AttentionPlan plan;
    plan.make(clip_paths.paths, clip_paths.lengths);
    const auto upload = [&]<class T>(CardArray<T> &place, const std::vector<T> &from) {
      card_->upload(place.reserve(from.size()), from.data(), from.size() * sizeof(T));
    };
    upload(order_, plan.order);
    upload(blocks_, plan.blocks);
    upload(groups_, plan.groups);
    card_->wait();
    group_count_ = std::ssize(plan.groups) - 1;
    planned_clips_ = clips;
  }

  void send(const float *features, int64_t clips) {
    const auto size = static_cast<size_t>(audio_.frames * audio_.mels);
    features_on_host_.resize(static_cast<size_t>(clips) * size);
    float *host = features_on_host_.data();
    device_.pool().run(static_cast<uint32_t>(clips),
                       [&](uint32_t clip) { std::copy_n(features + clip * size, size, host + clip * size); });
    card_->upload(features_.data(), host, static_cast<size_t>(clips) * size * sizeof(float));
  }

  void append(std::vector<float> &to, const CardArray<float> &from, int64_t size) {
    const auto count = static_cast<size_t>(size);
    results_on_host_.resize(count);
    card_->download(results_on_host_.data(), from.data(), count * sizeof(float));
    card_->wait();
    to.insert(to.end(), results_on_host_.begin(), results_on_host_.end());
  }
};

} // namespace

std::unique_ptr<AudioEncoder> audio_encoder(const Model &model, Device &device, std::unique_ptr<Card> card) {
  return std::make_unique<Encoder>(model, device, std::move(card));
}

} // namespace ltu::cuda
