#pragma once
#include "kernels/types/low_bits.h"

namespace ltu::kernels {

// A file's block: 128 bytes of low bits, 64 of high ones, int8 scales of 16 half blocks, float16 scale;
// values with an offset of 32. A panel's: the low bits, then two vectors: vector h, bits 2g and 2g + 1 belong
// to group 4h + g.
struct Q6_K : QuantisedType {
  static constexpr WeightType type = WeightType::q6_k;
  static constexpr const char *name = "q6_k";
  static constexpr int file_type = 18;
  static constexpr const char *encoding = "Q6_K";
  static constexpr Layout layout{super_block_length, 210, 384, super_block_length, 32 + 16 * lane_count};
  static constexpr int halves = 2;

  static uint8_t read(const uint8_t *block, int part, int i) {
    const int low = block[part / 4 * 64 + part % 2 * 32 + i] >> (part % 4 / 2 * 4) & 15;
    const int high = block[128 + part / 4 * 32 + i] >> (part % 4 * 2) & 3;
    return static_cast<uint8_t>(low | high << 4);
  }
  static void write(uint8_t *block, int lane, int k, uint8_t value) {
    const int group = k / 4;
    write_low(block, lane, k, value);
    byte_of(block, 4 + group / 4, lane, k) |= static_cast<uint8_t>((value >> 4) << (group % 4 * 2));
  }
  static int value(const uint8_t *block, int lane, int k) {
    const int group = k / 4;
    const int high = byte_of(block, 4 + group / 4, lane, k) >> (group % 4 * 2) & 3;
    return (low(block, lane, k) | high << 4) - 32;
  }
  static void write_scales(const uint8_t *block, int lane, uint8_t *scales) {
    write_half(scales, 0, lane, block + 208);
    for (int half = 0; half < 16; half++)
      scales[32 + half * lane_count + lane] = block[192 + half];
  }
  static ScaleAndOffset scale(const uint8_t *scales, int lane, int k) {
    return {half_of(scales, 0, lane) * static_cast<int8_t>(scales[32 + k / 16 * lane_count + lane])};
  }
};

} // namespace ltu::kernels

#if defined(LTU_VARIANT)
namespace ltu::kernels::LTU_VARIANT {

template <> struct Loading<Q6_K> {
  template <int i> LTU_INLINE static void load_pair(const uint8_t *block, Bytes &even, Bytes &odd) {
    load_low<i>(block, even, odd);
    const Bytes high = load_bytes(block + 256 + 64 * (i / 2));
    even = either(even, shift_and<4 * (i % 2) - 4>(high, 48));
    odd = either(odd, shift_and<4 * (i % 2) + 2 - 4>(high, 48));
  }
  LTU_INLINE static void load_scales(const uint8_t *scales, int64_t block, int half, Floats &scale,
                                     Floats &) {
    constexpr int blocks = super_block_length / block_length;
    scales += block / blocks * Q6_K::layout.scale_bytes;
    const int part = static_cast<int>(block % blocks) * 2 + half;
    scale = mul(half_row(scales, 0), to_floats(load_signed_bytes(scales + 32 + part * lane_count)));
  }
  LTU_INLINE static Ints start(const ActivationBlock &x, int half) {
    return broadcast_int(x.minus_32_sum[half]);
  }
};

} // namespace ltu::kernels::LTU_VARIANT
#endif
