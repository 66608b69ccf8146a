#pragma once
#include "device/device.h"
#include "file/model.h"
#include "tree/cells.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace ltu {

// The KV cache: the memory of numbered cells, each with the keys and values of one position in every block. A
// cell belongs to a node of the token tree. Memory that was never used is never touched.
class KvCells {
public:
  static constexpr int64_t tile = 256; // on devices: ggml's flash attention likes whole tiles of cells

  // bytes 0: a quarter of the machine's memory; half of what is free on a card with kernels of our own.
  KvCells(const Model &model, Device &device, size_t bytes);
  ~KvCells();

  Cells &cells() { return *cells_; }
  const Cells &cells() const { return *cells_; }
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
  std::optional<Cells> cells_;
  std::unique_ptr<std::byte, Free> host_; // own kernels: [block][keys, values][cell][kv_size]
  std::unique_ptr<ggml_context, decltype(&ggml_free)> context_{nullptr, ggml_free};
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer_{nullptr,
                                                                                    ggml_backend_buffer_free};
  std::vector<ggml_tensor *> tensors_; // devices: [kv_size, cells] for keys and values of each block
};

} // namespace ltu
