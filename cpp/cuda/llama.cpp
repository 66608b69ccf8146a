#include "cuda/llama.h"
#include "compute/rope.h"
#include "cuda/attention_plan.h"
#include "cuda/draw.h"
#include "cuda/path_attention.h"
#include "cuda/rows.h"
#include "cuda/weights.h"
#include "ggml.h"
#include "support/error.h"
#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <utility>

namespace ltu::cuda {

namespace {

constexpr int64_t narrow_rows = 8; // of a step that ggml's own quantised products are quickest at
constexpr size_t keys_bytes = size_t{256} << 20; // of scratch for draws
constexpr size_t rows_a_part = 64;               // whose candidates a thread copies
// Of a step: enough that products, not weights or launches, are what takes time.
constexpr int64_t rows_of_multiprocessor = 16;

// What a step sends to the card: arrays one behind another in pinned memory, and one copy.
class Upload {
public:
  explicit Upload(Card &card) : card_(card), device_(card) {}

  void begin() { bytes_.clear(); }
  template <class T> size_t add(std::span<const T> values) {
    const size_t place = (bytes_.size() + 15) / 16 * 16;
    bytes_.resize(place + values.size_bytes());
    std::copy_n(reinterpret_cast<const std::byte *>(values.data()), values.size_bytes(),
                bytes_.data() + place);
    return place;
  }
  template <class T> size_t add(const std::vector<T> &values) { return add(std::span<const T>(values)); }
  void send() { card_.upload(device_.reserve(bytes_.capacity() + 16), bytes_.data(), bytes_.size()); }
  template <class T> const T *at(size_t place) const {
    return reinterpret_cast<const T *>(device_.data() + place);
  }

private:
  Card &card_;
  PinnedVector<std::byte> bytes_;
  CardArray<std::byte> device_;
};

// What belongs to one of the steps that are under way.
struct Flight {
  explicit Flight(Card &card)
      : upload(card), draws(card), logits(card), candidates(card), counts(card), done(card) {}

  Upload upload, draws;
  size_t places = 0, heard = 0, depths = 0, cells = 0, wanted = 0, order = 0, blocks = 0,
         groups = 0;               // in `upload`
  CardArray<float> logits;         // [outputs, vocabulary]
  std::vector<RowDraw> rows;       // whose candidates are awaited
  CardArray<Candidate> candidates; // [rows, most_candidates]
  CardArray<int32_t> counts;
  PinnedVector<Candidate> candidates_on_host;
  PinnedVector<int32_t> counts_on_host;
  Moment done;
  bool under_way = false, by_graph = false;
  std::map<int64_t, std::vector<float>> logits_on_host;
};

class Llama : public LanguageModel {
public:
  Llama(const Model &model, Device &device, std::unique_ptr<Card> card, std::unique_ptr<LanguageModel> narrow)
      : model_(model), llama_(model.llama()), heads_{llama_.heads, llama_.kv_heads, llama_.head_size},
        device_(device), card_(std::move(card)), narrow_(std::move(narrow)),
        weights_(model, *card_, device.pool()) {
    reserve(rows_at_once(), rows_at_once());
  }

