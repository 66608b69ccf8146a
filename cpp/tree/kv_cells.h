#pragma once
#include "device/device.h"
#include "file/model.h"
#include <cstdint>
#include <memory>
#include <vector>

namespace ltu {

// The KV cache: numbered cells, each with the keys and values of one position in every block. A cell belongs
// to a node of the token tree. Memory that was never used is never touched.
class KvCells {
public:
  static constexpr int64_t tile = 256; // on devices: ggml's flash attention likes whole tiles of cells

  // bytes 0: a quarter of the machine's memory.
  KvCells(const Model &model, Device &device, size_t bytes);
  ~KvCells();

  int32_t take(); // the caller has checked available()
  void give_back(int32_t cell) { free_.push_back(cell); }
  void sort_free(); // the lowest one is taken next
  int64_t available() const { return capacity_ - used_end_ + static_cast<int64_t>(free_.size()); }
  int64_t capacity() const { return capacity_; }
  int64_t used_end() const { return used_end_; } // no cell from here on was ever taken
  size_t cell_bytes() const { return cell_bytes_; }
  bool half() const { return half_; }

  std::byte *keys(int64_t block) const { return host_.get() + block_bytes_ * static_cast<size_t>(2 * block); }
  std::byte *values(int64_t block) const {
    return host_.get() + block_bytes_ * static_cast<size_t>(2 * block + 1);
  }
  ggml_tensor *key_tensor(int64_t block) const { return tensors_[static_cast<size_t>(2 * block)]; }
  ggml_tensor *value_tensor(int64_t block) const { return tensors_[static_cast<size_t>(2 * block + 1)]; }

private:
  struct Free {
    void operator()(std::byte *memory) const;
  };
  bool half_;
  size_t cell_bytes_, block_bytes_ = 0;
  int64_t capacity_, used_end_ = 0;
  std::vector<int32_t> free_;
  std::unique_ptr<std::byte, Free> host_; // own kernels: [block][keys, values][cell][kv_size]
  std::unique_ptr<ggml_context, decltype(&ggml_free)> context_{nullptr, ggml_free};
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer_{nullptr,
                                                                                    ggml_backend_buffer_free};
  std::vector<ggml_tensor *> tensors_; // devices: [kv_size, cells] for keys and values of each block
};

} // namespace ltu
