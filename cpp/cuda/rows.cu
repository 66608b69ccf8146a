#include "cuda/device_code.h"
#include "cuda/rows.h"

namespace ltu::cuda {

namespace {

constexpr float beyond_half = 65520; // from here on float16 is infinite
constexpr uint32_t two_nans = 0x7e007e00;
constexpr int threads = 256; // of a row's block: fixed, so that a row is summed alike in any company

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
  __shared__ float sums[threads / 32];
  const float *row = x + static_cast<int64_t>(blockIdx.x) * width;
  half *out = y + static_cast<int64_t>(blockIdx.x) * width;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += threads)
    sum += row[i] * row[i];
  for (int other = 16; other > 0; other /= 2)
    sum += __shfl_xor_sync(~0U, sum, other);
  if (threadIdx.x % 32 == 0)
    sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int warp = 0; warp < threads / 32; ++warp)
    sum += sums[warp];
  const float scale = 1.0F / sqrtf(sum / static_cast<float>(width) + epsilon);
  for (int i = threadIdx.x; i < width; i += threads)
    out[i] = to_half(row[i] * scale * weight[i]);
}

// A thread takes a pair of neighbouring elements.
__global__ void rotate_row(const float *qkv, const float *bias, const float2 *turns, const int32_t *depths,
                           const int32_t *cells, Heads heads, half *queries, half *keys, half *values) {
  const int64_t row = blockIdx.x, cell = cells[row];
  const int query_size = static_cast<int>(heads.queries * heads.size),
            key_size = static_cast<int>(heads.keys * heads.size);
  const int half_head = static_cast<int>(heads.size / 2);
  const float *in = qkv + row * heads.columns();
  const float2 *turn = turns + static_cast<int64_t>(depths[row]) * half_head;
  const auto pair = [&](int column) {
    float2 x{in[column], in[column + 1]};
    if (bias) {
      x.x += bias[column];
      x.y += bias[column + 1];
    }
    return x;
  };
  const auto rotated = [&](int column) {
    const float2 x = pair(column), t = turn[column / 2 % half_head];
    return pack_halves(x.x * t.x - x.y * t.y, x.x * t.y + x.y * t.x);
  };
  auto *q = reinterpret_cast<uint32_t *>(queries + row * query_size);
  auto *k = reinterpret_cast<uint32_t *>(keys + cell * key_size);
  auto *v = reinterpret_cast<uint32_t *>(values + cell * key_size);
  for (int i = threadIdx.x; i < query_size / 2; i += threads)
    q[i] = rotated(2 * i);
  for (int i = threadIdx.x; i < key_size / 2; i += threads) {
    const float2 value = pair(query_size + key_size + 2 * i);
    // A value that is no number would reach rows that don't see the cell, by way of a weight of 0. In its
    // place the key becomes NaN, which only rows that see it take in.
    const bool sound = fabsf(value.x) < beyond_half && fabsf(value.y) < beyond_half;
    k[i] = sound ? rotated(query_size + 2 * i) : two_nans;
    v[i] = sound ? pack_halves(value.x, value.y) : 0;
  }
}

__global__ void swiglu_row(const float *gate_up, half *y, int width) {
  const float *gate = gate_up + static_cast<int64_t>(blockIdx.x) * 2 * width, *up = gate + width;
  half *out = y + static_cast<int64_t>(blockIdx.x) * width;
  for (int i = threadIdx.x; i < width; i += threads)
    out[i] = to_half(gate[i] / (1.0F + expf(-gate[i])) * up[i]);
}

__global__ void gather_row(const int32_t *chosen, const float *x, float *x_chosen, int width,
                           const half *attended, half *attended_chosen, int attended_width) {
  const int64_t from = chosen[blockIdx.x], to = blockIdx.x;
  for (int i = threadIdx.x; i < width; i += threads)
    x_chosen[to * width + i] = x[from * width + i];
  for (int i = threadIdx.x; i < attended_width; i += threads)
    attended_chosen[to * attended_width + i] = attended[from * attended_width + i];
}

template <class... Parameters, class... Arguments>
void launch_rows(Card &card, void (*kernel)(Parameters...), int64_t n, Arguments... arguments) {
  launch(kernel, dim3(static_cast<unsigned>(n)), threads, 0, card.stream(), arguments...);
  card.check_launch();
}

} // namespace

void embed(Card &card, const int32_t *places, const Half *table, const float *heard, float *x, int64_t n,
           int64_t width) {
  launch_rows(card, embed_row, n, places, halves(table), heard, x, static_cast<int>(width));
}

void rms_norm(Card &card, const float *x, const float *weight, float epsilon, Half *y, int64_t n,
              int64_t width) {
  launch_rows(card, norm_row, n, x, weight, epsilon, halves(y), static_cast<int>(width));
}

void rotate(Card &card, const float *qkv, const float *bias, const float *turns, const int32_t *depths,
            const int32_t *cells, const Heads &heads, Half *queries, Half *keys, Half *values, int64_t n) {
  launch_rows(card, rotate_row, n, qkv, bias, reinterpret_cast<const float2 *>(turns), depths, cells, heads,
              halves(queries), halves(keys), halves(values));
}

void swiglu(Card &card, const float *gate_up, Half *y, int64_t n, int64_t width) {
  launch_rows(card, swiglu_row, n, gate_up, halves(y), static_cast<int>(width));
}

void gather(Card &card, const int32_t *chosen, const float *x, float *x_chosen, int64_t width,
            const Half *attended, Half *attended_chosen, int64_t attended_width, int64_t n) {
  launch_rows(card, gather_row, n, chosen, x, x_chosen, static_cast<int>(width), halves(attended),
              halves(attended_chosen), static_cast<int>(attended_width));
}

} // namespace ltu::cuda
