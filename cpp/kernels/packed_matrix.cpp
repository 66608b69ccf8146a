// Files' rows into panels, and back.

#include "kernels/types/list.h"
#include "support/error.h"
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <string>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ltu::kernels {

namespace {

// Matrices lie side by side in large blocks that the system can back with huge pages: streaming them misses
// the TLB less (7 to 12 % of a 135M model's decode). A block is freed with its last matrix.
std::shared_ptr<std::byte> allocate(size_t bytes) {
  constexpr size_t huge_page = size_t{1} << 21, block_bytes = size_t{1} << 25, alignment = 64;
  static std::mutex mutex;
  static std::weak_ptr<std::byte> current;
  static size_t used = 0;
  const std::lock_guard lock(mutex);
  const size_t place = (used + alignment - 1) / alignment * alignment;
  std::shared_ptr<std::byte> block = current.lock();
  if (!block || place + bytes > block_bytes) {
    const size_t size = std::max(block_bytes, (bytes + huge_page - 1) / huge_page * huge_page);
    block.reset(static_cast<std::byte *>(std::aligned_alloc(huge_page, size)),
                [](std::byte *p) { std::free(p); });
    if (!block)
      throw std::bad_alloc();
#if defined(__linux__)
    madvise(block.get(), size, MADV_HUGEPAGE);
#endif
    if (size > block_bytes)
      return block; // a matrix of its own
    current = block;
    used = bytes;
    return block;
  }
  used = place + bytes;
  return {block, block.get() + place};
}

Layout layout(WeightType type) {
  return WeightTypes::visit(type, []<class Type>(Type) { return Type::layout; });
}

template <class Type> void pack_row(const uint8_t *row, int64_t columns, int lane, uint8_t *panel) {
  if constexpr (Type::is_float) {
    constexpr int64_t size = Type::layout.file_bytes;
    for (int64_t k = 0; k < columns; k++)
      std::memcpy(panel + (k * lane_count + lane) * size, row + k * size, size);
  } else {
    constexpr Layout form = Type::layout;
    for (int64_t record = 0; record < columns / form.scale_weights; record++)
      Type::write_scales(row + record * form.file_bytes, lane, panel + record * form.scale_bytes);
    uint8_t *blocks = panel + form.scales_bytes(columns);
    constexpr int64_t parts = form.file_block / block_length; // blocks of ours in one of the file
    for (int64_t block = 0; block < columns / block_length; block++)
      for (int k = 0; k < block_length; k++)
        Type::write(blocks + block * form.block_bytes, lane, k,
                    Type::read(row + block / parts * form.file_bytes, static_cast<int>(block % parts), k));
  }
}

template <class Type> void unpack_lane(const uint8_t *panel, int64_t columns, int lane, float *out) {
  if constexpr (Type::is_float) {
    for (int64_t k = 0; k < columns; k++) {
      typename Type::Bits bits;
      std::memcpy(&bits, panel + (k * lane_count + lane) * sizeof bits, sizeof bits);
      out[k] = Type::value(bits);
    }
  } else {
    constexpr Layout form = Type::layout;
    const uint8_t *blocks = panel + form.scales_bytes(columns);
    for (int64_t k = 0; k < columns; k++) {
      const ScaleAndOffset scale = Type::scale(panel + k / form.scale_weights * form.scale_bytes, lane,
                                               static_cast<int>(k % form.scale_weights));
      const int value =
          Type::value(blocks + k / block_length * form.block_bytes, lane, static_cast<int>(k % block_length));
      // The product is exact but for q6_k, so a fused addition would round alike.
      out[k] = scale.factor * static_cast<float>(value) + scale.offset;
    }
  }
}

} // namespace

std::span<const WeightTypeInfo> weight_types() {
  static const auto infos = []<class... Types>(TypeList<Types...>) {
    return std::array{
        WeightTypeInfo{Types::type, Types::name, Types::file_type, Types::encoding, Types::is_float}...};
  }(WeightTypes{});
  return infos;
}

bool is_float(WeightType type) {
  return weight_types()[static_cast<size_t>(type)].is_float;
}

int64_t block_size(WeightType type) {
  return layout(type).file_block;
}

size_t row_bytes(WeightType type, int64_t columns) {
  return static_cast<size_t>(columns / layout(type).file_block * layout(type).file_bytes);
}

PackedMatrix::PackedMatrix(WeightType type, int64_t rows, int64_t columns)
    : type_(type), rows_(rows), columns_(columns) {
  const Layout form = layout(type);
  if (rows < 1 || columns < 1 || columns % form.file_block)
    throw Error("a matrix of " + std::to_string(rows) + " rows of " + std::to_string(columns) +
                " weights can't be packed: rows must be a multiple of " + std::to_string(form.file_block));
  panel_bytes_ = is_float(type) ? columns * lane_count * form.file_bytes
                                : form.scales_bytes(columns) + columns / block_length * form.block_bytes;
  data_ = allocate(bytes());
}

void PackedMatrix::pack_rows(const void *file_rows, int64_t first_row, int64_t count) {
  const auto *file = static_cast<const uint8_t *>(file_rows);
  const size_t row_size = row_bytes(type_, columns_);
  WeightTypes::visit(type_, [&]<class Type>(Type) {
    for (int64_t i = 0; i < count; i += lane_count) {
      auto *panel = reinterpret_cast<uint8_t *>(data_.get()) + (first_row + i) / lane_count * panel_bytes_;
      const int lanes = static_cast<int>(std::min<int64_t>(count - i, lane_count));
      if (lanes < lane_count || !Type::is_float)
        std::memset(panel, 0, panel_bytes_);
      for (int lane = 0; lane < lanes; lane++)
        pack_row<Type>(file + (i + lane) * row_size, columns_, lane, panel);
    }
  });
}

void PackedMatrix::unpack_row(int64_t row, float *out) const {
  const auto *panel = reinterpret_cast<const uint8_t *>(data_.get()) + row / lane_count * panel_bytes_;
  WeightTypes::visit(type_, [&]<class Type>(Type) {
    unpack_lane<Type>(panel, columns_, static_cast<int>(row % lane_count), out);
  });
}

} // namespace ltu::kernels
