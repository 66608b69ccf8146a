#pragma once
// Rotary position embedding. Included once per variant.

namespace ltu::kernels::LTU_VARIANT {

inline void rotate(const float *x, const float *turn, int heads, int head_dim, float *out) {
  for (int head = 0; head < heads; head++, x += head_dim, out += head_dim)
    for (int i = 0; i < head_dim; i += 2) {
      const float cosine = turn[i], sine = turn[i + 1], a = x[i], b = x[i + 1];
      out[i] = std::fma(a, cosine, -(b * sine));
      out[i + 1] = std::fma(a, sine, b * cosine);
    }
}

} // namespace ltu::kernels::LTU_VARIANT
