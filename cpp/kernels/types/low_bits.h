#pragma once
// The low four bits of a value, as five types keep them: vector i of a panel's block has group 2i in the low
// half of each byte, group 2i + 1 in the high half.

#include "kernels/types/type.h"

namespace ltu::kernels {

inline void write_low(uint8_t *block, int lane, int k, uint8_t value) {
  const int group = k / 4;
  byte_of(block, group / 2, lane, k) |= static_cast<uint8_t>((value & 15) << (group % 2 * 4));
}

inline int low(const uint8_t *block, int lane, int k) {
  const int group = k / 4;
  return byte_of(block, group / 2, lane, k) >> (group % 2 * 4) & 15;
}

// The values of a q4 block in a file: value i beside value i + 16.
inline uint8_t read_low(const uint8_t *values, int i) {
  return values[i % 16] >> (i / 16 * 4) & 15;
}

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <int i> LTU_INLINE void load_low(const uint8_t *block, Bytes &even, Bytes &odd) {
  const Bytes both = load_bytes(block + 64 * i);
  even = shift_and<0>(both, 15);
  odd = shift_and<4>(both, 15);
}

} // namespace ltu::kernels::LTU_VARIANT
#endif