  void forward(const ClipStore &clips, KvCells &cells, const LlamaBatch &batch) override {
    device_.check_interrupted();
    card_->use();
    newest_ = other(newest_);
    Flight &flight = flights_[newest_];
    flight.logits_on_host.clear();
    flight.rows.clear();
    flight.under_way = true;
    flight.by_graph = narrow_ && batch.size() <= narrow_rows;
    if (flight.by_graph) {
      card_->wait(); // for keys and values of the step before
      narrow_->forward(clips, cells, batch);
      return;
    }
    const int64_t outputs = std::ssize(batch.outputs);
    send(flight, clips, cells, batch);
    reserve(batch.size(), outputs);

    int64_t n = batch.size();
    float *x = x_.data();
    embed(*card_, flight.upload.at<int32_t>(flight.places), weights_.token_table(),
          flight.upload.at<float>(flight.heard), x, n, llama_.width);
    for (int64_t i = 0; i < llama_.blocks; ++i) {
      const LlamaWeights::Block &block = weights_.blocks()[static_cast<size_t>(i)];
      const LlamaBlock &norms = model_.llama_blocks[static_cast<size_t>(i)];
      // x += attention(norm(x))
      normalise(norms.attention_norm, x, n);
      card_->multiply(block.qkv.data(), heads_.columns(), llama_.width, normed_.data(), n, wide_.data(),
                      false);
      Half *attended = attend(flight, i, block, cells, n);
      if (i + 1 == llama_.blocks) { // from here on only what is asked for
        gather(*card_, flight.upload.at<int32_t>(flight.wanted), x, x_wanted_.data(), llama_.width, attended,
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
    float *logits = flight.logits.reserve(products(outputs, llama_.vocabulary));
    card_->multiply(weights_.output(), llama_.vocabulary, llama_.width, normed_.data(), n, logits, false);
    flight.done.mark();
  }

  bool draws(const Sampling &sampling) const override {
    return !flights_[newest_].by_graph && can_draw(sampling, llama_.vocabulary);
  }

  void distributions(const std::vector<RowDraw> &rows) override {
    Flight &flight = flights_[newest_];
    flight.rows.clear();
    std::ranges::copy_if(rows, std::back_inserter(flight.rows),
                         [&](const RowDraw &row) { return draws(*row.sampling); });
    if (flight.rows.empty())
      return;
    flight.under_way = true;
    draw(flight);
    flight.done.mark();
  }

  void collect() override {
    collected_ = flights_[other(newest_)].under_way ? other(newest_) : newest_;
    Flight &flight = flights_[collected_];
    if (!std::exchange(flight.under_way, false) || flight.by_graph)
      return;
    card_->use();
    flight.done.wait();
    device_.check_interrupted();
    if (!flight.rows.empty())
      take_candidates(flight);
  }

  void abandon() override {
    for (Flight &flight : flights_)
      flight.under_way = false;
    try {
      card_->wait();
    } catch (const Error &) { // what broke off the step said so
    }
  }

  std::span<const float> logits(int64_t output) override {
    Flight &flight = flights_[collected_];
    if (flight.by_graph)
      return narrow_->logits(output);
    const auto [place, fresh] = flight.logits_on_host.try_emplace(output);
    if (fresh) {
      place->second.resize(static_cast<size_t>(llama_.vocabulary));
      card_->fetch(place->second.data(), flight.logits.data() + output * llama_.vocabulary,
                   place->second.size() * sizeof(float));
    }
    return place->second;
  }

  int steps_under_way() const override { return 2; }
  int64_t rows_at_once() const override {
    return std::max<int64_t>(256, rows_of_multiprocessor * card_->multiprocessors() / 128 * 128);
  }
  bool batch_invariant() const override { return !narrow_; }
  size_t bytes() const override { return weights_.bytes(); }

private:
  const Model &model_;
  const LlamaConfig &llama_;
  const Heads heads_;
  Device &device_;
  std::unique_ptr<Card> card_;
  std::unique_ptr<LanguageModel> narrow_;
  LlamaWeights weights_;

  AttentionPlan plan_;
  std::array<Flight, 2> flights_{Flight(*card_), Flight(*card_)};
  size_t newest_ = 0, collected_ = 0;                                 // of them
  CardArray<float> turns_{*card_};                                    // [depths, head_size / 2, 2]
  CardArray<float> x_{*card_}, x_wanted_{*card_}, wide_{*card_};      // [n, width] twice, [n, widest product]
  CardArray<Half> normed_{*card_}, queries_{*card_}, hidden_{*card_}; // [n, width], [n, q], [n, feed_forward]
  CardArray<Half> attended_{*card_}, attended_wanted_{*card_};        // [n, q]
  CardArray<uint32_t> keys_{*card_};                                  // scratch for draws

  static size_t other(size_t flight) { return 1 - flight; }
  // Elements of what goes into or comes out of a product.
  static size_t products(int64_t rows, int64_t width) {
    return static_cast<size_t>(product_rows(rows) * width);
  }

  void send(Flight &flight, const ClipStore &clips, const KvCells &cells, const LlamaBatch &batch) {
    if (turns_.size() == 0) {
      const std::vector<float> all =
          turns(model_, std::min(llama_.context, cells.cells().capacity()), device_.threads());
      card_->upload(turns_.reserve(all.size()), all.data(), all.size() * sizeof(float));
      card_->wait();
    }
    const auto n = static_cast<size_t>(batch.size()), width = static_cast<size_t>(llama_.width);
    std::vector<int32_t> places(n), targets(n), lengths(n);
    Upload &upload = flight.upload;
    upload.begin();
    flight.heard = upload.add(std::span<const float>()); // rows one behind another
    int32_t heard = 0;
    for (size_t i = 0; i < n; ++i) {
      targets[i] = batch.cell(static_cast<int64_t>(i));
      lengths[i] = batch.depths[i] + 1;
      if (batch.labels[i] >= 0) {
        places[i] = static_cast<int32_t>(batch.labels[i]);
      } else {
        places[i] = -1 - heard++;
        upload.add(std::span(clips.embedding(batch.labels[i]), width));
      }
    }
    plan_.make(batch.paths, lengths);
    flight.places = upload.add(places);
    flight.depths = upload.add(batch.depths);
    flight.cells = upload.add(targets);
    flight.wanted = upload.add(batch.outputs);
    flight.order = upload.add(plan_.order);
    flight.blocks = upload.add(plan_.blocks);
    flight.groups = upload.add(plan_.groups);
    upload.send();
  }

  void reserve(int64_t rows, int64_t outputs) {
    x_.reserve(products(rows, llama_.width));
    x_wanted_.reserve(products(outputs, llama_.width));
    normed_.reserve(products(rows, llama_.width));
    wide_.reserve(products(rows, std::max(heads_.columns(), 2 * llama_.feed_forward)));
    queries_.reserve(products(rows, llama_.query_size()));
    attended_.reserve(products(rows, llama_.query_size()));
    attended_wanted_.reserve(products(outputs, llama_.query_size()));
    hidden_.reserve(products(rows, llama_.feed_forward));
  }

  void normalise(const Norm &norm, const float *x, int64_t n) {
    rms_norm(*card_, x, static_cast<const float *>(norm.weight->data), llama_.norm_epsilon, normed_.data(), n,
             llama_.width);
  }

  Half *attend(const Flight &flight, int64_t i, const LlamaWeights::Block &block, KvCells &cells, int64_t n) {
    const Upload &upload = flight.upload;
    auto *keys = static_cast<Half *>(cells.key_tensor(i)->data);
    auto *values = static_cast<Half *>(cells.value_tensor(i)->data);
    rotate(*card_, wide_.data(), block.qkv_bias.data(), turns_.data(), upload.at<int32_t>(flight.depths),
           upload.at<int32_t>(flight.cells), heads_, queries_.data(), keys, values, n);
    path_attention(*card_, queries_.data(), keys, values, upload.at<int32_t>(flight.order),
                   upload.at<PathBlock>(flight.blocks), upload.at<int32_t>(flight.groups),
                   std::ssize(plan_.groups) - 1, heads_, attended_.data(), n);
    return attended_.data();
  }

  void draw(Flight &flight) {
    std::vector<RowToDraw> jobs;
    std::vector<int32_t> history;
    for (const RowDraw &row : flight.rows) {
      const Sampling &s = *row.sampling;
      jobs.push_back({.row = static_cast<int32_t>(row.output),
                      .history = static_cast<int32_t>(history.size()),
                      .history_size = static_cast<int32_t>(row.history.size()),
                      .temperature = s.greedy ? 1.0F : s.temperature,
                      .top_p = s.greedy ? 1.0F : s.top_p,
                      .repetition_penalty = s.repetition_penalty,
                      .top_k = s.greedy  ? 1
                               : s.top_k ? s.top_k
                                         : static_cast<int32_t>(llama_.vocabulary)});
      history.insert(history.end(), row.history.begin(), row.history.end());
    }
    flight.draws.begin();
    const size_t jobs_place = flight.draws.add(jobs), history_place = flight.draws.add(history);
    flight.draws.send();

    const size_t n = jobs.size(), vocabulary = static_cast<size_t>(llama_.vocabulary);
    const size_t at_once = std::min(n, std::max<size_t>(1, keys_bytes / sizeof(uint32_t) / vocabulary));
    keys_.reserve(at_once * vocabulary);
    Candidate *candidates = flight.candidates.reserve(n * most_candidates);
    int32_t *counts = flight.counts.reserve(n);
    for (size_t first = 0; first < n; first += at_once)
      cuda::distributions(
          *card_, flight.logits.data(), llama_.vocabulary, flight.draws.at<int32_t>(history_place),
          flight.draws.at<RowToDraw>(jobs_place) + first, static_cast<int64_t>(std::min(at_once, n - first)),
          keys_.data(), candidates + first * most_candidates, counts + first);
    flight.counts_on_host.resize(n);
    card_->download(flight.counts_on_host.data(), counts, n * sizeof(int32_t));
  }

  void take_candidates(Flight &flight) {
    const size_t n = flight.rows.size();
    const PinnedVector<int32_t> &counts = flight.counts_on_host;
    const auto most = static_cast<size_t>(*std::max_element(counts.begin(), counts.end()));
    if (most == 0)
      return;
    flight.candidates_on_host.resize(n * most_candidates);
    Candidate *host = flight.candidates_on_host.data();
    card_->fetch(host, flight.candidates.data(), most * sizeof(Candidate),
                 most_candidates * sizeof(Candidate), n);
    device_.pool().run(static_cast<uint32_t>((n + rows_a_part - 1) / rows_a_part), [&](uint32_t part) {
      for (size_t i = part * rows_a_part; i < std::min(n, (part + 1) * rows_a_part); ++i) {
        const Candidate *first = host + i * most_candidates;
        std::vector<Candidate> &candidates = *flight.rows[i].candidates;
        candidates.assign(first, first + counts[i]);
        if (flight.rows[i].sampling->greedy && counts[i] > 0)
          candidates = {{first->token, 1.0F}};
      }
    });
  }
};

} // namespace

std::unique_ptr<LanguageModel> llama(const Model &model, Device &device, std::unique_ptr<Card> card,
                                     std::unique_ptr<LanguageModel> narrow) {
  return std::make_unique<Llama>(model, device, std::move(card), std::move(narrow));
}

} // namespace ltu::cuda
