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

// The language model on one device. A step is one `forward`, the draws from its rows, and one `collect`,
// which waits for them. A device may begin with a step while the host reads the one before: then `forward`
// and `distributions` only queue, and two steps can be under way.
class LanguageModel {
public:
  virtual ~LanguageModel() = default;

  // Computes keys and values of every position into its cell, and the logits of the outputs.
  virtual void forward(const ClipStore &clips, KvCells &cells, const LlamaBatch &batch) = 0;
  // Whether the device itself draws from such a row.
  virtual bool draws(const Sampling & /*sampling*/) const { return false; }
  // For rows of the youngest step: the next `collect` of it fills their candidates. Those that are empty then
  // are left to the caller. What `rows` point to stays where it is until then.
  virtual void distributions(const std::vector<RowDraw> & /*rows*/) {}
  // Waits for the oldest step that is under way, if there is one.
  virtual void collect() {}
  virtual void abandon() {} // every step that is under way
  // Logits of one output of the step that was collected last, [vocabulary]: valid until the next `collect`,
  // or `forward` of a device on which one step is under way at most.
  virtual std::span<const float> logits(int64_t output) = 0;
  virtual int steps_under_way() const { return 1; } // that suit the device
  // Rows of answers that a step should have so that the device is busy; 0: what suits a CPU.
  virtual int64_t rows_at_once() const { return 0; }
  // Whether a row has the same bits in any company.
  virtual bool batch_invariant() const { return false; }
  virtual size_t bytes() const { return 0; } // of weights that it holds beside the model's
};

// As a graph of ggml: on CPU with our kernels, elsewhere with the back end's. `model` and `device` must
// outlive it.
std::unique_ptr<LanguageModel> llama_graph(const Model &model, Device &device);

} // namespace ltu
