#pragma once
// 16 lanes in one AVX-512 register. simd_avx2.h and simd_scalar.h offer the same names with the same results.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/layout.h"

#define LTU_INLINE inline __attribute__((always_inline))

namespace ltu::kernels::LTU_VARIANT {

using Floats = __m512; // 16 float
using Ints = __m512i;  // 16 int32
using Bytes = __m512i; // 16 lanes of 4 bytes

constexpr int tile_columns = 6; // columns of a tile
constexpr int float_panels(int) {
  return 4;
} // panels of a tile, given its columns
constexpr int quantised_panels(int) {
  return 2;
}

LTU_INLINE Floats zero() {
  return _mm512_setzero_ps();
}
LTU_INLINE Floats broadcast(float x) {
  return _mm512_set1_ps(x);
}
LTU_INLINE __mmask16 first(int count) {
  return __mmask16((1u << count) - 1);
}
LTU_INLINE Floats load(const float *p) {
  return _mm512_loadu_ps(p);
}
LTU_INLINE Floats load(const float *p, int count) {
  return _mm512_maskz_loadu_ps(first(count), p);
}
LTU_INLINE void store(float *p, Floats v) {
  _mm512_storeu_ps(p, v);
}
LTU_INLINE void store(float *p, Floats v, int count) {
  _mm512_mask_storeu_ps(p, first(count), v);
}
LTU_INLINE Floats load_half(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
LTU_INLINE Floats load_bfloat(const uint16_t *p) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

LTU_INLINE Floats add(Floats a, Floats b) {
  return _mm512_add_ps(a, b);
}
LTU_INLINE Floats sub(Floats a, Floats b) {
  return _mm512_sub_ps(a, b);
}
LTU_INLINE Floats mul(Floats a, Floats b) {
  return _mm512_mul_ps(a, b);
}
LTU_INLINE Floats div(Floats a, Floats b) {
  return _mm512_div_ps(a, b);
}
LTU_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
} // a b + c
LTU_INLINE Floats max(Floats a, Floats b) {
  return _mm512_max_ps(a, b);
} // b if one is NaN
LTU_INLINE Floats min(Floats a, Floats b) {
  return _mm512_min_ps(a, b);
}
LTU_INLINE float max_lanes(Floats a) {
  return _mm512_reduce_max_ps(a);
}
LTU_INLINE Floats abs(Floats a) {
  return _mm512_abs_ps(a);
}
LTU_INLINE Floats select_less(Floats a, Floats b, Floats yes, Floats no) { // a < b ? yes : no
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

LTU_INLINE Ints zero_ints() {
  return _mm512_setzero_si512();
}
LTU_INLINE Ints broadcast_int(int32_t x) {
  return _mm512_set1_epi32(x);
}
LTU_INLINE Ints add_ints(Ints a, Ints b) {
  return _mm512_add_epi32(a, b);
}
LTU_INLINE int32_t sum_ints(Ints a) {
  return _mm512_reduce_add_epi32(a);
}
LTU_INLINE Ints to_ints(Floats a) {
  return _mm512_cvtps_epi32(a);
} // nearest, ties to even
LTU_INLINE Floats to_floats(Ints a) {
  return _mm512_cvtepi32_ps(a);
}
LTU_INLINE Ints load_unsigned_bytes(const uint8_t *p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
LTU_INLINE Ints load_signed_bytes(const uint8_t *p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}
// The values must fit.
LTU_INLINE void store_bytes(int8_t *p, Ints a) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a));
}
LTU_INLINE Floats power_of_two(Ints n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}

LTU_INLINE Bytes load_bytes(const uint8_t *p) {
  return _mm512_loadu_si512(p);
}
LTU_INLINE Bytes broadcast_bytes(const int8_t *p) { // 4 bytes
  int32_t bits;
  std::memcpy(&bits, p, 4);
  return _mm512_set1_epi32(bits);
}
// Bits of each byte: those of `mask` after moving them right (left if Right < 0). None may cross into a
// neighbour and survive the mask.
template <int Right> LTU_INLINE Bytes shift_and(Bytes a, uint8_t mask) {
  if constexpr (Right > 0)
    a = _mm512_srli_epi32(a, Right);
  if constexpr (Right < 0)
    a = _mm512_slli_epi32(a, -Right);
  return _mm512_and_si512(a, _mm512_set1_epi8(char(mask)));
}
LTU_INLINE Bytes either(Bytes a, Bytes b) {
  return _mm512_or_si512(a, b);
}

#if defined(__AVX512VNNI__)
// Weights in two's complement gain 128 to become unsigned; minus_128_sum takes it away again.
constexpr bool signed_dots = false;
LTU_INLINE Bytes plus_128(Bytes w) {
  return _mm512_xor_si512(w, _mm512_set1_epi8(char(0x80)));
}
// sum + the dot products of the 4 bytes of each lane: weights unsigned (at most 63 in the non-VNNI variants),
// activations -127..127. Two pairs at once, because the other variants save a step then.
LTU_INLINE Ints dot_pair(Ints sum, Bytes w0, Bytes x0, Bytes w1, Bytes x1) {
  return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, w0, x0), w1, x1);
}
LTU_INLINE Ints dot_pair_signed(Ints sum, Bytes w0, Bytes x0, Bytes w1, Bytes x1) {
  return dot_pair(sum, plus_128(w0), x0, plus_128(w1), x1);
}
#else
constexpr bool signed_dots = true;
LTU_INLINE Ints dot_pair(Ints sum, Bytes w0, Bytes x0, Bytes w1, Bytes x1) {
  __m512i words = _mm512_add_epi16(_mm512_maddubs_epi16(w0, x0), _mm512_maddubs_epi16(w1, x1));
  return _mm512_add_epi32(sum, _mm512_madd_epi16(words, _mm512_set1_epi16(1)));
}
LTU_INLINE Ints dot_signed(Ints sum, Bytes w, Bytes x) { // |w| times x with w's sign: no sum saturates
  __m512i with_sign = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
  __m512i words = _mm512_maddubs_epi16(_mm512_abs_epi8(w), with_sign);
  return _mm512_add_epi32(sum, _mm512_madd_epi16(words, _mm512_set1_epi16(1)));
}
LTU_INLINE Ints dot_pair_signed(Ints sum, Bytes w0, Bytes x0, Bytes w1, Bytes x1) {
  return dot_signed(dot_signed(sum, w0, x0), w1, x1);
}
#endif

// rows[i] lane j <-> rows[j] lane i
LTU_INLINE void transpose(Floats (&rows)[16]) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
  }
  __m512 u[16];
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + 2 + j]);
      u[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      u[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  for (int j = 0; j < 4; j++) {
    __m512 even = _mm512_shuffle_f32x4(u[j], u[4 + j], 0x88),
           odd = _mm512_shuffle_f32x4(u[j], u[4 + j], 0xdd);
    __m512 even2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0x88),
           odd2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0xdd);
    rows[j] = _mm512_shuffle_f32x4(even, even2, 0x88);
    rows[4 + j] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
    rows[8 + j] = _mm512_shuffle_f32x4(even, even2, 0xdd);
    rows[12 + j] = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
  }
}

} // namespace ltu::kernels::LTU_VARIANT
