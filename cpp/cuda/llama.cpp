#include "cuda/llama.h"
#include "compute/rope.h"
#include "cuda/attention_plan.h"
#include "cuda/draw.h"
#include "cuda/path_attention.h"
#include "cuda/rows.h"
#include "cuda/weights.h"
#include "ggml.h"
#include <algorithm>
#include <map>

namespace ltu::cuda {

namespace {

constexpr int64_t narrow_rows = 8; // of a step that ggml's own quantised products are quickest at
constexpr size_t keys_bytes = size_t{256} << 20; // of scratch for draws
constexpr int64_t rows_of_multiprocessor =
    8; // of a step: enough that products, not weights, are what takes time

// What a step sends to the card: arrays one behind another in pinned memory, and one copy.
class Upload {
public:
  explicit Upload(Card &card) : card_(card), host_(card), device_(card) {}

  void begin() { bytes_.clear(); }
  template <class T> size_t add(std::span<const T> values) {
    const size_t place = (bytes_.size() + 15) / 16 * 16;
    bytes_.resize(place + values.size_bytes());
    std::copy_n(reinterpret_cast<const std::byte *>(values.data()), values.size_bytes(),
                bytes_.data() + place);
    return place;
  }
  template <class T> size_t add(const std::vector<T> &values) { return add(std::span<const T>(values)); }
  void send() {
    std::byte *to = device_.reserve(bytes_.size() + 16);
    std::copy(bytes_.begin(), bytes_.end(), host_.reserve(bytes_.size() + 16));
    card_.upload(to, host_.data(), bytes_.size());
  }
  template <class T> const T *at(size_t place) const {
    return reinterpret_cast<const T *>(device_.data() + place);
  }

private:
  Card &card_;
  std::vector<std::byte> bytes_;
  PinnedArray<std::byte> host_;
  CardArray<std::byte> device_;
};

class Llama : public LanguageModel {
public:
  Llama(const Model &model, Device &device, std::unique_ptr<Card> card, std::unique_ptr<LanguageModel> narrow)
      : model_(model), llama_(model.llama()), heads_{llama_.heads, llama_.kv_heads, llama_.head_size},
        device_(device), card_(std::move(card)), narrow_(std::move(narrow)),
        weights_(model, *card_, device.pool()) {}

  void forward(const ClipStore &clips, KvCells &cells, const LlamaBatch &batch) override {
    device_.check_interrupted();
    logits_on_host_.clear();
    by_graph_ = narrow_ && batch.size() <= narrow_rows;
    if (by_graph_)
      return narrow_->forward(clips, cells, batch);
    const int64_t outputs = std::ssize(batch.outputs);
    send(clips, cells, batch);
    reserve(batch.size(), outputs);

    int64_t n = batch.size();
    float *x = x_.data();
    embed(*card_, upload_.at<int32_t>(places_), weights_.token_table(), upload_.at<float>(heard_), x, n,
          llama_.width);
    for (int64_t i = 0; i < llama_.blocks; ++i) {
      const LlamaWeights::Block &block = weights_.blocks()[static_cast<size_t>(i)];
      const LlamaBlock &norms = model_.llama_blocks[static_cast<size_t>(i)];
      // x += attention(norm(x))
      normalise(norms.attention_norm, x, n);
      card_->multiply(block.qkv.data(), heads_.columns(), llama_.width, normed_.data(), n, wide_.data(),
                      false);
      Half *attended = attend(i, block, cells, n);
      if (i + 1 == llama_.blocks) { // from here on only what is asked for
        gather(*card_, upload_.at<int32_t>(wanted_), x, x_wanted_.data(), llama_.width, attended,
               attended_wanted_.data(), llama_.query_size(), outputs);
        x = x_wanted_.data();
        attended = attended_wanted_.data();
        n = outputs;
      }
      card_->multiply(block.out.data(), llama_.width, llama_.query_size(), attended, n, x, true);
      // x += down(silu(gate(norm(x))) × up(norm(x)))
      normalise(norms.feed_forward_norm, x, n);
      card_->multiply(block.gate_up.data(), 2 * llama_.feed_forward, llama_.width, normed_.data(), n,
                      wide_.data(), false);
      swiglu(*card_, wide_.data(), hidden_.data(), n, llama_.feed_forward);
      card_->multiply(block.down.data(), llama_.width, llama_.feed_forward, hidden_.data(), n, x, true);
    }
    normalise(model_.output_norm, x, n);
    card_->multiply(weights_.output(), llama_.vocabulary, llama_.width, normed_.data(), n, logits_.data(),
                    false);
    card_->wait();
    device_.check_interrupted();
  }

