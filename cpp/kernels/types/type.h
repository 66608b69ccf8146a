#pragma once
// What a file of this folder says of its type:
//   type, name; file_type and encoding: llama.cpp's llama_ftype of a file of such matrices, and its word in
//   names of files; layout
// and, of a quantised one:
//   is_signed, has_minimum, halves              what a product must take off, add and scale apart
//   read(file_block, part, i)                   value i of block `part`, as a file keeps it
//   write(panel_block, lane, k, value)          that value into a panel's block, which was zero
//   value(panel_block, lane, k)                 it again, without the offset that it is stored with
//   write_scales(file_block, lane, scales)      a file's scales into a panel's record
//   scale(scales, lane, k)                      the weight is factor * value + offset
// In a variant (LTU_VARIANT), Loading<Type> says the same of sixteen rows at once:
//   load_pair<i>(block, even, odd)              groups 2i and 2i + 1 of a block
//   load_scales(scales, block, half, scale, offset)
//   start(x, half)                              what a dot product starts from, so that the offset is out of
//   it

#include <cstring>

#include "kernels/half.h"
#include "kernels/layout.h"

namespace ltu::kernels {

struct FloatType {
  static constexpr bool is_float = true;
};

struct QuantisedType {
  static constexpr bool is_float = false;
  static constexpr bool is_signed = false;
  static constexpr bool has_minimum = false;
  static constexpr int halves = 1; // parts of a block that have a scale of their own
};

struct ScaleAndOffset {
  float factor;
  float offset = 0;
};

inline uint16_t read_half(const uint8_t *p) {
  return static_cast<uint16_t>(p[0] | p[1] << 8);
}

// Row `row` of a panel's record of scales is sixteen float16, one a lane.
inline void write_half(uint8_t *scales, int row, int lane, const uint8_t *from) {
  std::memcpy(scales + row * 32 + lane * 2, from, 2);
}

inline float half_of(const uint8_t *scales, int row, int lane) {
  return half_to_float(read_half(scales + row * 32 + lane * 2));
}

// The byte of a block's vector that holds value k of a lane.
inline uint8_t &byte_of(uint8_t *block, int vector, int lane, int k) {
  return block[vector * 64 + lane * 4 + k % 4];
}
inline uint8_t byte_of(const uint8_t *block, int vector, int lane, int k) {
  return block[vector * 64 + lane * 4 + k % 4];
}

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <class Type> struct Loading;

LTU_INLINE Floats half_row(const uint8_t *scales, int row) {
  return load_half(reinterpret_cast<const uint16_t *>(scales) + row * lane_count);
}

} // namespace ltu::kernels::LTU_VARIANT
#endif
