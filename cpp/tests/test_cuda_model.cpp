// test_cuda_model MODEL.gguf: the whole language model on the emulated card against ggml's graph on the CPU,
// with a tree of clips, questions and answers in the same KV cells. Prints the relative error of all logits;
// tests/gpu runs it.
#include "check.h"
#include "compute/language_model.h"
#include "cuda/card.h"
#include "cuda/llama.h"
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
    Clip clip{name, std::vector<float>(static_cast<size_t>(heard * width))};
    for (float &x : clip.embeddings)
      x = normal(random);
    holds.push_back(clips.hold(clip));
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

  double error = 0, norm = 0;
  const Sampling sampling{.temperature = 0.7F, .top_k = 40, .top_p = 0.95F, .repetition_penalty = 1.1F};
  const std::vector<int32_t> history{1, 5};
  for (const LlamaBatch *batch : {&prompts.batch, &answers.batch}) {
    for (Side *side : {&ours, &other})
      side->language->forward(clips, side->cells, *batch);
    std::vector<std::vector<Candidate>> candidates(batch->outputs.size());
    std::vector<RowDraw> draws;
    for (size_t i = 0; i < candidates.size(); ++i)
      draws.push_back({static_cast<int64_t>(i), history, &sampling, &candidates[i]});
    ours.language->distributions(draws);
    for (int64_t i = 0; i < std::ssize(batch->outputs); ++i) {
      const std::span<const float> a = ours.language->logits(i), b = other.language->logits(i);
      for (size_t t = 0; t < a.size(); ++t) {
        error += (double{a[t]} - b[t]) * (double{a[t]} - b[t]);
        norm += double{b[t]} * b[t];
      }
      const std::vector<Candidate> &drawn = candidates[static_cast<size_t>(i)];
      const std::vector<Candidate> expected = distribution(a, history, sampling);
      CHECK(drawn.size() == expected.size());
      for (size_t c = 0; c < drawn.size(); ++c)
        CHECK(drawn[c].token == expected[c].token && drawn[c].probability == expected[c].probability);
    }
  }
  std::printf("relative error %.3g\n", std::sqrt(error / norm));
  return 0;
}
