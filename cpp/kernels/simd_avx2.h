#pragma once
// 16 lanes in two AVX2 registers; what each function promises is said in simd_avx512.h.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/layout.h"

#define LTU_INLINE inline __attribute__((always_inline))

namespace ltu::kernels::LTU_VARIANT {

struct Floats {
  __m256 a, b;
};
struct Ints {
  __m256i a, b;
};
using Bytes = Ints;

constexpr int tile_columns = 6;
constexpr int float_panels(int columns) {
  return columns == 1 ? 4 : columns == 2 ? 2 : 1;
}
constexpr int quantised_panels(int) {
  return 1;
}

LTU_INLINE Floats zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
LTU_INLINE Floats broadcast(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
LTU_INLINE Floats load(const float *p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
LTU_INLINE Floats load(const float *p, int count) {
  float lanes[16] = {};
  for (int i = 0; i < count; i++)
    lanes[i] = p[i];
  return load(lanes);
}
LTU_INLINE void store(float *p, Floats v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
LTU_INLINE void store(float *p, Floats v, int count) {
  float lanes[16];
  store(lanes, v);
  for (int i = 0; i < count; i++)
    p[i] = lanes[i];
}
LTU_INLINE Floats load_half(const uint16_t *p) {
  const auto *from = (const __m128i *)p;
  return {_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from + 1))};
}
LTU_INLINE __m256 widen_bfloat(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
LTU_INLINE Floats load_bfloat(const uint16_t *p) {
  const auto *from = (const __m128i *)p;
  return {widen_bfloat(_mm_loadu_si128(from)), widen_bfloat(_mm_loadu_si128(from + 1))};
}

LTU_INLINE Floats add(Floats x, Floats y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
LTU_INLINE Floats sub(Floats x, Floats y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
LTU_INLINE Floats mul(Floats x, Floats y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
LTU_INLINE Floats div(Floats x, Floats y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
LTU_INLINE Floats fma(Floats x, Floats y, Floats z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
LTU_INLINE Floats max(Floats x, Floats y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
LTU_INLINE Floats min(Floats x, Floats y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
LTU_INLINE float max_lanes(Floats x) {
  __m256 eight = _mm256_max_ps(x.a, x.b);
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
LTU_INLINE Floats abs(Floats x) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
LTU_INLINE Floats select_less(Floats x, Floats y, Floats yes, Floats no) {
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
}

LTU_INLINE Ints zero_ints() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
LTU_INLINE Ints broadcast_int(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
LTU_INLINE Ints add_ints(Ints x, Ints y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
LTU_INLINE int32_t sum_ints(Ints x) {
  __m256i eight = _mm256_add_epi32(x.a, x.b);
  __m128i m = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}
LTU_INLINE Ints to_ints(Floats x) {
  return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
LTU_INLINE Floats to_floats(Ints x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
LTU_INLINE Ints load_unsigned_bytes(const uint8_t *p) {
  __m128i bytes = _mm_loadu_si128((const __m128i *)p);
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
LTU_INLINE Ints load_signed_bytes(const uint8_t *p) {
  __m128i bytes = _mm_loadu_si128((const __m128i *)p);
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
LTU_INLINE void store_bytes(int8_t *p, Ints x) {
  __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
  __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(words, words), 0xd8);
  _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(bytes));
}
LTU_INLINE Floats power_of_two(Ints n) {
  __m256i bias = _mm256_set1_epi32(127);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n.a, bias), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n.b, bias), 23))};
}

LTU_INLINE Bytes load_bytes(const uint8_t *p) {
  const auto *from = (const __m256i *)p;
  return {_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)};
}
LTU_INLINE Bytes broadcast_bytes(const int8_t *p) {
  int32_t bits;
  std::memcpy(&bits, p, 4);
  return broadcast_int(bits);
}
template <int Right> LTU_INLINE Bytes shift_and(Bytes x, uint8_t mask) {
  if constexpr (Right > 0)
    x = {_mm256_srli_epi32(x.a, Right), _mm256_srli_epi32(x.b, Right)};
  if constexpr (Right < 0)
    x = {_mm256_slli_epi32(x.a, -Right), _mm256_slli_epi32(x.b, -Right)};
  __m256i kept = _mm256_set1_epi8(char(mask));
  return {_mm256_and_si256(x.a, kept), _mm256_and_si256(x.b, kept)};
}
LTU_INLINE Bytes either(Bytes x, Bytes y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}

constexpr bool signed_dots = true;
LTU_INLINE __m256i widen_add(__m256i sum, __m256i words) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
}
LTU_INLINE Ints dot_pair(Ints sum, Bytes w0, Bytes x0, Bytes w1, Bytes x1) {
  return {
      widen_add(sum.a, _mm256_add_epi16(_mm256_maddubs_epi16(w0.a, x0.a), _mm256_maddubs_epi16(w1.a, x1.a))),
      widen_add(sum.b, _mm256_add_epi16(_mm256_maddubs_epi16(w0.b, x0.b), _mm256_maddubs_epi16(w1.b, x1.b)))};
}
LTU_INLINE __m256i dot_signed(__m256i sum, __m256i w, __m256i x) {
  return widen_add(sum, _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)));
}
LTU_INLINE Ints dot_pair_signed(Ints sum, Bytes w0, Bytes x0, Bytes w1, Bytes x1) {
  return {dot_signed(dot_signed(sum.a, w0.a, x0.a), w1.a, x1.a),
          dot_signed(dot_signed(sum.b, w0.b, x0.b), w1.b, x1.b)};
}

LTU_INLINE void transpose8(__m256 (&r)[8]) {
  __m256 t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      u[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
      u[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
    }
  for (int j = 0; j < 4; j++) {
    r[j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x20);
    r[4 + j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x31);
  }
}
LTU_INLINE void transpose(Floats (&rows)[16]) {
  __m256 quarter[2][2][8]; // [rows' half][lanes' half]
  for (int i = 0; i < 16; i++) {
    quarter[i / 8][0][i % 8] = rows[i].a;
    quarter[i / 8][1][i % 8] = rows[i].b;
  }
  for (auto &half : quarter)
    for (auto &block : half)
      transpose8(block);
  for (int i = 0; i < 16; i++)
    rows[i] = {quarter[0][i / 8][i % 8], quarter[1][i / 8][i % 8]};
}

} // namespace ltu::kernels::LTU_VARIANT