  std::span<const float> logits(int64_t output) override {
    if (by_graph_)
      return narrow_->logits(output);
    const auto [place, fresh] = logits_on_host_.try_emplace(output);
    if (fresh) {
      place->second.resize(static_cast<size_t>(llama_.vocabulary));
      card_->download(place->second.data(), logits_.data() + output * llama_.vocabulary,
                      place->second.size() * sizeof(float));
      card_->wait();
    }
    return place->second;
  }

  void distributions(std::span<RowDraw> rows) override {
    if (by_graph_)
      return;
    std::vector<RowDraw *> mine;
    for (RowDraw &row : rows)
      if (can_draw(*row.sampling, llama_.vocabulary))
        mine.push_back(&row);
    const size_t at_once =
        std::max<size_t>(1, keys_bytes / sizeof(uint32_t) / static_cast<size_t>(llama_.vocabulary));
    for (size_t first = 0; first < mine.size(); first += at_once)
      draw(std::span(mine).subspan(first, std::min(at_once, mine.size() - first)));
  }

  int64_t rows_at_once() const override {
    return std::max<int64_t>(256, rows_of_multiprocessor * card_->multiprocessors() / 128 * 128);
  }
  size_t bytes() const override { return weights_.bytes(); }

private:
  const Model &model_;
  const LlamaConfig &llama_;
  const Heads heads_;
  Device &device_;
  std::unique_ptr<Card> card_;
  std::unique_ptr<LanguageModel> narrow_;
  LlamaWeights weights_;
  bool by_graph_ = false; // the last step was

  AttentionPlan plan_;
  Upload upload_{*card_}, draw_upload_{*card_};
  size_t places_ = 0, heard_ = 0, depths_ = 0, cells_ = 0, wanted_ = 0, order_ = 0, blocks_ = 0,
         groups_ = 0;                                                 // in upload_
  CardArray<float> turns_{*card_};                                    // [depths, head_size / 2, 2]
  CardArray<float> x_{*card_}, x_wanted_{*card_}, wide_{*card_};      // [n, width] twice, [n, widest product]
  CardArray<Half> normed_{*card_}, queries_{*card_}, hidden_{*card_}; // [n, width], [n, q], [n, feed_forward]
  CardArray<Half> attended_{*card_}, attended_wanted_{*card_};        // [n, q]
  CardArray<float> logits_{*card_};                                   // [outputs, vocabulary]
  std::map<int64_t, std::vector<float>> logits_on_host_;

  CardArray<uint32_t> keys_{*card_};
  CardArray<Candidate> candidates_{*card_};
  CardArray<int32_t> counts_{*card_};
  PinnedArray<Candidate> candidates_on_host_{*card_};
  PinnedArray<int32_t> counts_on_host_{*card_};

  void send(const ClipStore &clips, const KvCells &cells, const LlamaBatch &batch) {
    if (turns_.size() == 0) {
      const std::vector<float> all =
          turns(model_, std::min(llama_.context, cells.cells().capacity()), device_.threads());
      card_->upload(turns_.reserve(all.size()), all.data(), all.size() * sizeof(float));
      card_->wait();
    }
    const auto n = static_cast<size_t>(batch.size()), width = static_cast<size_t>(llama_.width);
    std::vector<int32_t> places(n), targets(n), lengths(n);
    std::vector<float> heard;
    for (size_t i = 0; i < n; ++i) {
      targets[i] = batch.cell(static_cast<int64_t>(i));
      lengths[i] = batch.depths[i] + 1;
      if (batch.labels[i] >= 0) {
        places[i] = static_cast<int32_t>(batch.labels[i]);
      } else {
        places[i] = -1 - static_cast<int32_t>(heard.size() / width);
        const float *embedding = clips.embedding(batch.labels[i]);
        heard.insert(heard.end(), embedding, embedding + width);
      }
    }
    plan_.make(batch.paths, lengths);
    upload_.begin();
    places_ = upload_.add(places);
    heard_ = upload_.add(heard);
    depths_ = upload_.add(batch.depths);
    cells_ = upload_.add(targets);
    wanted_ = upload_.add(batch.outputs);
    order_ = upload_.add(plan_.order);
    blocks_ = upload_.add(plan_.blocks);
    groups_ = upload_.add(plan_.groups);
    upload_.send();
  }

