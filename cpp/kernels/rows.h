#pragma once
// Rows of activations: computed one at a time, then packed. Included once per variant.

namespace ltu::kernels::LTU_VARIANT {

// f(k, lanes) for 16 values at a time, fewer at the end.
template <class F> LTU_INLINE void by_lanes(int64_t count, F f) {
  int64_t k = 0;
  for (; k + lane_count <= count; k += lane_count)
    f(k, lane_count);
  if (k < count)
    f(k, static_cast<int>(count - k));
}

LTU_INLINE Floats load_some(const float *p, int lanes) {
  return lanes == lane_count ? load(p) : load(p, lanes);
}
LTU_INLINE void store_some(float *p, Floats v, int lanes) {
  if (lanes == lane_count)
    store(p, v);
  else
    store(p, v, lanes);
}

inline void rms_norm(const Rows &rows, const float *x, int64_t k, float *out) {
  Floats squares = zero();
  by_lanes(k, [&](int64_t i, int lanes) {
    Floats v = load_some(x + i, lanes);
    squares = fma(v, v, squares);
  });
  Floats scale = broadcast(1 / __builtin_sqrtf(sum_lanes(squares) / static_cast<float>(k) + rows.epsilon));
  by_lanes(k, [&](int64_t i, int lanes) {
    Floats v = mul(load_some(x + i, lanes), scale);
    store_some(out + i, mul(v, load_some(rows.weight + i, lanes)), lanes);
  });
}

inline void layer_norm(const Rows &rows, const float *x, int64_t k, float *out) {
  Floats sum = zero();
  by_lanes(k, [&](int64_t i, int lanes) { sum = add(sum, load_some(x + i, lanes)); });
  Floats mean = broadcast(sum_lanes(sum) / static_cast<float>(k));
  alignas(64) float means[lane_count];
  store(means, mean);
  Floats squares = zero();
  by_lanes(k, [&](int64_t i, int lanes) {
    Floats v = sub(load_some(x + i, lanes), load_some(means, lanes)); // 0 beyond the row's end
    squares = fma(v, v, squares);
  });
  Floats scale = broadcast(1 / __builtin_sqrtf(sum_lanes(squares) / static_cast<float>(k) + rows.epsilon));
  by_lanes(k, [&](int64_t i, int lanes) {
    Floats v = mul(sub(load_some(x + i, lanes), mean), scale);
    if (rows.weight)
      v = mul(v, load_some(rows.weight + i, lanes));
    if (rows.bias)
      v = add(v, load_some(rows.bias + i, lanes));
    store_some(out + i, v, lanes);
  });
}

inline void swiglu(const float *gate, const float *up, int64_t k, float *out) {
  by_lanes(k, [&](int64_t i, int lanes) {
    store_some(out + i, mul(silu(load_some(gate + i, lanes)), load_some(up + i, lanes)), lanes);
  });
}

// Row i as float32[k]: where it lies already, or computed into `buffer`.
inline const float *row(const Rows &rows, int64_t i, int64_t k, float *buffer) {
  const float *x = rows.x + i * rows.stride;
  switch (rows.kind) {
  case Rows::Kind::plain:
    return x;
  case Rows::Kind::rms_norm:
    rms_norm(rows, x, k, buffer);
    break;
  case Rows::Kind::layer_norm:
    layer_norm(rows, x, k, buffer);
    break;
  case Rows::Kind::swiglu:
    swiglu(x, rows.up + i * rows.up_stride, k, buffer);
    break;
  }
  return buffer;
}

inline void write_rows(const Rows &rows, int64_t k, int64_t begin, int64_t end, float *out,
                       int64_t out_stride) {
  for (int64_t i = begin; i < end; i++) {
    float *to = out + i * out_stride;
    const float *from = row(rows, i, k, to);
    if (from != to)
      std::memcpy(to, from, k * sizeof(float));
  }
}

// To nearest int8, ties to even, scale = largest magnitude / 127.
inline void quantise(const float *x, ActivationBlock &block) {
  Floats a = load(x), b = load(x + lane_count);
  float largest = max_lanes(max(abs(a), abs(b)));
  bool tiny = largest < 1e-30f; // 127 / largest would overflow
  Floats inverse = broadcast(tiny ? 0.0f : 127 / largest);
  Ints qa = to_ints(mul(a, inverse)), qb = to_ints(mul(b, inverse));
  store_bytes(block.values, qa);
  store_bytes(block.values + lane_count, qb);
  int sum_a = sum_ints(qa), sum_b = sum_ints(qb);
  block.scale = tiny ? 0.0f : largest / 127;
  block.scaled_sum = block.scale * static_cast<float>(sum_a + sum_b);
  block.minus_8_sum = -8 * (sum_a + sum_b);
  block.minus_128_sum = -128 * (sum_a + sum_b);
  block.minus_32_sum[0] = -32 * sum_a;
  block.minus_32_sum[1] = -32 * sum_b;
}

inline void pack_quantised(const Rows &rows, int64_t k, int64_t begin, int64_t end, ActivationBlock *out,
                           float *buffer) {
  for (int64_t i = begin; i < end; i++) {
    const float *x = row(rows, i, k, buffer);
    for (int64_t block = 0; block < k / block_length; block++)
      quantise(x + block * block_length, out[i * block_stride(k) + block]);
  }
}

} // namespace ltu::kernels::LTU_VARIANT
