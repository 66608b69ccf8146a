// A warp takes a group of 16 rows and one head, and goes through the group's blocks of 16 cells, keeping a
// running softmax (Milakov and Gimelshein, 2018; FlashAttention, Dao et al., 2022). A row that is not on a
// block keeps the bits of its sums: they are multiplied by 1, and what is added has weight 0.
#include "cuda/device_code.h"
#include "cuda/path_attention.h"
#include "support/error.h"
#include <cmath>
#include <string>

namespace ltu::cuda {

namespace {

constexpr int warps = 4;  // of a block of threads, each with a head of its own
constexpr int stages = 2; // blocks of cells in shared memory: one is used while the next arrives
constexpr float log2_e = 1.44269504F;

template <int size>
constexpr int stride = size + 8; // of a cell in shared memory, in halves: no two in one bank
template <int size> constexpr int tile = block_positions * stride<size>;

template <int size>
__global__ void __launch_bounds__(32 * warps, 2)
    attend(const half *__restrict__ queries, const half *__restrict__ keys, const half *__restrict__ values,
           const int32_t *__restrict__ order, const PathBlock *__restrict__ blocks,
           const int32_t *__restrict__ groups, half *__restrict__ out, int rows, int heads, int kv_heads,
           float scale) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.y * warps + warp;
  if (head >= heads)
    return;
  const int kv_head = head / (heads / kv_heads), kv_width = kv_heads * size;
  half *mine = dynamic_shared<half>() + warp * stages * 2 * tile<size>; // keys and values of each stage

  // Of mma's 16 rows a thread has two: lane / 4 and the one 8 below it.
  int row[2];
  const half *query[2];
  for (int r = 0; r < 2; ++r) {
    const int place = blockIdx.x * group_rows + lane / 4 + 8 * r;
    row[r] = place < rows ? order[place] : -1;
    query[r] = queries + (static_cast<int64_t>(row[r] < 0 ? 0 : row[r]) * heads + head) * size + lane % 4 * 2;
  }
  uint32_t q[size / 16][4];
#pragma unroll
  for (int k = 0; k < size / 16; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      q[k][i] = *reinterpret_cast<const uint32_t *>(query[i % 2] + k * 16 + i / 2 * 8);

  float sums[size / 8][4] = {}, highest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  const auto fetch = [&](int block, int stage) {
#pragma unroll
    for (int i = 0; i < block_positions * size / 8 / 32; ++i) {
      const int piece = i * 32 + lane, cell = piece / (size / 8), part = piece % (size / 8) * 8;
      const int64_t from = static_cast<int64_t>(blocks[block].cells[cell]) * kv_width + kv_head * size + part;
      half *to = mine + stage * 2 * tile<size> + cell * stride<size> + part;
      copy_16_bytes(to, keys + from);
      copy_16_bytes(to + tile<size>, values + from);
    }
    close_group_of_copies();
  };
  const int begin = groups[blockIdx.x], end = groups[blockIdx.x + 1];
  fetch(begin, 0);
  for (int block = begin; block < end; ++block) {
    const int stage = (block - begin) % stages;
    if (block + 1 < end) {
      fetch(block + 1, 1 - stage);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncwarp();
    const half *k_tile = mine + stage * 2 * tile<size>, *v_tile = k_tile + tile<size>;

    float scores[2][4] = {}; // of cells 0 to 7 and 8 to 15
#pragma unroll
    for (int k = 0; k < size / 16; ++k) {
      uint32_t b[4];
      load_matrices(b, k_tile + (lane % 8 + lane / 16 * 8) * stride<size> + k * 16 + lane / 8 % 2 * 8);
      multiply_add(scores[0], q[k], b[0], b[1]);
      multiply_add(scores[1], q[k], b[2], b[3]);
    }
    const int seen[2] = {blocks[block].seen[lane / 4], blocks[block].seen[lane / 4 + 8]};
    float top[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int cell = n * 8 + lane % 4 * 2 + i % 2;
        scores[n][i] = cell < seen[i / 2] ? scores[n][i] * scale : -INFINITY;
        top[i / 2] = fmaxf(top[i / 2], scores[n][i]);
      }
    float factor[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      top[r] = fmaxf(top[r], __shfl_xor_sync(~0U, top[r], 1));
      top[r] = fmaxf(top[r], __shfl_xor_sync(~0U, top[r], 2));
      const float now = fmaxf(highest[r], top[r]);
      factor[r] = seen[r] ? exp2f(highest[r] - now) : 1.0F;
      highest[r] = now;
      total[r] *= factor[r];
    }
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[n][i] = seen[i / 2] ? exp2f(scores[n][i] - highest[i / 2]) : 0.0F;
        total[i / 2] += scores[n][i];
      }
    const uint32_t weights[4] = {
        pack_halves(scores[0][0], scores[0][1]), pack_halves(scores[0][2], scores[0][3]),
        pack_halves(scores[1][0], scores[1][1]), pack_halves(scores[1][2], scores[1][3])};
#pragma unroll
    for (int d = 0; d < size / 16; ++d) {
      uint32_t b[4];
      load_transposed(b, v_tile + lane % 16 * stride<size> + d * 16 + lane / 16 * 8);
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        float (&sum)[4] = sums[2 * d + part];
#pragma unroll
        for (int i = 0; i < 4; ++i)
          sum[i] *= factor[i / 2];
        multiply_add(sum, weights, b[2 * part], b[2 * part + 1]);
      }
    }
    __syncwarp(); // before the tile is overwritten
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    total[r] += __shfl_xor_sync(~0U, total[r], 1);
    total[r] += __shfl_xor_sync(~0U, total[r], 2);
    if (row[r] < 0)
      continue;
    half *to = out + (static_cast<int64_t>(row[r]) * heads + head) * size + lane % 4 * 2;
    const float by = 1.0F / total[r];
#pragma unroll
    for (int d = 0; d < size / 8; ++d)
      *reinterpret_cast<uint32_t *>(to + d * 8) = pack_halves(sums[d][2 * r] * by, sums[d][2 * r + 1] * by);
  }
}

} // namespace

void path_attention(Card &card, const Half *queries, const Half *keys, const Half *values,
                    const int32_t *order, const PathBlock *blocks, const int32_t *groups, int64_t group_count,
                    const Heads &heads, Half *out, int64_t n) {
  const auto run = [&](auto kernel, int tile_halves) {
    const size_t shared = sizeof(Half) * static_cast<size_t>(warps * stages * 2 * tile_halves);
    allow_shared(kernel, shared);
    const dim3 grid(static_cast<unsigned>(group_count),
                    static_cast<unsigned>((heads.queries + warps - 1) / warps));
    launch(kernel, grid, 32 * warps, shared, card.stream(), halves(queries), halves(keys), halves(values),
           order, blocks, groups, halves(out), static_cast<int>(n), static_cast<int>(heads.queries),
           static_cast<int>(heads.keys), log2_e / std::sqrt(static_cast<float>(heads.size)));
    card.check_launch();
  };
  if (heads.size == 64)
    run(attend<64>, tile<64>);
  else if (heads.size == 128)
    run(attend<128>, tile<128>);
  else
    throw Error("no attention for heads of " + std::to_string(heads.size));
}

} // namespace ltu::cuda
