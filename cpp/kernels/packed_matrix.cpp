// Files' rows into panels, and back.

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "half.h"
#include "layout.h"

namespace ltu::kernels {

namespace {

uint16_t read_half(const uint8_t *p) {
  return uint16_t(p[0] | p[1] << 8);
}

// The scale and minimum (6 bits each) of block 0..7, which q4_k and q5_k keep in 12 bytes.
void k_scale(const uint8_t *packed, int block, uint8_t &scale, uint8_t &minimum) {
  if (block < 4) {
    scale = packed[block] & 63;
    minimum = packed[block + 4] & 63;
  } else {
    scale = uint8_t((packed[block + 4] & 15) | (packed[block - 4] >> 6) << 4);
    minimum = uint8_t((packed[block + 4] >> 4) | (packed[block] >> 6) << 4);
  }
}

// The 32 stored values of a block: two's complement for q8_0, otherwise unsigned.
void read_block(WeightType type, const uint8_t *row, int64_t block, uint8_t *values) {
  const Layout form = layout(type);
  const uint8_t *p = row + block * kBlock / form.file_block * form.file_bytes;
  int part = int(block % 8); // block of a super-block
  for (int i = 0; i < kBlock; i++)
    switch (type) {
    case WeightType::q8_0:
      values[i] = p[2 + i];
      break;
    case WeightType::q4_0:
      values[i] = p[2 + i % 16] >> (i / 16 * 4) & 15;
      break;
    case WeightType::q4_1:
      values[i] = p[4 + i % 16] >> (i / 16 * 4) & 15;
      break;
    case WeightType::q4_k:
      values[i] = p[16 + part / 2 * 32 + i] >> (part % 2 * 4) & 15;
      break;
    case WeightType::q5_k:
      values[i] = uint8_t((p[48 + part / 2 * 32 + i] >> (part % 2 * 4) & 15) | (p[16 + i] >> part & 1) << 4);
      break;
    case WeightType::q6_k: {
      int low = p[part / 4 * 64 + part % 2 * 32 + i] >> (part % 4 / 2 * 4) & 15;
      int high = p[128 + part / 4 * 32 + i] >> (part % 4 * 2) & 3;
      values[i] = uint8_t(low | high << 4);
      break;
    }
    default:
      break;
    }
}

uint8_t &byte_of(uint8_t *vectors, int vector, int lane, int k) {
  return vectors[vector * 64 + lane * 4 + k % 4];
}

void write_block(WeightType type, const uint8_t *values, int lane, uint8_t *vectors) {
  for (int k = 0; k < kBlock; k++) {
    int group = k / 4;
    if (type == WeightType::q8_0) {
      byte_of(vectors, group, lane, k) = values[k];
      continue;
    }
    byte_of(vectors, group / 2, lane, k) |= uint8_t((values[k] & 15) << (group % 2 * 4));
    if (type == WeightType::q5_k)
      byte_of(vectors, 4, lane, k) |= uint8_t((values[k] >> 4) << group);
    if (type == WeightType::q6_k)
      byte_of(vectors, 4 + group / 4, lane, k) |= uint8_t((values[k] >> 4) << (group % 4 * 2));
  }
}

int read_value(WeightType type, const uint8_t *panel_block, int lane, int k) {
  auto *vectors = const_cast<uint8_t *>(panel_block);
  int group = k / 4;
  if (type == WeightType::q8_0)
    return int8_t(byte_of(vectors, group, lane, k));
  int value = byte_of(vectors, group / 2, lane, k) >> (group % 2 * 4) & 15;
  if (type == WeightType::q4_0)
    return value - 8;
  if (type == WeightType::q5_k)
    value |= (byte_of(vectors, 4, lane, k) >> group & 1) << 4;
  if (type == WeightType::q6_k) {
    value |= (byte_of(vectors, 4 + group / 4, lane, k) >> (group % 4 * 2) & 3) << 4;
    value -= 32;
  }
  return value;
}

void write_scales(WeightType type, const uint8_t *p, int lane, uint8_t *scales) {
  auto put_half = [&](int row, const uint8_t *from) { std::memcpy(scales + row * 32 + lane * 2, from, 2); };
  switch (type) {
  case WeightType::q8_0:
  case WeightType::q4_0:
    put_half(0, p);
    break;
  case WeightType::q4_1:
    put_half(0, p);
    put_half(1, p + 2);
    break;
  case WeightType::q4_k:
  case WeightType::q5_k:
    put_half(0, p);
    put_half(1, p + 2);
    for (int block = 0; block < 8; block++)
      k_scale(p + 4, block, scales[64 + block * 16 + lane], scales[64 + 128 + block * 16 + lane]);
    break;
  case WeightType::q6_k:
    put_half(0, p + 208);
    for (int half = 0; half < 16; half++)
      scales[32 + half * 16 + lane] = p[192 + half];
    break;
  default:
    break;
  }
}

// The weight is scale * value + offset.
void read_scales(WeightType type, const uint8_t *scales, int lane, int k, float &scale, float &offset) {
  auto half = [&](int row) { return half_to_float(read_half(scales + row * 32 + lane * 2)); };
  offset = 0;
  scale = half(0);
  if (type == WeightType::q4_1)
    offset = half(1);
  if (type == WeightType::q4_k || type == WeightType::q5_k) {
    int block = k / kBlock;
    scale *= scales[64 + block * 16 + lane];
    offset = -half(1) * scales[64 + 128 + block * 16 + lane];
  }
  if (type == WeightType::q6_k)
    scale *= int8_t(scales[32 + k / 16 * 16 + lane]);
}

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

} // namespace

int64_t block_size(WeightType type) {
  return layout(type).file_block;
}

size_t row_bytes(WeightType type, int64_t columns) {
  return columns / layout(type).file_block * layout(type).file_bytes;
}

PackedMatrix::PackedMatrix(WeightType type, int64_t rows, int64_t columns)
    : type_(type), rows_(rows), columns_(columns) {
  const Layout form = layout(type);
  if (rows < 1 || columns < 1 || columns % form.file_block)
    throw std::invalid_argument(
        "a matrix of " + std::to_string(rows) + " rows of " + std::to_string(columns) +
        " weights can't be packed: rows must be a multiple of " + std::to_string(form.file_block));
  panel_bytes_ = is_float(type) ? columns * kLanes * form.file_bytes
                                : form.scales_bytes(columns) + columns / kBlock * form.block_bytes;
  data_ = allocate(bytes());
}

void PackedMatrix::pack_rows(const void *file_rows, int64_t first_row, int64_t count) {
  const Layout form = layout(type_);
  const auto *file = static_cast<const uint8_t *>(file_rows);
  const size_t row_size = row_bytes(type_, columns_);
  for (int64_t i = 0; i < count; i += kLanes) {
    auto *panel = reinterpret_cast<uint8_t *>(data_.get()) + (first_row + i) / kLanes * panel_bytes_;
    const int lanes = int(count - i < kLanes ? count - i : kLanes);
    if (lanes < kLanes || !is_float(type_))
      std::memset(panel, 0, panel_bytes_);
    for (int lane = 0; lane < lanes; lane++) {
      const uint8_t *row = file + (i + lane) * row_size;
      if (is_float(type_)) {
        const int64_t size = form.file_bytes;
        if (size == 4)
          for (int64_t k = 0; k < columns_; k++)
            std::memcpy(panel + (k * kLanes + lane) * 4, row + k * 4, 4);
        else
          for (int64_t k = 0; k < columns_; k++)
            std::memcpy(panel + (k * kLanes + lane) * 2, row + k * 2, 2);
        continue;
      }
      for (int64_t s = 0; s < columns_ / form.scale_weights; s++)
        write_scales(type_, row + s * form.file_bytes, lane, panel + s * form.scale_bytes);
      uint8_t *blocks = panel + form.scales_bytes(columns_);
      for (int64_t block = 0; block < columns_ / kBlock; block++) {
        uint8_t values[kBlock];
        read_block(type_, row, block, values);
        write_block(type_, values, lane, blocks + block * form.block_bytes);
      }
    }
  }
}

void PackedMatrix::unpack_row(int64_t row, float *out) const {
  const Layout form = layout(type_);
  const auto *panel = reinterpret_cast<const uint8_t *>(data_.get()) + row / kLanes * panel_bytes_;
  const int lane = int(row % kLanes);
  for (int64_t k = 0; k < columns_; k++) {
    if (type_ == WeightType::f32) {
      std::memcpy(out + k, panel + (k * kLanes + lane) * 4, 4);
    } else if (is_float(type_)) {
      uint16_t bits = read_half(panel + (k * kLanes + lane) * 2);
      out[k] = type_ == WeightType::f16 ? half_to_float(bits) : bfloat_to_float(bits);
    } else {
      float scale, offset;
      read_scales(type_, panel + k / form.scale_weights * form.scale_bytes, lane, int(k % form.scale_weights),
                  scale, offset);
      const uint8_t *block = panel + form.scales_bytes(columns_) + k / kBlock * form.block_bytes;
      // The product is exact but for q6_k, so a fused addition would round alike.
      out[k] = scale * float(read_value(type_, block, lane, int(k % kBlock))) + offset;
    }
  }
}

} // namespace ltu::kernels
