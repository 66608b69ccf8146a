#pragma once
// CUDA's threads on one CPU thread, for kernels written with cuda/device_code.h: each thread of a block is a
// fiber that runs until it meets a barrier. Shuffles, ldmatrix and mma are done as the PTX manual defines
// them.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define __shared__ static // blocks run one after another

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {} // NOLINT
};
struct float4 {
  float x, y, z, w;
};
struct uint2 {
  unsigned x, y;
};
using cudaStream_t = void *;

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace ltu::cuda {

using half = _Float16;

class Block { // the one that runs
public:
  static Block &now() {
    static Block block;
    return block;
  }

  void run(unsigned threads, size_t shared_bytes, const std::function<void()> &body) {
    shared_.resize(shared_bytes / sizeof(double) + 2);
    body_ = &body;
    fibers_.assign(threads, {});
    warps_.assign((threads + 31) / 32, {});
    all_ = {threads, 0, 0};
    for (unsigned i = 0; i < threads; ++i) {
      ++warps_[i / 32].barrier.expected;
      Fiber &fiber = fibers_[i];
      if (stacks_.size() <= i)
        stacks_.push_back(std::make_unique<std::byte[]>(stack_bytes));
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = stacks_[i].get();
      fiber.context.uc_stack.ss_size = stack_bytes;
      fiber.context.uc_link = &home_;
      makecontext(&fiber.context, &Block::enter, 0);
    }
    for (unsigned left = threads, i = 0; left > 0; i = (i + 1) % threads) {
      if (fibers_[i].finished)
        continue;
      current_ = i;
      threadIdx = {i, 0, 0};
      swapcontext(&home_, &fibers_[i].context);
      left -= fibers_[i].finished;
    }
  }

  void wait_for_block() { wait(all_); }
  void wait_for_warp() { wait(warp().barrier); }
  std::byte *shared() { return reinterpret_cast<std::byte *>(shared_.data()); }

  unsigned lane() const { return current_ % 32; }
  struct Slot {
    float value;
    const void *place;
    uint32_t registers[6];
  };
  Slot &slot(unsigned lane) { return warp().slots[lane]; }

private:
  static constexpr size_t stack_bytes = 64 << 10;
  struct Barrier {
    unsigned expected = 0, arrived = 0, generation = 0;
  };
  struct Fiber {
    ucontext_t context;
    bool finished = false;
  };
  struct Warp {
    Barrier barrier;
    Slot slots[32];
  };
  std::vector<Fiber> fibers_;
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<std::byte[]>> stacks_;
  std::vector<double> shared_;
  ucontext_t home_{};
  Barrier all_;
  unsigned current_ = 0;
  const std::function<void()> *body_ = nullptr;

  Warp &warp() { return warps_[current_ / 32]; }

  static void enter() {
    Block &block = now();
    (*block.body_)();
    const unsigned me = block.current_;
    block.fibers_[me].finished = true;
    leave(block.all_);
    leave(block.warps_[me / 32].barrier);
  }
  static void leave(Barrier &barrier) {
    --barrier.expected;
    pass(barrier);
  }
  static void pass(Barrier &barrier) {
    if (barrier.expected > 0 && barrier.arrived == barrier.expected) {
      barrier.arrived = 0;
      ++barrier.generation;
    }
  }
  void wait(Barrier &barrier) {
    const unsigned me = current_, generation = barrier.generation;
    ++barrier.arrived;
    pass(barrier);
    while (barrier.generation == generation)
      swapcontext(&fibers_[me].context, &home_);
  }
};

inline float to_float(half x) {
  return static_cast<float>(x);
}
inline half to_half(float x) {
  return static_cast<half>(x);
}
inline uint32_t pack_halves(float low, float high) {
  const half both[2] = {to_half(low), to_half(high)};
  uint32_t bits;
  std::memcpy(&bits, both, sizeof bits);
  return bits;
}
inline float half_of(uint32_t bits, int which) {
  half both[2];
  std::memcpy(both, &bits, sizeof bits);
  return to_float(both[which]);
}

template <class T> T *dynamic_shared() {
  return reinterpret_cast<T *>(Block::now().shared());
}
template <class T> T divide(T a, T b) {
  return a / b;
}

inline void copy_16_bytes(void *to, const void *from) {
  std::memcpy(to, from, 16);
}
inline void close_group_of_copies() {}
template <int Left> void wait_for_copies() {}

inline void load_matrices(uint32_t (&m)[4], const void *row) {
  Block &b = Block::now();
  b.slot(b.lane()).place = row;
  b.wait_for_warp();
  for (unsigned i = 0; i < 4; ++i)
    std::memcpy(&m[i], static_cast<const std::byte *>(b.slot(i * 8 + b.lane() / 4).place) + b.lane() % 4 * 4,
                4);
  b.wait_for_warp();
}
inline void load_transposed(uint32_t (&m)[4], const void *row) {
  Block &b = Block::now();
  b.slot(b.lane()).place = row;
  b.wait_for_warp();
  for (unsigned i = 0; i < 4; ++i) {
    half two[2];
    for (unsigned j = 0; j < 2; ++j)
      std::memcpy(
          &two[j],
          static_cast<const std::byte *>(b.slot(i * 8 + b.lane() % 4 * 2 + j).place) + b.lane() / 4 * 2, 2);
    std::memcpy(&m[i], two, 4);
  }
  b.wait_for_warp();
}
inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  Block &b = Block::now();
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  std::copy_n(mine, 6, b.slot(b.lane()).registers);
  b.wait_for_warp();
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = b.lane() / 4 + i / 2 * 8, column = b.lane() % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const uint32_t left = b.slot(row % 8 * 4 + k % 8 / 2).registers[row / 8 + k / 8 * 2];
      const uint32_t right = b.slot(column * 4 + k % 8 / 2).registers[4 + k / 8];
      c[i] = std::fma(half_of(left, static_cast<int>(k % 2)), half_of(right, static_cast<int>(k % 2)), c[i]);
    }
  }
  b.wait_for_warp();
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, int threads, size_t shared_bytes, cudaStream_t,
            Arguments... arguments) {
  const std::function<void()> body = [=] { kernel(static_cast<Parameters>(arguments)...); };
  gridDim = blocks;
  blockDim = {static_cast<unsigned>(threads), 1, 1};
  for (unsigned y = 0; y < blocks.y; ++y)
    for (unsigned x = 0; x < blocks.x; ++x) {
      blockIdx = {x, y, 0};
      Block::now().run(static_cast<unsigned>(threads), shared_bytes, body);
    }
}
template <class... Parameters> void allow_shared(void (*)(Parameters...), size_t) {}

} // namespace ltu::cuda

inline void __syncthreads() {
  ltu::cuda::Block::now().wait_for_block();
}
inline void __syncwarp() {
  ltu::cuda::Block::now().wait_for_warp();
}
inline float __shfl_xor_sync(unsigned, float value, int mask) {
  ltu::cuda::Block &block = ltu::cuda::Block::now();
  block.slot(block.lane()).value = value;
  block.wait_for_warp();
  const float other = block.slot(block.lane() ^ static_cast<unsigned>(mask)).value;
  block.wait_for_warp();
  return other;
}
inline uint32_t atomicAdd(uint32_t *place, uint32_t value) {
  const uint32_t old = *place;
  *place += value;
  return old;
}
inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float __uint_as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
