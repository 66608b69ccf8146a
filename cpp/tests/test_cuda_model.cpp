// test_cuda_model MODEL.gguf: encoder and language model on the emulated card against ggml's graph on the
// CPU: clips, and a tree of clips, questions and answers in the same KV cells. Prints the relative errors of
// all embeddings and of all logits; tests/test_cuda_emulated.py runs it.
#include "check.h"
#include "compute/audio_encoder.h"
#include "compute/language_model.h"
#include "cuda/audio_encoder.h"
#include "cuda/card.h"
#include "cuda/llama.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using namespace ltu;

namespace {

struct Rows { // one batch, and where its paths lie
  LlamaBatch batch;
  std::deque<std::vector<int32_t>> paths;

  void add(const std::vector<Label> &sequence, const std::vector<int32_t> &cells, size_t from) {
    paths.push_back(cells);
    for (size_t i = from; i < sequence.size(); ++i) {
      batch.labels.push_back(sequence[i]);
      batch.depths.push_back(static_cast<int32_t>(i));
      batch.paths.push_back(paths.back().data());
      if (i % 3 == 0 || i + 1 == sequence.size())
        batch.outputs.push_back(static_cast<int32_t>(batch.labels.size() - 1));
    }
  }
};

struct Side { // one implementation with a cache of its own
  std::unique_ptr<LanguageModel> language;
  KvCells cells;
};

struct Drawn { // from every row of the youngest step; filled when it is collected
  const std::vector<int32_t> history{1, 5};
  const Sampling sampling{.temperature = 0.7F, .top_k = 40, .top_p = 0.95F, .repetition_penalty = 1.1F};
  std::vector<std::vector<Candidate>> candidates;

  Drawn(LanguageModel &language, size_t rows) : candidates(rows) {
    std::vector<RowDraw> draws;
    for (size_t i = 0; i < rows; ++i)
      draws.push_back({static_cast<int64_t>(i), history, &sampling, &candidates[i]});
    language.distributions(draws);
  }
};

double relative_error(const std::vector<float> &a, const std::vector<float> &b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    norm += double{b[i]} * b[i];
  }
  return std::sqrt(error / norm);
}

// Of the card's embeddings; each clip has them in other company, too.
double encoder_error(const Model &model, Device &device) {
  const auto ours = cuda::audio_encoder(model, device, std::make_unique<cuda::Card>(0));
  const auto size = static_cast<size_t>(model.audio().frames * model.audio().mels);
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 0.5F);
  std::vector<float> features(3 * size);
  for (float &x : features)
    x = normal(random);
  const AudioEmbeddings together = ours->encode(features.data(), 3),
                        alone = ours->encode(features.data() + size, 1),
                        other = audio_graph(model, device)->encode(features.data(), 3);
  const auto second = together.projected.begin() + std::ssize(alone.projected);
  CHECK(std::equal(alone.projected.begin(), alone.projected.end(), second));
  return std::max(relative_error(together.pooled, other.pooled),
                  relative_error(together.projected, other.projected));
}

} // namespace

int main(int, char **arguments) {
  setenv("LTU_KERNELS", "ggml", 1); // its tensors then lie where an emulated card can read them
  Device device("cpu", 2);
  const Model model(arguments[1], device);
  const int64_t width = model.llama().width, vocabulary = model.llama().vocabulary,
                heard = model.audio().embeddings;
  const auto graph = [&] { return llama_graph(model, device); };
  Side ours{
      cuda::llama(model, device, std::make_unique<cuda::Card>(0), model.quantised() ? graph() : nullptr),
      {model, device, size_t{64} << 20}};
  Side other{graph(), {model, device, size_t{64} << 20}};

  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.1F);
  ClipStore clips(heard, width);
  std::vector<ClipStore::Hold> holds;
  for (const char *name : {"a", "b"}) {
    std::vector<float> embeddings(static_cast<size_t>(heard * width));
    for (float &x : embeddings)
      x = normal(random);
    holds.push_back(clips.hold({name, embeddings}));
  }

  // Two clips, two questions about each that share its beginning, then answers that part from each question.
  int32_t next_cell = 0;
  const auto token = [&] { return static_cast<Label>(random() % static_cast<size_t>(vocabulary)); };
  Rows prompts, answers;
  for (const ClipStore::Hold &hold : holds) {
    std::vector<Label> beginning{token(), token()};
    for (int64_t i = 0; i < heard; ++i)
      beginning.push_back(hold.label(i));
    std::vector<int32_t> beginning_cells;
    for (size_t i = 0; i < beginning.size(); ++i)
      beginning_cells.push_back(next_cell++);
    prompts.add(beginning, beginning_cells, 0);
    for (int question = 0; question < 2; ++question) {
      std::vector<Label> sequence = beginning;
      std::vector<int32_t> cells = beginning_cells;
      for (int i = 0; i < 7; ++i) {
        sequence.push_back(token());
        cells.push_back(next_cell++);
      }
      prompts.add(sequence, cells, beginning.size());
      for (int answer = 0; answer < 3; ++answer) {
        std::vector<Label> longer = sequence;
        std::vector<int32_t> longer_cells = cells;
        longer.push_back(token());
        longer_cells.push_back(next_cell++);
        answers.add(longer, longer_cells, sequence.size());
      }
    }
  }

  std::vector<float> our_logits, other_logits;
  const LlamaBatch *batches[] = {&prompts.batch, &answers.batch};
  std::deque<Drawn> one_by_one; // which stay where they are
  for (const LlamaBatch *batch : batches) {
    for (Side *side : {&ours, &other})
      side->language->forward(clips, side->cells, *batch);
    const Drawn &drawn = one_by_one.emplace_back(*ours.language, batch->outputs.size());
    for (Side *side : {&ours, &other})
      side->language->collect();
    for (int64_t i = 0; i < std::ssize(batch->outputs); ++i) {
      const std::span<const float> a = ours.language->logits(i), b = other.language->logits(i);
      our_logits.insert(our_logits.end(), a.begin(), a.end());
      other_logits.insert(other_logits.end(), b.begin(), b.end());
      CHECK(drawn.candidates[static_cast<size_t>(i)] == distribution(a, drawn.history, drawn.sampling));
    }
  }

  // Both under way at once: each is collected with its own draws and logits.
  std::deque<Drawn> together;
  for (const LlamaBatch *batch : batches) {
    ours.language->forward(clips, ours.cells, *batch);
    together.emplace_back(*ours.language, batch->outputs.size());
  }
  for (size_t step = 0, row = 0; step < 2; ++step) {
    ours.language->collect();
    for (size_t i = 0; i < together[step].candidates.size(); ++i, ++row) {
      CHECK(together[step].candidates[i] == one_by_one[step].candidates[i]);
      const std::span<const float> logits = ours.language->logits(static_cast<int64_t>(i));
      CHECK(std::equal(logits.begin(), logits.end(),
                       our_logits.begin() + static_cast<ptrdiff_t>(row * logits.size())));
    }
  }
  std::printf("%.3g %.3g\n", encoder_error(model, device), relative_error(our_logits, other_logits));
  return 0;
}
