#pragma once
#include "cuda/device_code.h"

// Kernels with a block for each row.

namespace ltu::cuda {

constexpr int threads = 256; // of a row's block: fixed, so that a row is summed alike in any company

__device__ inline float4 four(const float *x) {
  return *reinterpret_cast<const float4 *>(x);
}
__device__ inline void store_four(half *to, const float4 &x) {
  *reinterpret_cast<uint2 *>(to) = {pack_halves(x.x, x.y), pack_halves(x.z, x.w)};
}

// The sum over all threads of a block, in an order of its own; every thread gets it.
__device__ inline float sum_of_block(float mine) {
  __shared__ float sums[threads / 32];
  for (int other = 16; other > 0; other /= 2)
    mine += __shfl_xor_sync(~0U, mine, other);
  __syncthreads(); // the sums of the call before are read
  if (threadIdx.x % 32 == 0)
    sums[threadIdx.x / 32] = mine;
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < threads / 32; ++warp)
    sum += sums[warp];
  return sum;
}

template <class... Parameters, class... Arguments>
void launch_rows(Card &card, void (*kernel)(Parameters...), int64_t n, size_t shared_bytes,
                 Arguments... arguments) {
  launch(kernel, dim3(static_cast<unsigned>(n)), threads, shared_bytes, card.stream(), arguments...);
  card.check_launch();
}

} // namespace ltu::cuda
