#pragma once
#include "device/device.h"
#include "file/model.h"
#include "tree/clip_store.h"
#include "tree/kv_cells.h"
#include <cstdint>
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

// Computes keys and values of every position into its cell; returns the wanted logits, [outputs, vocabulary],
// which stay until the next graph.
std::span<const float> llama_forward(const Model &model, const ClipStore &clips, Device &device,
                                     KvCells &cells, const LlamaBatch &batch);

} // namespace ltu
