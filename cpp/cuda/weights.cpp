#include "cuda/weights.h"
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

} // namespace

size_t LlamaWeights::bytes(const LlamaConfig &l, bool tied) {
  const int64_t block =
      l.width * (l.query_size() + 2 * l.kv_size()) + l.query_size() * l.width + 3 * l.feed_forward * l.width;
  const int64_t halves = l.blocks * block + (tied ? 1 : 2) * l.vocabulary * l.width;
  return static_cast<size_t>(halves) * sizeof(Half);
}

LlamaWeights::LlamaWeights(const Model &model, Card &card, ThreadPool &pool)
    : card_(card), pool_(pool), file_(model.file()), staging_(card), token_table_(card), output_(card),
      tied_(model.output.source == model.token_embeddings) {
  staging_.reserve(staging_halves);
  for (const LlamaBlock &block : model.llama_blocks) {
    Block &place =
        blocks_.emplace_back(Block{CardArray<Half>(card), CardArray<Half>(card), CardArray<Half>(card),
                                   CardArray<Half>(card), CardArray<float>(card)});
    fill(place.qkv, {block.q.source, block.k.source, block.v.source});
    fill(place.out, {block.out.source});
    fill(place.gate_up, {block.gate.source, block.up.source});
    fill(place.down, {block.down.source});
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
  fill(token_table_, {model.token_embeddings});
  if (!tied_)
    fill(output_, {model.output.source});
}

void LlamaWeights::fill(CardArray<Half> &place, const std::vector<const TensorInfo *> &matrices) {
  size_t size = 0;
  for (const TensorInfo *matrix : matrices)
    size += elements(*matrix);
  Half *next = place.reserve(size);
  for (const TensorInfo *matrix : matrices)
    next = copy(*matrix, next);
}

// Row by row through pinned memory; returns the place behind it.
Half *LlamaWeights::copy(const TensorInfo &matrix, Half *place) {
  const auto columns = static_cast<size_t>(matrix.columns()), rows = static_cast<size_t>(matrix.rows());
  const size_t row_bytes = ggml_row_size(matrix.type, matrix.columns());
  const size_t rows_at_once = std::max<size_t>(1, staging_halves / columns);
  Half *staging = staging_.reserve(columns);
  for (size_t first = 0; first < rows; first += rows_at_once) {
    const size_t count = std::min(rows_at_once, rows - first);
    const auto parts = static_cast<uint32_t>(pool_.threads());
    std::atomic<bool> beyond{false};
    pool_.run(parts, [&](uint32_t part) {
      const size_t begin = count * part / parts, end = count * (part + 1) / parts;
      const auto data = matrix.data.subspan((first + begin) * row_bytes, (end - begin) * row_bytes);
      if (matrix.type == GGML_TYPE_F16)
        return file_.read(data, reinterpret_cast<std::byte *>(staging + begin * columns));
      std::vector<std::byte> packed(data.size());
      file_.read(data, packed.data());
      std::vector<float> floats(columns);
      for (size_t row = begin; row < end; ++row) {
        const std::byte *source = packed.data() + (row - begin) * row_bytes;
        if (matrix.type == GGML_TYPE_F32)
          std::copy_n(reinterpret_cast<const float *>(source), columns, floats.data());
        else
          ggml_get_type_traits(matrix.type)->to_float(source, floats.data(), matrix.columns());
        auto *halves = reinterpret_cast<ggml_fp16_t *>(staging + row * columns);
        ggml_fp32_to_fp16_row(floats.data(), halves, matrix.columns());
        if (std::any_of(halves, halves + columns,
                        [](ggml_fp16_t h) { return (h & not_finite) == not_finite; }))
          beyond = true;
      }
    });
    if (beyond)
      file_.fail("tensor " + matrix.name +
                 " has a weight beyond float16's range; compute it on the CPU (--device cpu)");
    card_.upload(place + first * columns, staging, count * columns * sizeof(Half));
    card_.wait();
  }
  return place + rows * columns;
}

} // namespace ltu::cuda
