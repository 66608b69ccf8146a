#include "cuda/row_code.h"
#include "cuda/rows.h"

namespace ltu::cuda {

namespace {

constexpr float beyond_half = 65520; // from here on float16 is infinite
constexpr uint32_t two_nans = 0x7e007e00;

__global__ void embed_row(const int32_t *places, const half *table, const float *heard, float *x, int width) {
  const int64_t row = blockIdx.x, place = places[row];
  float *out = x + row * width;
  if (place >= 0)
    for (int i = threadIdx.x; i < width; i += threads)
      out[i] = to_float(table[place * width + i]);
  else
    for (int i = threadIdx.x; i < width; i += threads)
      out[i] = heard[(-1 - place) * width + i];
}

__global__ void norm_row(const float *x, const float *weight, float epsilon, half *y, int width) {
  const float *row = x + static_cast<int64_t>(blockIdx.x) * width;
  half *out = y + static_cast<int64_t>(blockIdx.x) * width;
  float sum = 0;
  for (int i = 4 * threadIdx.x; i < width; i += 4 * threads) {
    const float4 a = four(row + i);
    sum += (a.x * a.x + a.y * a.y) + (a.z * a.z + a.w * a.w);
  }
  const float scale = 1.0F / sqrtf(sum_of_block(sum) / static_cast<float>(width) + epsilon);
  for (int i = 4 * threadIdx.x; i < width; i += 4 * threads) {
    const float4 a = four(row + i), w = four(weight + i);
    store_four(out + i, {a.x * scale * w.x, a.y * scale * w.y, a.z * scale * w.z, a.w * scale * w.w});
  }
}

// A thread takes two pairs of neighbouring elements.
__global__ void rotate_row(const float *qkv, const float *bias, const float *turns, const int32_t *depths,
                           const int32_t *cells, Heads heads, half *queries, half *keys, half *values) {
  const int64_t row = blockIdx.x, cell = cells[row];
  const int size = static_cast<int>(heads.size), query_size = static_cast<int>(heads.queries) * size,
            key_size = static_cast<int>(heads.keys) * size;
  const float *in = qkv + row * heads.columns(), *turn = turns + static_cast<int64_t>(depths[row]) * size;
  const auto at = [&](int column) {
    float4 x = four(in + column);
    if (bias) {
      const float4 b = four(bias + column);
      x = {x.x + b.x, x.y + b.y, x.z + b.z, x.w + b.w};
    }
    return x;
  };
  const auto rotated = [&](int column) -> float4 {
    const float4 x = at(column), t = four(turn + column % size);
    return {x.x * t.x - x.y * t.y, x.x * t.y + x.y * t.x, x.z * t.z - x.w * t.w, x.z * t.w + x.w * t.z};
  };
  for (int i = 4 * threadIdx.x; i < query_size; i += 4 * threads)
    store_four(queries + row * query_size + i, rotated(i));
  for (int i = 4 * threadIdx.x; i < key_size; i += 4 * threads) {
    half *key = keys + cell * key_size + i, *value = values + cell * key_size + i;
    const float4 v = at(query_size + key_size + i);
    // A value that is no number would reach rows that don't see the cell, by way of a weight of 0. In its
    // place the key becomes NaN, which only rows that see it take in.
    const bool sound = fabsf(v.x) < beyond_half && fabsf(v.y) < beyond_half && fabsf(v.z) < beyond_half &&
                       fabsf(v.w) < beyond_half;
    store_four(value, sound ? v : float4{0, 0, 0, 0});
    if (sound)
      store_four(key, rotated(query_size + i));
    else
      *reinterpret_cast<uint2 *>(key) = {two_nans, two_nans};
  }
}

__device__ float silu(float x) {
  return x / (1.0F + expf(-x));
}

__global__ void swiglu_row(const float *gate_up, half *y, int width) {
  const float *gate = gate_up + static_cast<int64_t>(blockIdx.x) * 2 * width, *up = gate + width;
  half *out = y + static_cast<int64_t>(blockIdx.x) * width;
  for (int i = 4 * threadIdx.x; i < width; i += 4 * threads) {
    const float4 g = four(gate + i), u = four(up + i);
    store_four(out + i, {silu(g.x) * u.x, silu(g.y) * u.y, silu(g.z) * u.z, silu(g.w) * u.w});
  }
}

__global__ void gather_row(const int32_t *chosen, const float *x, float *x_chosen, int width,
                           const half *attended, half *attended_chosen, int attended_width) {
  const int64_t from = chosen[blockIdx.x], to = blockIdx.x;
  for (int i = threadIdx.x; i < width; i += threads)
    x_chosen[to * width + i] = x[from * width + i];
  for (int i = threadIdx.x; i < attended_width; i += threads)
    attended_chosen[to * attended_width + i] = attended[from * attended_width + i];
}

} // namespace

void embed(Card &card, const int32_t *places, const Half *table, const float *heard, float *x, int64_t n,
           int64_t width) {
  launch_rows(card, embed_row, n, 0, places, halves(table), heard, x, static_cast<int>(width));
}

void rms_norm(Card &card, const float *x, const float *weight, float epsilon, Half *y, int64_t n,
              int64_t width) {
  launch_rows(card, norm_row, n, 0, x, weight, epsilon, halves(y), static_cast<int>(width));
}

void rotate(Card &card, const float *qkv, const float *bias, const float *turns, const int32_t *depths,
            const int32_t *cells, const Heads &heads, Half *queries, Half *keys, Half *values, int64_t n) {
  launch_rows(card, rotate_row, n, 0, qkv, bias, turns, depths, cells, heads, halves(queries), halves(keys),
              halves(values));
}

void swiglu(Card &card, const float *gate_up, Half *y, int64_t n, int64_t width) {
  launch_rows(card, swiglu_row, n, 0, gate_up, halves(y), static_cast<int>(width));
}

void gather(Card &card, const int32_t *chosen, const float *x, float *x_chosen, int64_t width,
            const Half *attended, Half *attended_chosen, int64_t attended_width, int64_t n) {
  launch_rows(card, gather_row, n, 0, chosen, x, x_chosen, static_cast<int>(width), halves(attended),
              halves(attended_chosen), static_cast<int>(attended_width));
}

} // namespace ltu::cuda
