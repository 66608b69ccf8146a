#include "cuda/attention_plan.h"
#include <algorithm>
#include <numeric>

namespace ltu::cuda {

namespace {

int32_t cells_in_block(int32_t length, int32_t depth) {
  return std::clamp(length - depth, 0, block_positions);
}

} // namespace

void AttentionPlan::make(std::span<const int32_t *const> paths, std::span<const int32_t> lengths) {
  order.resize(paths.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int32_t a, int32_t b) {
    const auto i = static_cast<size_t>(a), j = static_cast<size_t>(b);
    if (paths[i] == paths[j]) // rows of one prompt, or patches of one clip
      return lengths[i] < lengths[j];
    return std::lexicographical_compare(paths[i], paths[i] + lengths[i], paths[j], paths[j] + lengths[j]);
  };
  std::stable_sort(order.begin(), order.end(), before);

  blocks.clear();
  groups.assign(1, 0);
  for (size_t first = 0; first < order.size(); first += group_rows) {
    const size_t rows = std::min<size_t>(group_rows, order.size() - first);
    int32_t longest = 0;
    for (size_t r = 0; r < rows; ++r)
      longest = std::max(longest, lengths[static_cast<size_t>(order[first + r])]);
    for (int32_t depth = 0; depth < longest; depth += block_positions) {
      const size_t level = blocks.size(); // where this depth's blocks begin
      std::vector<int32_t> filled;        // cells of each of them
      for (size_t r = 0; r < rows; ++r) {
        const auto row = static_cast<size_t>(order[first + r]);
        const int32_t count = cells_in_block(lengths[row], depth);
        if (count == 0)
          continue;
        const int32_t *cells = paths[row] + depth;
        size_t at = 0; // the first block whose cells are the row's, as far as both go
        while (at < filled.size() &&
               !std::equal(cells, cells + std::min(count, filled[at]), blocks[level + at].cells))
          ++at;
        if (at == filled.size()) {
          blocks.push_back({});
          filled.push_back(0);
        }
        PathBlock &block = blocks[level + at];
        block.seen[r] = static_cast<uint8_t>(count);
        if (count > filled[at]) {
          std::copy_n(cells, count, block.cells);
          std::fill(block.cells + count, block.cells + block_positions, cells[count - 1]);
          filled[at] = count;
        }
      }
    }
    groups.push_back(static_cast<int32_t>(blocks.size()));
  }
}

} // namespace ltu::cuda
