#pragma once
#include "support/portable.h"
#include <cstdint>
#include <cstring>

namespace ltu {

// e^x for x <= 0 from additions and multiplications of IEEE 754 alone, at most 1.5 units in the last place
// off: the same bits on every processor and card, where libraries differ in the last one. What includes it
// must be compiled without contraction (a × b + c as one operation). Results below e^-708 are 0.
LTU_PORTABLE inline double exponential(double x) {
  if (!(x > -708.0))
    return 0.0;
  // x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, of which the first times n is exact.
  constexpr double nearest = 6755399441055744.0; // 1.5 × 2^52: adding it rounds to an integer
  const double n = (x * 1.4426950408889634 + nearest) - nearest;
  const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  // Taylor's series: the 14th term is below 4e-18.
  double sum = 1.0 / 6227020800.0;
  sum = sum * r + 1.0 / 479001600.0;
  sum = sum * r + 1.0 / 39916800.0;
  sum = sum * r + 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  const uint64_t bits = static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return sum * power;
}

} // namespace ltu
