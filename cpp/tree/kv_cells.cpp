#include "tree/kv_cells.h"
#include "support/error.h"
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <unistd.h>

namespace ltu {

namespace {

constexpr int64_t most_cells = int64_t{1} << 20;

size_t machine_memory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

} // namespace

void KvCells::Free::operator()(std::byte *memory) const {
  std::free(memory);
}

KvCells::KvCells(const Model &model, Device &device, size_t bytes) : half_(model.half_cache()) {
  const LlamaConfig &llama = model.llama();
  const size_t row = static_cast<size_t>(llama.kv_size()) * (half_ ? 2 : 4);
  cell_bytes_ = row * 2 * static_cast<size_t>(llama.blocks);
  const size_t budget = bytes ? bytes : device.card() >= 0 ? device.free_memory() / 2 : machine_memory() / 4;
  int64_t capacity = std::min<int64_t>(most_cells, static_cast<int64_t>(budget / cell_bytes_));
  if (!bytes && !device.own_kernels() && device.card() < 0) // no memory that costs nothing until it is used
    capacity = std::min(capacity, 4 * llama.context);
  const int64_t least = device.own_kernels() ? 1 : tile;
  capacity = capacity / least * least;
  if (capacity < 1)
    throw Error("a KV cache of " + std::to_string(budget) + " bytes is too small: it needs at least " +
                std::to_string(static_cast<size_t>(least) * cell_bytes_) + " bytes; give it more memory");
  cells_.emplace(capacity);
  if (device.own_kernels()) {
    block_bytes_ = row * static_cast<size_t>(capacity);
    host_.reset(static_cast<std::byte *>(std::aligned_alloc(
        4096, (block_bytes_ * 2 * static_cast<size_t>(llama.blocks) + 4095) / 4096 * 4096)));
    if (!host_)
      throw Error("not enough memory for a KV cache of " + std::to_string(budget) + " bytes");
    return;
  }
  context_.reset(ggml_init({.mem_size = ggml_tensor_overhead() * static_cast<size_t>(2 * llama.blocks),
                            .mem_buffer = nullptr,
                            .no_alloc = true}));
  for (int64_t i = 0; i < 2 * llama.blocks; ++i)
    tensors_.push_back(
        ggml_new_tensor_2d(context_.get(), half_ ? GGML_TYPE_F16 : GGML_TYPE_F32, llama.kv_size(), capacity));
  buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), device.buffer_type()));
  if (!buffer_)
    throw Error("not enough memory on " + device.name() + " for a KV cache of " + std::to_string(budget) +
                " bytes");
  ggml_backend_buffer_clear(buffer_.get(), 0);
}

KvCells::~KvCells() = default;

} // namespace ltu
