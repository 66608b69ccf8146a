#pragma once
// 16 lanes in plain C++, for other processors and as the reference; see simd_avx512.h.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/half.h"
#include "kernels/layout.h"

#define LTU_INLINE inline

namespace ltu::kernels::LTU_VARIANT {

struct Floats {
  float lane[16];
};
struct Ints {
  int32_t lane[16];
};
struct Bytes {
  uint8_t byte[64];
};

constexpr int tile_columns = 4;
constexpr int float_panels(int) {
  return 1;
}
constexpr int quantised_panels(int) {
  return 1;
}

template <class Result = Floats, class F> inline Result each_lane(F f) {
  Result r;
  for (int i = 0; i < 16; i++)
    r.lane[i] = f(i);
  return r;
}

inline Floats broadcast(float x) {
  return each_lane([=](int) { return x; });
}
inline Floats zero() {
  return broadcast(0);
}
inline Floats load(const float *p, int count = 16) {
  return each_lane([=](int i) { return i < count ? p[i] : 0.0f; });
}
inline void store(float *p, Floats v, int count = 16) {
  for (int i = 0; i < count; i++)
    p[i] = v.lane[i];
}
inline Floats load_half(const uint16_t *p) {
  return each_lane([=](int i) { return half_to_float(p[i]); });
}
inline Floats load_bfloat(const uint16_t *p) {
  return each_lane([=](int i) { return bfloat_to_float(p[i]); });
}

inline Floats add(const Floats &a, const Floats &b) {
  return each_lane([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Floats sub(const Floats &a, const Floats &b) {
  return each_lane([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline Floats mul(const Floats &a, const Floats &b) {
  return each_lane([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Floats div(const Floats &a, const Floats &b) {
  return each_lane([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline Floats fma(const Floats &a, const Floats &b, const Floats &c) {
  return each_lane([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
inline Floats max(const Floats &a, const Floats &b) {
  return each_lane([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Floats min(const Floats &a, const Floats &b) {
  return each_lane([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline float max_lanes(const Floats &a) {
  float most = a.lane[0];
  for (float x : a.lane)
    most = x > most ? x : most;
  return most;
}
inline Floats abs(const Floats &a) {
  return each_lane([&](int i) { return std::fabs(a.lane[i]); });
}
inline Floats select_less(const Floats &a, const Floats &b, const Floats &yes, const Floats &no) {
  return each_lane([&](int i) { return a.lane[i] < b.lane[i] ? yes.lane[i] : no.lane[i]; });
}

inline Ints broadcast_int(int32_t x) {
  return each_lane<Ints>([=](int) { return x; });
}
inline Ints zero_ints() {
  return broadcast_int(0);
}
inline Ints add_ints(const Ints &a, const Ints &b) {
  return each_lane<Ints>([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline int32_t sum_ints(const Ints &a) {
  int32_t sum = 0;
  for (int32_t x : a.lane)
    sum += x;
  return sum;
}
inline Ints to_ints(const Floats &a) {
  return each_lane<Ints>([&](int i) {
    bool fits = std::fabs(a.lane[i]) < 2147483648.0f;
    return fits ? static_cast<int32_t>(std::nearbyint(a.lane[i])) : INT32_MIN;
  });
}
inline Floats to_floats(const Ints &a) {
  return each_lane([&](int i) { return static_cast<float>(a.lane[i]); });
}
inline Ints load_unsigned_bytes(const uint8_t *p) {
  return each_lane<Ints>([=](int i) { return int32_t{p[i]}; });
}
inline Ints load_signed_bytes(const uint8_t *p) {
  return each_lane<Ints>([=](int i) { return int32_t{static_cast<int8_t>(p[i])}; });
}
inline void store_bytes(int8_t *p, const Ints &a) {
  for (int i = 0; i < 16; i++)
    p[i] = static_cast<int8_t>(a.lane[i]);
}
inline Floats power_of_two(const Ints &n) {
  return each_lane([&](int i) { return std::bit_cast<float>(static_cast<uint32_t>(n.lane[i] + 127) << 23); });
}

inline Bytes load_bytes(const uint8_t *p) {
  Bytes r;
  std::memcpy(r.byte, p, 64);
  return r;
}
inline Bytes broadcast_bytes(const int8_t *p) {
  Bytes r;
  for (int i = 0; i < 64; i++)
    r.byte[i] = static_cast<uint8_t>(p[i % 4]);
  return r;
}
template <int Right> inline Bytes shift_and(const Bytes &a, uint8_t mask) {
  Bytes r;
  for (int i = 0; i < 64; i++)
    r.byte[i] =
        static_cast<uint8_t>((Right > 0 ? a.byte[i] >> (Right & 7) : a.byte[i] << (-Right & 7)) & mask);
  return r;
}
inline Bytes either(const Bytes &a, const Bytes &b) {
  Bytes r;
  for (int i = 0; i < 64; i++)
    r.byte[i] = a.byte[i] | b.byte[i];
  return r;
}

constexpr bool signed_dots = true;
template <class Weight> inline Ints dot_bytes(Ints sum, const Bytes &w, const Bytes &x) {
  for (int i = 0; i < 64; i++)
    sum.lane[i / 4] += int32_t{Weight(w.byte[i])} * static_cast<int8_t>(x.byte[i]);
  return sum;
}
inline Ints dot_pair(const Ints &sum, const Bytes &w0, const Bytes &x0, const Bytes &w1, const Bytes &x1) {
  return dot_bytes<uint8_t>(dot_bytes<uint8_t>(sum, w0, x0), w1, x1);
}
inline Ints dot_pair_signed(const Ints &sum, const Bytes &w0, const Bytes &x0, const Bytes &w1,
                            const Bytes &x1) {
  return dot_bytes<int8_t>(dot_bytes<int8_t>(sum, w0, x0), w1, x1);
}

inline void transpose(Floats (&rows)[16]) {
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < i; j++) {
      float kept = rows[i].lane[j];
      rows[i].lane[j] = rows[j].lane[i];
      rows[j].lane[i] = kept;
    }
}

} // namespace ltu::kernels::LTU_VARIANT
