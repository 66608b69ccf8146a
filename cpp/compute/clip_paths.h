#pragma once
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace ltu {

// For our kernels a clip's patches are the cells of one path, which each of them sees whole.
struct ClipPaths {
  std::vector<int32_t> cells, lengths;
  std::vector<const int32_t *> paths;

  ClipPaths(int64_t patches, int64_t clips)
      : cells(static_cast<size_t>(patches * clips)), lengths(cells.size(), static_cast<int32_t>(patches)) {
    std::iota(cells.begin(), cells.end(), 0);
    for (size_t i = 0; i < cells.size(); ++i)
      paths.push_back(cells.data() + i / static_cast<size_t>(patches) * static_cast<size_t>(patches));
  }
};

} // namespace ltu
