#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace ltu::cuda {

constexpr int block_positions = 16; // of a path that are attended to together
constexpr int group_rows = 16;      // that go through blocks together

// Cells at 16 neighbouring depths, and of how many of them (from the first on) each row of the group has on
// its path.
struct PathBlock {
  int32_t cells[block_positions]; // those that are not there repeat the last one
  uint8_t seen[group_rows];
};

// What each row attends to, in place of a mask. Rows are put beside those with which they share most of their
// paths; a group goes through its blocks by depth, and a block is read once for all rows that stand on it.
// What a row sums, and in which order, follows from its path alone.
struct AttentionPlan {
  std::vector<int32_t> order;    // [rows] the row at each place; 16 places are a group
  std::vector<PathBlock> blocks; // of one group after another
  std::vector<int32_t> groups;   // [groups + 1] where each group's blocks begin

  void make(std::span<const int32_t *const> paths, std::span<const int32_t> lengths);
};

} // namespace ltu::cuda
