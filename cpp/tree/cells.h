#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace ltu {

// The numbers of the KV cache's cells: which ones are taken.
class Cells {
public:
  explicit Cells(int64_t capacity) : capacity_(capacity) {}

  int32_t take() { // the caller has checked available()
    if (free_.empty())
      return static_cast<int32_t>(used_end_++);
    const int32_t cell = free_.back();
    free_.pop_back();
    return cell;
  }
  void give_back(int32_t cell) { free_.push_back(cell); }
  void sort_free() { std::sort(free_.begin(), free_.end(), std::greater<>()); } // the lowest is taken next
  int64_t available() const { return capacity_ - used_end_ + static_cast<int64_t>(free_.size()); }
  int64_t capacity() const { return capacity_; }
  int64_t used_end() const { return used_end_; } // no cell from here on was ever taken

private:
  int64_t capacity_, used_end_ = 0;
  std::vector<int32_t> free_;
};

} // namespace ltu
