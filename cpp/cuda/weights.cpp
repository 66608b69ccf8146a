#include "cuda/weights.h"
#include "file/quantize.h"
#include "ggml-backend.h"
#include "ggml.h"
#include <algorithm>
#include <atomic>

namespace ltu::cuda {

namespace {

constexpr size_t staging_halves = size_t{32} << 20;
constexpr uint16_t not_finite = 0x7c00; // an exponent of ones

size_t elements(const TensorInfo &matrix) {
  return static_cast<size_t>(matrix.rows() * matrix.columns());
}

// Copies matrices to the card, row by row through pinned memory.
class Loader {
public:
  Loader(const GgufFile &file, Card &card, ThreadPool &pool)
      : file_(file), card_(card), pool_(pool), staging_(staging_halves) {}

  // One behind another.
  void fill(CardArray<Half> &place, const std::vector<const TensorInfo *> &matrices) {
    size_t size = 0;
    for (const TensorInfo *matrix : matrices)
      size += elements(*matrix);
    Half *next = place.reserve(size);
    for (const TensorInfo *matrix : matrices) {
      copy(*matrix, next);
      next += elements(*matrix);
    }
  }

private:
  const GgufFile &file_;
  Card &card_;
  ThreadPool &pool_;
  PinnedVector<Half> staging_;

  void copy(const TensorInfo &matrix, Half *place) {
    const auto columns = static_cast<size_t>(matrix.columns()), rows = static_cast<size_t>(matrix.rows());
    const size_t row_bytes = ggml_row_size(matrix.type, matrix.columns());
    const size_t rows_at_once = std::max<size_t>(1, staging_halves / columns);
    staging_.resize(std::max(staging_.size(), columns));
    for (size_t first = 0; first < rows; first += rows_at_once) {
      const size_t count = std::min(rows_at_once, rows - first);
      const auto parts = static_cast<uint32_t>(pool_.threads());
      std::atomic<bool> beyond{false};
      pool_.run(parts, [&](uint32_t part) {
        const size_t begin = count * part / parts, end = count * (part + 1) / parts;
        const auto data = matrix.data.subspan((first + begin) * row_bytes, (end - begin) * row_bytes);
        Half *to = staging_.data() + begin * columns;
        if (matrix.type == GGML_TYPE_F16)
          return file_.read(data, reinterpret_cast<std::byte *>(to));
        std::vector<std::byte> packed(data.size());
        file_.read(data, packed.data());
        const std::vector<float> floats =
            dequantize(reinterpret_cast<const uint8_t *>(packed.data()), static_cast<int64_t>(end - begin),
                       matrix.columns(), matrix.type);
        ggml_fp32_to_fp16_row(floats.data(), reinterpret_cast<ggml_fp16_t *>(to), std::ssize(floats));
        if (std::any_of(to, to + floats.size(), [](Half h) { return (h.bits & not_finite) == not_finite; }))
          beyond = true;
      });
      if (beyond)
        file_.fail("tensor " + matrix.name +
                   " has a weight beyond float16's range; compute it on the CPU (--device cpu)");
      card_.upload(place + first * columns, staging_.data(), count * columns * sizeof(Half));
      card_.wait();
    }
  }
};

} // namespace

LlamaWeights::LlamaWeights(const Model &model, Card &card, ThreadPool &pool)
    : token_table_(card), output_(card), tied_(model.output.source == model.token_embeddings) {
  Loader loader(model.file(), card, pool);
  for (const LlamaBlock &block : model.llama_blocks) {
    Block &place =
        blocks_.emplace_back(Block{CardArray<Half>(card), CardArray<Half>(card), CardArray<Half>(card),
                                   CardArray<Half>(card), CardArray<float>(card)});
    loader.fill(place.qkv, {block.q.source, block.k.source, block.v.source});
    loader.fill(place.out, {block.out.source});
    loader.fill(place.gate_up, {block.gate.source, block.up.source});
    loader.fill(place.down, {block.down.source});
    if (!block.q_bias)
      continue;
    std::vector<float> biases;
    for (ggml_tensor *bias : {block.q_bias, block.k_bias, block.v_bias}) {
      const auto size = static_cast<size_t>(ggml_nelements(bias));
      biases.resize(biases.size() + size);
      ggml_backend_tensor_get(bias, biases.data() + biases.size() - size, 0, size * sizeof(float));
    }
    card.upload(place.qkv_bias.reserve(biases.size()), biases.data(), biases.size() * sizeof(float));
    card.wait();
  }
  loader.fill(token_table_, {model.token_embeddings});
  if (!tied_)
    loader.fill(output_, {model.output.source});
}

size_t LlamaWeights::bytes() const {
  size_t halves = token_table_.size() + output_.size();
  for (const Block &block : blocks_)
    halves += block.qkv.size() + block.out.size() + block.gate_up.size() + block.down.size();
  return halves * sizeof(Half);
}

AudioWeights::AudioWeights(const Model &model, Card &card, ThreadPool &pool)
    : patch_(card), projector_(card) {
  Loader loader(model.file(), card, pool);
  loader.fill(patch_, {model.patch.source});
  loader.fill(projector_, {model.projector.source});
  for (const AudioBlock &block : model.audio_blocks) {
    Block &place = blocks_.emplace_back(
        Block{CardArray<Half>(card), CardArray<Half>(card), CardArray<Half>(card), CardArray<Half>(card)});
    loader.fill(place.qkv, {block.qkv.source});
    loader.fill(place.out, {block.out.source});
    loader.fill(place.up, {block.up.source});
    loader.fill(place.down, {block.down.source});
  }
}

size_t AudioWeights::bytes() const {
  size_t halves = patch_.size() + projector_.size();
  for (const Block &block : blocks_)
    halves += block.qkv.size() + block.out.size() + block.up.size() + block.down.size();
  return halves * sizeof(Half);
}

} // namespace ltu::cuda
