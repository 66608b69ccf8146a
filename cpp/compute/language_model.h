#pragma once
#include "answer/sampler.h"
#include "device/device.h"
#include "file/model.h"
#include "tree/clip_store.h"
#include "tree/kv_cells.h"
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace ltu {

// Positions of the token tree to compute together. A position sees its path, itself included.
struct LlamaBatch {
  std::vector<Label> labels;          // [n] what stands there: a token, or a place of a clip
  std::vector<int32_t> depths;        // [n] number of positions before it
  std::vector<const int32_t *> paths; // [n] cells from the root to the position itself: depth + 1 of them
  std::vector<int32_t> outputs;       // rows whose logits are wanted, ascending

  int64_t size() const { return static_cast<int64_t>(depths.size()); }
  int32_t cell(int64_t row) const {
    return paths[static_cast<size_t>(row)][depths[static_cast<size_t>(row)]];
  }
};

// A row of logits that is drawn from: its distribution is wanted.
struct RowDraw {
  int64_t output; // of the batch's outputs
  std::span<const int32_t> history;
  const Sampling *sampling;
  std::vector<Candidate> *candidates; // empty until they are computed
};

// The language model on one device.
class LanguageModel {
public:
  virtual ~LanguageModel() = default;

  // Computes keys and values of every position into its cell, and the logits of the outputs, which stay until
  // the next call.
  virtual void forward(const ClipStore &clips, KvCells &cells, const LlamaBatch &batch) = 0;
  // Logits of one output, [vocabulary]; valid until the next `forward`.
  virtual std::span<const float> logits(int64_t output) = 0;
  // Fills the candidates of those rows that the device itself draws from; the others are left to the caller.
  virtual void distributions(std::span<RowDraw> /*rows*/) {}
  // Rows of answers that a step should have so that the device is busy; 0: what suits a CPU.
  virtual int64_t rows_at_once() const { return 0; }
  virtual size_t bytes() const { return 0; } // of weights that it holds beside the model's
};

// As a graph of ggml: on CPU with our kernels, elsewhere with the back end's. `model` and `device` must
// outlive it.
std::unique_ptr<LanguageModel> llama_graph(const Model &model, Device &device);

} // namespace ltu
