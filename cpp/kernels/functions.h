#pragma once
// Functions of one lane vector: exponential, GELU, SiLU. Included once per variant.

namespace ltu::kernels::LTU_VARIANT {

// In a fixed order, the same for all variants.
LTU_INLINE float sum_lanes(Floats v) {
  alignas(64) float lane[16];
  store(lane, v);
  for (int width = 8; width; width /= 2)
    for (int i = 0; i < width; i++)
      lane[i] += lane[i + width];
  return lane[0];
}

// e^x, relative error below 2e-7; 0 below -87.3, e^88 above 88. x = n ln 2 + r, Taylor in r to degree 7.
LTU_INLINE Floats exp(Floats x) {
  const Floats lowest = broadcast(-87.3f);
  Floats inside = min(broadcast(88.0f), max(lowest, x)); // in this order NaN stays NaN
  Ints n = to_ints(mul(inside, broadcast(1.44269504f)));
  Floats whole = to_floats(n);
  Floats r = fma(whole, broadcast(-0.693145752f), inside); // ln 2 in two parts, the first of 16 bits
  r = fma(whole, broadcast(-1.42860677e-6f), r);
  Floats p = broadcast(1.98412698e-4f);
  p = fma(p, r, broadcast(1.38888889e-3f));
  p = fma(p, r, broadcast(8.33333333e-3f));
  p = fma(p, r, broadcast(4.16666667e-2f));
  p = fma(p, r, broadcast(1.66666667e-1f));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  return select_less(x, lowest, zero(), mul(p, power_of_two(n)));
}

// x/2 (1 + erf(x/sqrt 2)) = max(x, 0) - |x| q, q = erfc(|x|/sqrt 2)/2 = e^(-x²/2) p(1/(1 + 0.3|x|)).
// p is a fit of degree 7 for the least largest error of |x| q: 4e-10 before rounding.
LTU_INLINE Floats gelu(Floats x) {
  Floats size = abs(x);
  Floats u = div(broadcast(1.0f), fma(size, broadcast(0.3f), broadcast(1.0f)));
  Floats p = broadcast(4.921621700e-02f);
  p = fma(p, u, broadcast(-3.103665941e-01f));
  p = fma(p, u, broadcast(6.773696626e-01f));
  p = fma(p, u, broadcast(-5.110066228e-01f));
  p = fma(p, u, broadcast(4.543564293e-01f));
  p = fma(p, u, broadcast(-8.165451635e-04f));
  p = fma(p, u, broadcast(1.432348884e-01f));
  p = fma(p, u, broadcast(-1.987442546e-03f));
  Floats q = mul(p, exp(mul(mul(x, x), broadcast(-0.5f))));
  return sub(max(zero(), x), mul(size, q));
}

LTU_INLINE Floats silu(Floats x) {
  return div(x, add(broadcast(1.0f), exp(sub(zero(), x))));
}

} // namespace ltu::kernels::LTU_VARIANT
