#include "cuda/card.h"
#include "support/error.h"
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <string>

namespace ltu::cuda {

namespace {

// Too little for sums in parts (split-k), whose number would follow from the number of rows: the only
// products that cuBLAS then sums in an order of their own are those of few rows (bench/gpu/gemm.py asks).
constexpr size_t workspace_bytes = size_t{128} << 10;

void check(cudaError_t result, const char *what) {
  if (result != cudaSuccess)
    throw Error(std::string("the card failed to ") + what + ": " + cudaGetErrorString(result));
}

void check(cublasStatus_t result, const char *what) {
  if (result != CUBLAS_STATUS_SUCCESS)
    throw Error(std::string("the card failed to ") + what + ": " + cublasGetStatusString(result));
}

} // namespace

Card::Card(int number) : number_(number) {
  check(cudaSetDevice(number), "start");
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, number), "start");
  for (CUstream_st **stream : {&stream_, &beside_})
    check(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "start");
  check(cublasCreate(&products_), "start its products");
  check(cublasSetStream(products_, stream_), "start its products");
  check(cublasSetMathMode(products_, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), "start its products");
  workspace_ = allocate(workspace_bytes);
  check(cublasSetWorkspace(products_, workspace_, workspace_bytes), "start its products");
}

Card::~Card() {
  cublasDestroy(products_);
  release(workspace_);
  cudaStreamDestroy(beside_);
  cudaStreamDestroy(stream_);
}

void Card::use() {
  check(cudaSetDevice(number_), "start");
}

void *Card::allocate(size_t bytes) {
  void *memory = nullptr;
  use();
  check(cudaMalloc(&memory, bytes), "give memory");
  return memory;
}

void *Card::allocate_pinned(size_t bytes) {
  void *memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "pin memory");
  return memory;
}

void Card::release(void *memory) {
  cudaFree(memory);
}

void Card::release_pinned(void *memory) {
  cudaFreeHost(memory);
}

void Card::upload(void *to, const void *from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "take data");
}

void Card::download(void *to, const void *from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "give data");
}

void Card::wait() {
  check(cudaStreamSynchronize(stream_), "compute");
}

void Card::fetch(void *to, const void *from, size_t bytes) {
  fetch(to, from, bytes, bytes, 1);
}

void Card::fetch(void *to, const void *from, size_t bytes, size_t stride, size_t rows) {
  check(cudaMemcpy2DAsync(to, stride, from, stride, bytes, rows, cudaMemcpyDeviceToHost, beside_),
        "give data");
  check(cudaStreamSynchronize(beside_), "give data");
}

void Card::check_launch() const {
  check(cudaGetLastError(), "compute");
}

// cuBLAS counts columns first: y [rows, n] = weights [columns, rows]ᵀ · x [columns, n].
void Card::multiply(const Half *weights, int64_t rows, int64_t columns, const Half *x, int64_t n, float *y,
                    bool add) {
  const float one = 1, kept = add ? 1 : 0;
  const auto m = static_cast<int>(rows), k = static_cast<int>(columns);
  check(cublasGemmEx(products_, CUBLAS_OP_T, CUBLAS_OP_N, m, static_cast<int>(product_rows(n)), k, &one,
                     weights, CUDA_R_16F, k, x, CUDA_R_16F, k, &kept, y, CUDA_R_32F, m, CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT),
        "multiply");
}

Moment::Moment(Card &card) : card_(card) {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "start");
}

Moment::~Moment() {
  cudaEventDestroy(event_);
}

void Moment::mark() {
  check(cudaEventRecord(event_, card_.stream()), "compute");
}

void Moment::wait() {
  check(cudaEventSynchronize(event_), "compute");
}

} // namespace ltu::cuda
