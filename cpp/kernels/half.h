#pragma once
// Half precision in plain C++, for packing and for the scalar variant.

#include <bit>
#include <cstdint>

namespace ltu::kernels {

inline float bfloat_to_float(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}

inline float half_to_float(uint16_t bits) {
  uint32_t sign = (bits & 0x8000u) << 16;
  uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) { // infinity, NaN (made quiet, as the processors do)
    uint32_t payload = (magnitude & 0x3ffu) << 13;
    return std::bit_cast<float>(sign | 0x7f800000u | payload | (payload ? 0x400000u : 0u));
  }
  // The exponent is 112 too small after the shift; multiplying also makes subnormals right.
  float scaled = std::bit_cast<float>(magnitude << 13) * std::bit_cast<float>(0x77800000u); // 2^112
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

} // namespace ltu::kernels
