#pragma once
// Matrix products: one walk for all types, and what each type does in a tile. Included once per variant.

#include <type_traits>
#include <utility>

namespace ltu::kernels::LTU_VARIANT {

// A tile is the sums of C columns and P panels, each 16 rows: Floats sum[C][P].

// What a call of multiply() does with its share.
struct Job {
  const PackedMatrix &w;
  const void *x;
  float *y;
  int64_t y_stride;
  const Epilogue &epilogue;
  const float *wide = nullptr; // the weights in hand from panel `wide_panel` on, widened to float32
  int64_t wide_panel = 0;
};

// Float weights. x is float32 [n][float_stride].
template <class Type> struct FloatWeights {
  using Activation = float;
  static constexpr int64_t k_block = 256; // 64 rows by 256 stay in the second cache, as do 512 columns by 256
  static constexpr int panels(int columns) { return float_panels(columns); }
  static int64_t stride(int64_t k) { return float_stride(k); }
  static int64_t units(int64_t k) { return k; }
  static constexpr int64_t column_block = 512;
  static constexpr bool widens = Type::type != WeightType::f32; // for many columns: once, not for each tile
  static constexpr int64_t row_bytes = Type::layout.file_bytes * lane_count;

  const Job &job;
  int64_t first_panel;

  // to: [panels][k_block][16]
  static void widen(const PackedMatrix &w, int64_t panel, int64_t panels_end, int64_t begin, int64_t end,
                    float *to) {
    for (; panel < panels_end; panel++, to += k_block * lane_count)
      for (int64_t k = begin; k < end; k++)
        store(to + (k - begin) * lane_count, Loading<Type>::load_row(w.panel(panel) + k * row_bytes));
  }

  template <int P, int C>
  LTU_INLINE void add_products(const float *x, int64_t x_stride, int64_t begin, int64_t end,
                               Floats (&sum)[C][P]) const {
    const std::byte *panel[P];
    if (widens && job.wide) {
      for (int p = 0; p < P; p++)
        panel[p] = reinterpret_cast<const std::byte *>(job.wide + (first_panel + p - job.wide_panel) *
                                                                      k_block * lane_count);
      return FloatWeights<F32>::add(panel, x + begin, x_stride, end - begin, sum);
    }
    for (int p = 0; p < P; p++)
      panel[p] = job.w.panel(first_panel + p) + begin * row_bytes;
    add(panel, x + begin, x_stride, end - begin, sum);
  }

  template <int P, int C>
  LTU_INLINE static void add(const std::byte *const (&panel)[P], const float *x, int64_t x_stride,
                             int64_t count, Floats (&sum)[C][P]) {
    for (int64_t k = 0; k < count; k++) {
      Floats row[P];
      for (int p = 0; p < P; p++)
        row[p] = Loading<Type>::load_row(panel[p] + k * row_bytes);
      for (int c = 0; c < C; c++) {
        Floats value = broadcast(x[c * x_stride + k]);
        for (int p = 0; p < P; p++)
          sum[c][p] = fma(row[p], value, sum[c][p]);
      }
    }
  }
};

// Bytes ahead, into the second cache: one column reaches 92 % of the memory bound that way, 87 % with the
// first cache as the target, 80 % without.
constexpr int prefetch_bytes = 2048;

// Quantised weights: x is ActivationBlock [n][block_stride]. Per block an exact integer dot product, then
// sum += (dot * weights' scale) * activations' scale, then sum -= weights' minimum * activations' scaled sum.
template <class Type> struct QuantisedWeights {
  using Activation = ActivationBlock;
  static constexpr Layout form = Type::layout;
  static constexpr int64_t k_block = 64; // in blocks of 32
  static constexpr int64_t column_block = 128;
  static constexpr bool widens = false;
  static constexpr int panels(int columns) { return quantised_panels(columns); }
  static int64_t stride(int64_t k) { return block_stride(k); }
  static int64_t units(int64_t k) { return k / block_length; }

  static constexpr int pairs = 4 / Type::halves; // of groups, in a part that has a scale of its own

  const Job &job;
  int64_t first_panel;

  template <int i, int P, int C>
  LTU_INLINE static void add_pair(const uint8_t *const *block, const ActivationBlock *x, int64_t x_stride,
                                  Ints (&dot)[C][P]) {
    Bytes even[P], odd[P];
    for (int p = 0; p < P; p++)
      Loading<Type>::template load_pair<i>(block[p], even[p], odd[p]);
    for (int c = 0; c < C; c++) {
      const int8_t *values = x[c * x_stride].values + 8 * i;
      Bytes x0 = broadcast_bytes(values), x1 = broadcast_bytes(values + 4);
      for (int p = 0; p < P; p++)
        dot[c][p] = Type::is_signed ? dot_pair_signed(dot[c][p], even[p], x0, odd[p], x1)
                                    : dot_pair(dot[c][p], even[p], x0, odd[p], x1);
    }
  }

  template <int half, int P, int C, int... i>
  LTU_INLINE static void add_half(const uint8_t *const *scales, const uint8_t *const *quants, int64_t b,
                                  const ActivationBlock *x, int64_t x_stride, Floats (&sum)[C][P],
                                  std::integer_sequence<int, i...>) {
    Ints dot[C][P];
    for (int c = 0; c < C; c++)
      for (int p = 0; p < P; p++)
        dot[c][p] = Loading<Type>::start(x[c * x_stride], half);
    (add_pair<half * pairs + i>(quants, x, x_stride, dot), ...);
    for (int p = 0; p < P; p++) {
      Floats scale, offset;
      Loading<Type>::load_scales(scales[p], b, half, scale, offset);
      for (int c = 0; c < C; c++) {
        const ActivationBlock &block = x[c * x_stride];
        Floats scaled = mul(to_floats(dot[c][p]), scale);
        sum[c][p] = fma(scaled, broadcast(block.scale), sum[c][p]);
        if constexpr (Type::has_minimum)
          sum[c][p] = fma(offset, broadcast(block.scaled_sum), sum[c][p]);
      }
    }
  }

  template <int P, int C>
  LTU_INLINE void add_products(const ActivationBlock *x, int64_t x_stride, int64_t begin, int64_t end,
                               Floats (&sum)[C][P]) const {
    const uint8_t *scales[P], *quants[P];
    for (int p = 0; p < P; p++) {
      scales[p] = reinterpret_cast<const uint8_t *>(job.w.panel(first_panel + p));
      quants[p] = scales[p] + form.scales_bytes(job.w.columns()) + begin * form.block_bytes;
    }
    for (int64_t b = begin; b < end; b++) {
      constexpr auto sequence = std::make_integer_sequence<int, pairs>();
      add_half<0>(scales, quants, b, x + b, x_stride, sum, sequence);
      if constexpr (Type::halves == 2)
        add_half<1>(scales, quants, b, x + b, x_stride, sum, sequence);
      for (int p = 0; p < P; p++) {
        for (int line = 0; line < form.block_bytes; line += 64)
          __builtin_prefetch(quants[p] + prefetch_bytes + line, 0, 2);
        quants[p] += form.block_bytes;
      }
    }
  }
};

template <class Type>
using WeightsOf = std::conditional_t<Type::is_float, FloatWeights<Type>, QuantisedWeights<Type>>;

LTU_INLINE Floats finish(Floats sum, const Epilogue &e, int64_t column, int64_t row, int rows) {
  if (e.bias)
    sum = add(sum, load_some(e.bias + row, rows));
  if (e.gelu)
    sum = gelu(sum);
  if (e.residual)
    sum = add(sum, load_some(e.residual + column * e.residual_stride + row, rows));
  return sum;
}

// C columns from `column`, P panels from `panel`, k from begin to end. Sums wait in y between parts of k.
template <class Weights, int P, int C>
void multiply_tile(const Job &job, int64_t panel, int64_t column, int64_t begin, int64_t end) {
  const int64_t k = job.w.columns(), stride = Weights::stride(k);
  auto rows_in = [&](int p) {
    int64_t left = job.w.rows() - (panel + p) * lane_count;
    return static_cast<int>(left < lane_count ? left : lane_count);
  };
  auto place = [&](int c, int p) { return job.y + (column + c) * job.y_stride + (panel + p) * lane_count; };
  Floats sum[C][P];
  for (int c = 0; c < C; c++)
    for (int p = 0; p < P; p++)
      sum[c][p] = begin ? load_some(place(c, p), rows_in(p)) : zero();
  const auto *x = static_cast<const typename Weights::Activation *>(job.x) + column * stride;
  Weights{job, panel}.add_products(x, stride, begin, end, sum);
  const bool last = end == Weights::units(k);
  for (int c = 0; c < C; c++)
    for (int p = 0; p < P; p++) {
      Floats result = sum[c][p];
      if (last)
        result = finish(result, job.epilogue, column + c, (panel + p) * lane_count, rows_in(p));
      store_some(place(c, p), result, rows_in(p));
    }
}

template <class Weights, int C>
void multiply_columns(const Job &job, int64_t panel, int64_t panels_end, int64_t column, int64_t begin,
                      int64_t end) {
  constexpr int P = Weights::panels(C);
  for (; panel + P <= panels_end; panel += P)
    multiply_tile<Weights, P, C>(job, panel, column, begin, end);
  for (; panel < panels_end; panel++)
    multiply_tile<Weights, 1, C>(job, panel, column, begin, end);
}

template <class Weights, int... c>
void multiply_some_columns(int columns, const Job &job, int64_t panel, int64_t panels_end, int64_t column,
                           int64_t begin, int64_t end, std::integer_sequence<int, c...>) {
  using Function = void (*)(const Job &, int64_t, int64_t, int64_t, int64_t, int64_t);
  static constexpr Function functions[] = {multiply_columns<Weights, c + 1>...};
  functions[columns - 1](job, panel, panels_end, column, begin, end);
}

constexpr int panel_step = 4; // panels whose weights are used for all columns before going on

// [begin, end) in `parts` parts as equal as may be: where part i starts.
constexpr int64_t split(int64_t begin, int64_t end, int64_t parts, int64_t i) {
  return begin + (end - begin) * i / parts;
}

template <class Weights>
void multiply_share(Job job, Scratch scratch, int64_t panel_begin, int64_t panel_end, int64_t column_begin,
                    int64_t column_end) {
  const int64_t units = Weights::units(job.w.columns()), n = column_end - column_begin;
  // A single tile of columns streams its weights from end to end.
  const int64_t k_step = n <= tile_columns ? units : Weights::k_block;
  const int64_t blocks = (n + Weights::column_block - 1) / Weights::column_block;
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t from = split(column_begin, column_end, blocks, block),
                  to = split(column_begin, column_end, blocks, block + 1);
    const int64_t tiles = (to - from + tile_columns - 1) / tile_columns;
    for (int64_t k = 0; k < units; k += k_step) {
      const int64_t k_end = k + k_step < units ? k + k_step : units;
      for (int64_t panel = panel_begin; panel < panel_end; panel += panel_step) {
        const int64_t panels_end = panel + panel_step < panel_end ? panel + panel_step : panel_end;
        if constexpr (Weights::widens)
          if (n > tile_columns) {
            float *wide = scratch(panel_step * Weights::k_block * lane_count);
            Weights::widen(job.w, panel, panels_end, k, k_end, wide);
            job.wide = wide;
            job.wide_panel = panel;
          }
        for (int64_t tile = 0; tile < tiles; tile++) {
          const int64_t column = split(from, to, tiles, tile), next = split(from, to, tiles, tile + 1);
          multiply_some_columns<Weights>(static_cast<int>(next - column), job, panel, panels_end, column, k,
                                         k_end, std::make_integer_sequence<int, tile_columns>());
        }
      }
    }
  }
}

// Panels and columns are dealt out as a grid of threads whose largest share is smallest.
template <class Weights>
void multiply_any(const PackedMatrix &w, const void *x, int64_t n, float *y, int64_t y_stride, int thread,
                  int threads, const Epilogue &epilogue, Scratch scratch) {
  const int64_t steps = (w.panels() + panel_step - 1) / panel_step;
  int64_t across = 1, least = INT64_MAX; // threads that share the columns of the same rows
  for (int64_t parts = 1; parts <= threads; parts++) {
    if (threads % parts)
      continue;
    int64_t down = threads / parts;
    int64_t largest = (steps + down - 1) / down * ((n + parts - 1) / parts);
    if (largest < least) {
      least = largest;
      across = parts;
    }
  }
  const int64_t down = threads / across, i = thread / across, j = thread % across;
  const int64_t panel = split(0, steps, down, i) * panel_step,
                panels_end = split(0, steps, down, i + 1) * panel_step;
  const Job job{w, x, y, y_stride, epilogue};
  multiply_share<Weights>(job, scratch, panel, panels_end < w.panels() ? panels_end : w.panels(),
                          split(0, n, across, j), split(0, n, across, j + 1));
}

} // namespace ltu::kernels::LTU_VARIANT