  void reserve(int64_t rows, int64_t outputs) {
    const auto of = [](int64_t count, int64_t width) { return static_cast<size_t>(count * width); };
    x_.reserve(of(rows, llama_.width));
    x_wanted_.reserve(of(outputs, llama_.width));
    normed_.reserve(of(rows, llama_.width));
    wide_.reserve(of(rows, std::max(heads_.columns(), 2 * llama_.feed_forward)));
    queries_.reserve(of(rows, llama_.query_size()));
    attended_.reserve(of(rows, llama_.query_size()));
    attended_wanted_.reserve(of(outputs, llama_.query_size()));
    hidden_.reserve(of(rows, llama_.feed_forward));
    logits_.reserve(of(outputs, llama_.vocabulary));
  }

  void normalise(const Norm &norm, const float *x, int64_t n) {
    rms_norm(*card_, x, static_cast<const float *>(norm.weight->data), llama_.norm_epsilon, normed_.data(), n,
             llama_.width);
  }

  Half *attend(int64_t i, const LlamaWeights::Block &block, KvCells &cells, int64_t n) {
    auto *keys = static_cast<Half *>(cells.key_tensor(i)->data);
    auto *values = static_cast<Half *>(cells.value_tensor(i)->data);
    rotate(*card_, wide_.data(), block.qkv_bias.data(), turns_.data(), upload_.at<int32_t>(depths_),
           upload_.at<int32_t>(cells_), heads_, queries_.data(), keys, values, n);
    path_attention(*card_, queries_.data(), keys, values, upload_.at<int32_t>(order_),
                   upload_.at<PathBlock>(blocks_), upload_.at<int32_t>(groups_), std::ssize(plan_.groups) - 1,
                   heads_, attended_.data(), n);
    return attended_.data();
  }

  void draw(std::span<RowDraw *const> rows) {
    std::vector<RowToDraw> jobs;
    std::vector<int32_t> history;
    for (const RowDraw *row : rows) {
      const Sampling &s = *row->sampling;
      jobs.push_back({.row = static_cast<int32_t>(row->output),
                      .history = static_cast<int32_t>(history.size()),
                      .history_size = static_cast<int32_t>(row->history.size()),
                      .temperature = s.greedy ? 1.0F : s.temperature,
                      .top_p = s.greedy ? 1.0F : s.top_p,
                      .repetition_penalty = s.repetition_penalty,
                      .top_k = s.greedy  ? 1
                               : s.top_k ? s.top_k
                                         : static_cast<int32_t>(llama_.vocabulary)});
      history.insert(history.end(), row->history.begin(), row->history.end());
    }
    const size_t n = rows.size();
    draw_upload_.begin();
    const size_t jobs_place = draw_upload_.add(jobs), history_place = draw_upload_.add(history);
    draw_upload_.send();
    cuda::distributions(*card_, logits_.data(), llama_.vocabulary, draw_upload_.at<int32_t>(history_place),
                        draw_upload_.at<RowToDraw>(jobs_place), static_cast<int64_t>(n),
                        keys_.reserve(n * static_cast<size_t>(llama_.vocabulary)),
                        candidates_.reserve(n * most_candidates), counts_.reserve(n));

    card_->download(counts_on_host_.reserve(n), counts_.data(), n * sizeof(int32_t));
    card_->wait();
    const std::span<const int32_t> counts(counts_on_host_.data(), n);
    const auto most = static_cast<size_t>(*std::max_element(counts.begin(), counts.end()));
    if (most == 0)
      return;
    constexpr size_t stride = most_candidates * sizeof(Candidate);
    card_->download(candidates_on_host_.reserve(n * most_candidates), candidates_.data(),
                    most * sizeof(Candidate), stride, n);
    card_->wait();
    for (size_t i = 0; i < n; ++i) {
      const Candidate *first = candidates_on_host_.data() + i * most_candidates;
      rows[i]->candidates->assign(first, first + counts[i]);
      if (rows[i]->sampling->greedy && counts[i] > 0)
        *rows[i]->candidates = {{first->token, 1.0F}};
    }
  }
};

} // namespace

std::unique_ptr<LanguageModel> llama(const Model &model, Device &device, std::unique_ptr<Card> card,
                                     std::unique_ptr<LanguageModel> narrow) {
  return std::make_unique<Llama>(model, device, std::move(card), std::move(narrow));
}

} // namespace ltu::cuda
