#pragma once
// Attention along paths. Included once per variant.
//
// Columns are (position, query head) pairs that read one kv head. Keys and values are gathered once per run
// of neighbouring positions whose paths agree in a block of cells. Every number depends on its own path
// alone: scores are summed over d in order, weights by lanes (cell % 16) in path order, outputs over cells in
// path order.

namespace ltu::kernels::LTU_VARIANT {

constexpr int cell_count = 64; // of a path that are gathered at once

struct Chunk { // neighbouring positions, one kv head
  const AttentionBatch &batch;
  int kv_head;
  int begin, end;  // positions
  int group;       // query heads per kv head
  int64_t padded;  // head_dim, a multiple of 16
  int64_t longest; // path, a multiple of cell_count
  float *q;        // [column][q_stride], scaled
  float *scores;   // [column][score_stride]
  float *out;      // [column][q_stride]
  float *cells;    // [head_dim][cell_count] of keys, or [cell_count][padded] of values
  // Odd numbers of cache lines, see float_stride.
  int64_t q_stride() const { return float_stride(padded); }
  int64_t score_stride() const { return float_stride(longest); }
  int columns() const { return (end - begin) * group; }
};

// sum[c][p] += sum over k of w[k][16 p...] x[c][k]
template <int P, int C>
void add_products(const float *w, int64_t w_stride, const float *x, int64_t x_stride, int64_t k_count,
                  float *y, int64_t y_stride) {
  Floats sum[C][P];
  for (int c = 0; c < C; c++)
    for (int p = 0; p < P; p++)
      sum[c][p] = load(y + c * y_stride + p * lane_count);
  for (int64_t k = 0; k < k_count; k++) {
    Floats row[P];
    for (int p = 0; p < P; p++)
      row[p] = load(w + k * w_stride + p * lane_count);
    for (int c = 0; c < C; c++) {
      Floats value = broadcast(x[c * x_stride + k]);
      for (int p = 0; p < P; p++)
        sum[c][p] = fma(row[p], value, sum[c][p]);
    }
  }
  for (int c = 0; c < C; c++)
    for (int p = 0; p < P; p++)
      store(y + c * y_stride + p * lane_count, sum[c][p]);
}

template <int C>
void add_products_wide(const float *w, int64_t w_stride, int64_t width, const float *x, int64_t x_stride,
                       int64_t k_count, float *y, int64_t y_stride) {
  constexpr int P = float_panels(C);
  int64_t j = 0;
  for (; j + P * lane_count <= width; j += P * lane_count)
    add_products<P, C>(w + j, w_stride, x, x_stride, k_count, y + j, y_stride);
  for (; j < width; j += lane_count)
    add_products<1, C>(w + j, w_stride, x, x_stride, k_count, y + j, y_stride);
}

template <int... c>
void add_products_all(int columns, const float *w, int64_t w_stride, int64_t width, const float *x,
                      int64_t x_stride, int64_t k_count, float *y, int64_t y_stride,
                      std::integer_sequence<int, c...>) {
  using Function =
      void (*)(const float *, int64_t, int64_t, const float *, int64_t, int64_t, float *, int64_t);
  static constexpr Function functions[] = {add_products_wide<c + 1>...};
  const int64_t tiles = (columns + tile_columns - 1) / tile_columns;
  for (int64_t tile = 0; tile < tiles; tile++) {
    const int64_t column = split(0, columns, tiles, tile), next = split(0, columns, tiles, tile + 1);
    functions[next - column - 1](w, w_stride, width, x + column * x_stride, x_stride, k_count,
                                 y + column * y_stride, y_stride);
  }
}

// f(begin, end, path, count): positions [begin, end) whose paths agree in the cells path[0..count) as far as
// they reach, for the block that starts at `first`.
template <class F> void for_runs(const Chunk &chunk, int64_t first, F f) {
  const AttentionBatch &b = chunk.batch;
  auto reach = [&](int position) {
    int64_t left = b.lengths[position] - first;
    return left < cell_count ? left : int64_t{cell_count};
  };
  for (int begin = chunk.begin; begin < chunk.end;) {
    int64_t count = reach(begin);
    if (count <= 0) {
      begin++;
      continue;
    }
    const int32_t *path = b.cells[begin] + first;
    int end = begin + 1;
    for (; end < chunk.end; end++) {
      int64_t also = reach(end);
      if (also <= 0)
        break;
      const int32_t *other = b.cells[end] + first;
      if (std::memcmp(path, other, size_t(also < count ? also : count) * sizeof(int32_t)))
        break;
      if (also > count) {
        count = also;
        path = other;
      }
    }
    f(begin, end, path, count);
    begin = end;
  }
}

LTU_INLINE Floats load_cell(const AttentionBatch &b, const void *base, int64_t offset, int lanes) {
  if (!b.half)
    return load_some(static_cast<const float *>(base) + offset, lanes);
  const uint16_t *from = static_cast<const uint16_t *>(base) + offset;
  if (lanes == lane_count)
    return load_half(from);
  uint16_t some[lane_count] = {};
  std::memcpy(some, from, lanes * sizeof(uint16_t));
  return load_half(some);
}

// Rows of other cells lie far apart, so the processor doesn't foresee them.
LTU_INLINE void prefetch_cell(const Chunk &chunk, const void *base, int64_t cell) {
  const AttentionBatch &b = chunk.batch;
  const int64_t size = b.half ? sizeof(uint16_t) : sizeof(float);
  const char *row =
      static_cast<const char *>(base) + (cell * b.kv_stride + int64_t{chunk.kv_head} * b.head_dim) * size;
  for (int64_t at = 0; at < b.head_dim * size; at += 64)
    __builtin_prefetch(row + at);
}

// Keys of the path, turned: cells side by side.
inline void gather_keys(const Chunk &chunk, const int32_t *path, int64_t count) {
  const AttentionBatch &b = chunk.batch;
  const int64_t head = int64_t{chunk.kv_head} * b.head_dim;
  for (int64_t j = 0; j < count; j += lane_count) {
    for (int64_t next = j + lane_count; next < j + 2 * lane_count && next < count; next++)
      prefetch_cell(chunk, b.k, path[next]);
    by_lanes(b.head_dim, [&](int64_t d, int lanes) {
      Floats rows[lane_count];
      for (int i = 0; i < lane_count; i++)
        rows[i] = j + i < count ? load_cell(b, b.k, path[j + i] * b.kv_stride + head + d, lanes) : zero();
      transpose(rows);
      for (int i = 0; i < lanes; i++)
        store(chunk.cells + (d + i) * cell_count + j, rows[i]);
    });
  }
}

inline void gather_values(const Chunk &chunk, const int32_t *path, int64_t count) {
  const AttentionBatch &b = chunk.batch;
  const int64_t head = int64_t{chunk.kv_head} * b.head_dim;
  constexpr int ahead = 12;
  for (int64_t j = 0; j < count; j++) {
    if (j + ahead < count)
      prefetch_cell(chunk, b.v, path[j + ahead]);
    by_lanes(b.head_dim, [&](int64_t d, int lanes) {
      Floats row = load_cell(b, b.v, path[j] * b.kv_stride + head + d, lanes);
      store(chunk.cells + j * chunk.padded + d, row);
    });
  }
}

// Scores of one column into weights; zeros up to the end of its last block. Returns 1 / their sum.
inline float soft_max(float *scores, int64_t length) {
  Floats most = broadcast(scores[0]);
  const int64_t whole = length / lane_count * lane_count;
  for (int64_t j = 0; j < whole; j += lane_count)
    most = max(most, load(scores + j));
  float largest = max_lanes(most);
  for (int64_t j = whole; j < length; j++)
    largest = scores[j] > largest ? scores[j] : largest;
  for (int64_t j = length; j < (length + cell_count - 1) / cell_count * cell_count; j++)
    scores[j] = -INFINITY; // weight 0
  const Floats shift = broadcast(largest);
  Floats sum = zero();
  for (int64_t j = 0; j < length; j += lane_count) {
    Floats weight = exp(sub(load(scores + j), shift));
    store(scores + j, weight);
    sum = add(sum, weight);
  }
  for (int64_t j = (length + lane_count - 1) / lane_count * lane_count;
       j < (length + cell_count - 1) / cell_count * cell_count; j++)
    scores[j] = 0;
  return 1 / sum_lanes(sum);
}

inline void attend_chunk(const Chunk &chunk) {
  const AttentionBatch &b = chunk.batch;
  constexpr auto sequence = std::make_integer_sequence<int, tile_columns>();
  const int64_t q_stride = chunk.q_stride(), score_stride = chunk.score_stride();
  const int64_t head = int64_t{chunk.kv_head} * chunk.group * b.head_dim;
  const Floats scale = broadcast(b.scale);
  for (int column = 0; column < chunk.columns(); column++) {
    const float *from =
        b.q + (chunk.begin + column / chunk.group) * b.q_stride + head + column % chunk.group * b.head_dim;
    by_lanes(b.head_dim, [&](int64_t d, int lanes) {
      store(chunk.q + column * q_stride + d, mul(load_some(from + d, lanes), scale));
      store(chunk.out + column * q_stride + d, zero());
    });
    int64_t blocks = (b.lengths[chunk.begin + column / chunk.group] + cell_count - 1) / cell_count;
    std::memset(chunk.scores + column * score_stride, 0, blocks * cell_count * sizeof(float));
  }
  for (int64_t first = 0; first < chunk.longest; first += cell_count)
    for_runs(chunk, first, [&](int begin, int end, const int32_t *path, int64_t count) {
      gather_keys(chunk, path, count);
      const int64_t column = int64_t{begin - chunk.begin} * chunk.group;
      add_products_all((end - begin) * chunk.group, chunk.cells, cell_count,
                       (count + lane_count - 1) / lane_count * lane_count, chunk.q + column * q_stride,
                       q_stride, b.head_dim, chunk.scores + column * score_stride + first, score_stride,
                       sequence);
    });
  // q has done its work: its first place takes 1 / the sum of weights.
  for (int column = 0; column < chunk.columns(); column++)
    chunk.q[column * q_stride] =
        soft_max(chunk.scores + column * score_stride, b.lengths[chunk.begin + column / chunk.group]);
  for (int64_t first = 0; first < chunk.longest; first += cell_count)
    for_runs(chunk, first, [&](int begin, int end, const int32_t *path, int64_t count) {
      gather_values(chunk, path, count);
      const int64_t column = int64_t{begin - chunk.begin} * chunk.group;
      add_products_all((end - begin) * chunk.group, chunk.cells, chunk.padded, chunk.padded,
                       chunk.scores + column * score_stride + first, score_stride, count,
                       chunk.out + column * q_stride, q_stride, sequence);
    });
  for (int column = 0; column < chunk.columns(); column++) {
    float *to = b.out + (chunk.begin + column / chunk.group) * b.out_stride + head +
                column % chunk.group * b.head_dim;
    const Floats share = broadcast(chunk.q[column * q_stride]);
    by_lanes(b.head_dim, [&](int64_t d, int lanes) {
      store_some(to + d, mul(load(chunk.out + column * q_stride + d), share), lanes);
    });
  }
}

inline void attend(const AttentionBatch &b, int thread, int threads, Scratch scratch) {
  int64_t longest = 1;
  for (int i = 0; i < b.positions; i++)
    longest = b.lengths[i] > longest ? b.lengths[i] : longest;
  longest = (longest + cell_count - 1) / cell_count * cell_count;
  const int group = b.heads / b.kv_heads;
  const int64_t padded = (b.head_dim + lane_count - 1) / lane_count * lane_count;
  // Scores of a chunk stay in the second cache; many columns make gathering cheap, but every thread shall
  // have some chunks.
  int64_t columns = (int64_t{1} << 17) / longest;
  const int64_t even = int64_t{b.positions} * b.heads / (4 * threads);
  columns = columns < even ? columns : even;
  columns = columns < 192 ? columns : 192;
  columns = columns > 48 ? columns : 48;
  const int64_t step = columns / group > 1 ? columns / group : 1;
  const int64_t chunks = (b.positions + step - 1) / step;
  const int64_t most = step * group, q_floats = most * float_stride(padded);
  float *memory = scratch(2 * q_floats + most * float_stride(longest) + cell_count * padded);
  for (int64_t task = thread; task < chunks * b.kv_heads; task += threads) {
    const int64_t chunk = task / b.kv_heads;
    float *p = memory;
    attend_chunk({b, static_cast<int>(task % b.kv_heads),
                  static_cast<int>(split(0, b.positions, chunks, chunk)),
                  static_cast<int>(split(0, b.positions, chunks, chunk + 1)), group, padded, longest, p,
                  p + 2 * q_floats + cell_count * padded, p + q_floats, p + 2 * q_floats});
  }
}

} // namespace ltu::kernels::LTU_VARIANT
