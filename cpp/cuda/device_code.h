#pragma once
#include "cuda/card.h"

// What kernels are written in: CUDA, or its emulation on a CPU, with which the tests run the same source.
#if defined(LTU_EMULATED_CUDA)
#include "cuda/emulated.h"
#else
#include <cstdint>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace ltu::cuda {

using half = __half;

__device__ __forceinline__ float to_float(half x) {
  return __half2float(x);
}
__device__ __forceinline__ half to_half(float x) {
  return __float2half_rn(x);
}
__device__ __forceinline__ uint32_t pack_halves(float low, float high) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t *>(&both);
}

template <class T> __device__ __forceinline__ T *dynamic_shared() { // the bytes that a launch asks for
  extern __shared__ __align__(16) unsigned char bytes[];
  return reinterpret_cast<T *>(bytes);
}

// Of a float32 and a float64: rounded to nearest, never contracted.
__device__ __forceinline__ float divide(float a, float b) {
  return __fdiv_rn(a, b);
}
__device__ __forceinline__ double divide(double a, double b) {
  return __ddiv_rn(a, b);
}

// 16 bytes from device to shared memory, beside what is computed; `wait_for_copies<n>` leaves the n youngest
// groups under way.
__device__ __forceinline__ uint32_t shared_address(const void *p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ void copy_16_bytes(void *to, const void *from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from));
}
__device__ __forceinline__ void close_group_of_copies() {
  asm volatile("cp.async.commit_group;");
}
template <int Left> __device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left));
}

// Four 8 × 8 matrices of halves; lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(uint32_t (&m)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(shared_address(row)));
}
__device__ __forceinline__ void load_transposed(uint32_t (&m)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(shared_address(row)));
}
// c [16 × 8] += a [16 × 16] b [16 × 8], halves summed in float32.
__device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, int threads, size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
  kernel<<<blocks, threads, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
}
template <class... Parameters> void allow_shared(void (*kernel)(Parameters...), size_t bytes) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
}

} // namespace ltu::cuda
#endif

namespace ltu::cuda {

// The host's halves as the kernels'.
inline const half *halves(const Half *x) {
  return reinterpret_cast<const half *>(x);
}
inline half *halves(Half *x) {
  return reinterpret_cast<half *>(x);
}

} // namespace ltu::cuda
