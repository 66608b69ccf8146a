// Checks the kernels against sums in double precision and against themselves: equal bits for any number of
// columns and threads and for any processor variant. `test_kernels digest` prints a digest of all results,
// which the program compares over the variants by running itself with LTU_PROCESSOR set.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kernels/attention.h"
#include "kernels/half.h"
#include "kernels/kernels.h"

using namespace ltu::kernels;

namespace {

int failures = 0;
uint64_t digest = 14695981039346656037u; // FNV-1a over all results

void check(bool good, const std::string &what) {
  if (good)
    return;
  if (failures++ < 20)
    std::printf("FAILED: %s\n", what.c_str());
}

void add_to_digest(const std::vector<float> &values) {
  for (float value : values)
    digest = (digest ^ std::bit_cast<uint32_t>(value)) * 1099511628211u;
}

std::mt19937 generator(1);
float normal() {
  return std::normal_distribution<float>()(generator);
}
std::vector<float> normals(int64_t count, float scale = 1) {
  std::vector<float> v(count);
  for (float &x : v)
    x = scale * normal();
  return v;
}

void in_threads(int threads, const std::function<void(int)> &work) {
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; t++)
    pool.emplace_back(work, t);
  work(0);
  for (auto &thread : pool)
    thread.join();
}

const char *name(WeightType type) {
  return weight_types()[static_cast<size_t>(type)].name;
}

// Rows in a file's format with arbitrary bits, but scales of ordinary size.
std::vector<uint8_t> random_rows(WeightType type, int64_t rows, int64_t columns) {
  std::vector<uint8_t> bytes(rows * row_bytes(type, columns));
  for (auto &b : bytes)
    b = static_cast<uint8_t>(generator());
  auto put_half = [&](size_t at) { // 2^-7 .. 2^-5, either sign
    uint16_t bits = static_cast<uint16_t>((generator() & 0x8000) | (0x2000 + generator() % 0x800));
    std::memcpy(&bytes[at], &bits, 2);
  };
  const size_t size = type == WeightType::f32 ? 4 : is_float(type) ? 2 : row_bytes(type, block_size(type));
  for (size_t at = 0; at < bytes.size(); at += size)
    switch (type) {
    case WeightType::f32: {
      float x = normal();
      std::memcpy(&bytes[at], &x, 4);
      break;
    }
    case WeightType::bf16: {
      uint16_t bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(normal()) >> 16);
      std::memcpy(&bytes[at], &bits, 2);
      break;
    }
    case WeightType::f16:
      put_half(at);
      break;
    case WeightType::q6_k:
      put_half(at + 208);
      break;
    case WeightType::q8_0:
    case WeightType::q4_0:
      put_half(at);
      break;
    default:
      put_half(at);
      put_half(at + 2);
    }
  return bytes;
}

// The values of a row, straight from the definition of the file's format.
std::vector<double> row_values(WeightType type, const uint8_t *row, int64_t columns) {
  std::vector<double> values(columns);
  const int64_t block = block_size(type);
  for (int64_t k = 0; k < columns; k++) {
    const uint8_t *p = row + k / block * row_bytes(type, block);
    int i = static_cast<int>(k % block), part = i / 32;
    auto half_at = [&](int at) {
      uint16_t bits;
      std::memcpy(&bits, p + at, 2);
      return double{half_to_float(bits)};
    };
    auto k_scales = [&](bool minimum) {
      const uint8_t *s = p + 4 + (minimum ? 4 : 0);
      if (part < 4)
        return s[part] & 63;
      int low = minimum ? p[4 + part + 4] >> 4 : p[4 + part + 4] & 15;
      return low | (p[4 + part - (minimum ? 0 : 4)] >> 6) << 4;
    };
    double &v = values[k];
    switch (type) {
    case WeightType::f32: {
      float x;
      std::memcpy(&x, p, 4);
      v = x;
      break;
    }
    case WeightType::f16:
      v = half_at(0);
      break;
    case WeightType::bf16:
      v = bfloat_to_float(static_cast<uint16_t>(p[0] | p[1] << 8));
      break;
    case WeightType::q8_0:
      v = half_at(0) * static_cast<int8_t>(p[2 + i]);
      break;
    case WeightType::q4_0:
      v = half_at(0) * ((i < 16 ? p[2 + i] & 15 : p[2 + i - 16] >> 4) - 8);
      break;
    case WeightType::q4_1:
      v = half_at(0) * (i < 16 ? p[4 + i] & 15 : p[4 + i - 16] >> 4) + half_at(2);
      break;
    case WeightType::q4_k:
    case WeightType::q5_k: {
      const uint8_t *nibbles = p + (type == WeightType::q4_k ? 16 : 48);
      uint8_t both = nibbles[part / 2 * 32 + i % 32];
      int q = part % 2 ? both >> 4 : both & 15;
      if (type == WeightType::q5_k && p[16 + i % 32] >> part & 1)
        q += 16;
      v = half_at(0) * k_scales(false) * q - half_at(2) * k_scales(true);
      break;
    }
    case WeightType::q6_k: {
      int n = i / 128, l = i % 128;
      uint8_t both = p[n * 64 + l % 64];
      int q = (l < 64 ? both & 15 : both >> 4) | (p[128 + n * 32 + l % 32] >> (l / 32 * 2) & 3) << 4;
      v = half_at(208) * static_cast<int8_t>(p[192 + i / 16]) * (q - 32);
      break;
    }
    }
  }
  return values;
}

std::vector<float> product(const PackedMatrix &w, const Rows &x, int64_t n, int threads,
                           const Epilogue &epilogue = {}) {
  std::vector<float> y(n * w.rows() + 1, 123.0f);
  auto *packed = std::aligned_alloc(64, (packed_activation_bytes(w.type(), w.columns(), n) + 63) / 64 * 64);
  in_threads(threads, [&](int t) { pack_activations(w.type(), x, w.columns(), n, packed, t, threads); });
  in_threads(threads, [&](int t) { multiply(w, packed, n, y.data(), w.rows(), t, threads, epilogue); });
  std::free(packed);
  check(y.back() == 123.0f, "nothing is written beyond the last row");
  y.pop_back();
  return y;
}

void test_products(WeightType type, int64_t rows, int64_t k) {
  const std::string what = std::string(name(type)) + " " + std::to_string(rows) + "x" + std::to_string(k);
  const auto file = random_rows(type, rows, k);
  PackedMatrix w(type, rows, k);
  const int64_t first = rows > 16 ? 16 : rows; // in two pieces, as a loader may
  w.pack_rows(file.data(), 0, first);
  if (rows > first)
    w.pack_rows(file.data() + first * row_bytes(type, k), first, rows - first);

  std::vector<std::vector<double>> values;
  std::vector<float> unpacked(k);
  for (int64_t r = 0; r < rows; r++) {
    values.push_back(row_values(type, file.data() + r * row_bytes(type, k), k));
    w.unpack_row(r, unpacked.data());
    bool same = true;
    for (int64_t i = 0; i < k; i++)
      same &= unpacked[i] == static_cast<float>(values[r][i]);
    check(same, what + ": unpacked row " + std::to_string(r));
  }

  const int64_t most = 100;
  const int64_t stride = k + 3;
  const auto x = normals(most * stride);
  const auto all = product(w, Rows::plain(x.data(), stride), most, 1);
  add_to_digest(all);
  double worst = 0;
  for (int64_t i = 0; i < most; i += rows > 100 ? 9 : 1)
    for (int64_t r = 0; r < rows; r++) {
      double sum = 0, weight_norm = 0, x_norm = 0, rounding = 0;
      for (int64_t j = 0; j < k; j++) {
        double a = x[i * stride + j], b = values[r][j];
        sum += a * b;
        weight_norm += b * b;
        x_norm += a * a;
      }
      if (!is_float(type)) // activations are off by at most half a step of their block's largest / 127
        for (int64_t j = 0; j < k; j += 32) {
          double largest = 0, absolute = 0;
          for (int64_t l = j; l < j + 32; l++) {
            largest = std::max<double>(largest, std::abs(x[i * stride + l]));
            absolute += std::abs(values[r][l]);
          }
          rounding += largest / 127 / 2 * absolute;
        }
      double norm = std::sqrt(weight_norm * x_norm), error = std::abs(all[i * rows + r] - sum);
      check(error <= 1e-5 * norm + rounding, what + ": error " + std::to_string(error / norm));
      worst = std::max(worst, error / norm);
    }

  for (int64_t n : {1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 17, 31, 33, 64})
    for (int threads : {1, 2, 3, 4}) {
      if (threads > 1 && n != 1 && n != 5 && n != 33)
        continue;
      const int64_t from = n % 7;
      const auto some = product(w, Rows::plain(x.data() + from * stride, stride), n, threads);
      check(!std::memcmp(some.data(), all.data() + from * rows, some.size() * sizeof(float)),
            what + ": bits at n = " + std::to_string(n) + ", threads = " + std::to_string(threads));
    }
  std::printf("%-16s relative error %.1e\n", what.c_str(), worst);
}

void test_many_columns(WeightType type) {
  const int64_t rows = 95, k = 4352, n = 512;
  const auto file = random_rows(type, rows, k);
  PackedMatrix w(type, rows, k);
  w.pack_rows(file.data(), 0, rows);
  const auto x = normals(n * k), bias = normals(rows), residual = normals(n * rows);
  const auto rows_of_x = Rows::plain(x.data(), k);
  const auto all = product(w, rows_of_x, n, 1);
  check(all == product(w, rows_of_x, n, 3), std::string(name(type)) + ": 512 columns, 3 threads");
  const auto one = product(w, Rows::plain(x.data() + 500 * k, k), 1, 2);
  check(!std::memcmp(one.data(), &all[500 * rows], rows * sizeof(float)),
        std::string(name(type)) + ": column 500 alone");
  const auto finished = product(w, rows_of_x, n, 2, {bias.data(), true, residual.data(), rows});
  add_to_digest(finished);
  for (int64_t i = 0; i < n; i++)
    for (int64_t r = 0; r < rows; r++) {
      double v = double{all[i * rows + r]} + bias[r];
      double expected = 0.5 * v * std::erfc(-v / std::sqrt(2.0)) + residual[i * rows + r];
      double tolerance = 3e-7 * (1 + std::abs(v) + std::abs(expected));
      check(std::abs(finished[i * rows + r] - expected) <= tolerance,
            std::string(name(type)) + ": bias, GELU, residual");
    }
}

// GELU through a product with one weight of 1.
void test_gelu() {
  PackedMatrix w(WeightType::f32, 1, 1);
  const float one = 1;
  w.pack_rows(&one, 0, 1);
  std::vector<float> x;
  for (float v = -12; v < 12; v += 1e-4f)
    x.push_back(v);
  const auto y = product(w, Rows::plain(x.data(), 1), static_cast<int64_t>(x.size()), 1, {nullptr, true});
  add_to_digest(y);
  double worst = 0;
  for (size_t i = 0; i < x.size(); i++) {
    double expected = 0.5 * x[i] * std::erfc(-double{x[i]} / std::sqrt(2.0));
    worst = std::max(worst, std::abs(y[i] - expected) / std::max(1.0, std::abs(expected)));
  }
  check(worst < 2e-7, "GELU: error " + std::to_string(worst * 1e7) + "e-7");
  std::printf("GELU             error %.1e\n", worst);
}

void test_rows(int64_t k) {
  const int64_t n = 7, stride = k + 5;
  const auto x = normals(n * stride, 3), up = normals(n * stride), weight = normals(k), bias = normals(k);
  const Rows kinds[] = {Rows::rms_norm(x.data(), stride, weight.data(), 1e-5f),
                        Rows::layer_norm(x.data(), stride, weight.data(), bias.data(), 1e-6f),
                        Rows::layer_norm(x.data(), stride, nullptr, nullptr, 1e-5f),
                        Rows::swiglu(x.data(), stride, up.data(), stride)};
  for (int kind = 0; kind < 4; kind++) {
    std::vector<float> out(n * stride, 7.0f);
    in_threads(3, [&](int t) { write_rows(kinds[kind], k, n, out.data(), stride, t, 3); });
    add_to_digest(out);
    for (int64_t i = 0; i < n; i++) {
      const float *row = &x[i * stride];
      double mean = 0, squares = 0;
      for (int64_t j = 0; j < k; j++)
        mean += row[j] / static_cast<double>(k);
      if (kind == 0)
        mean = 0;
      for (int64_t j = 0; j < k; j++)
        squares += (row[j] - mean) * (row[j] - mean) / static_cast<double>(k);
      for (int64_t j = 0; j < k; j++) {
        double expected = (row[j] - mean) / std::sqrt(squares + kinds[kind].epsilon);
        if (kind < 2)
          expected *= weight[j];
        if (kind == 1)
          expected += bias[j];
        if (kind == 3)
          expected = row[j] / (1 + std::exp(-double{row[j]})) * up[i * stride + j];
        check(std::abs(out[i * stride + j] - expected) < 2e-6 * (1 + std::abs(expected)),
              "rows of kind " + std::to_string(kind));
      }
      check(k == stride || out[i * stride + k] == 7.0f, "write_rows stays inside its rows");
    }
  }
}

// A tree of positions: a shared root, three branches, leaves that leave their branch anywhere.
void test_rotation(int heads, int head_dim) {
  const auto x = normals(int64_t{heads} * head_dim), angles = normals(head_dim / 2);
  std::vector<float> turn, out(x.size());
  for (const float angle : angles) {
    turn.push_back(std::cos(angle));
    turn.push_back(std::sin(angle));
  }
  rotate(x.data(), turn.data(), heads, head_dim, out.data());
  add_to_digest(out);
  for (size_t i = 0; i < x.size(); i += 2) {
    const double angle = angles[i % head_dim / 2], a = x[i], b = x[i + 1];
    check(std::abs(out[i] - (a * std::cos(angle) - b * std::sin(angle))) < 1e-6 &&
              std::abs(out[i + 1] - (a * std::sin(angle) + b * std::cos(angle))) < 1e-6,
          "rotation of " + std::to_string(head_dim) + " dimensions");
  }
}

void test_attention(int heads, int kv_heads, int head_dim, bool half, int root) {
  const std::string what = "attention " + std::to_string(heads) + "/" + std::to_string(kv_heads) +
                           " heads of " + std::to_string(head_dim) + (half ? " f16" : " f32");
  std::vector<std::vector<int32_t>> paths;
  int32_t cell = 0;
  std::vector<int32_t> order(5000);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), generator);
  std::vector<int32_t> trunk;
  auto grow = [&](std::vector<int32_t> &path, int count, bool keep) {
    for (int i = 0; i < count; i++) {
      path.push_back(order[cell++]);
      if (keep)
        paths.push_back(path);
    }
  };
  grow(trunk, root, true); // a whole prompt, position by position
  for (int branch = 0; branch < 3; branch++) {
    auto path = trunk;
    grow(path, 5 + 40 * branch, branch == 1);
    for (int leaf = 0; leaf < 4; leaf++) {
      auto end = path;
      grow(end, 1 + leaf * 3, leaf == 3);
      paths.push_back(end);
    }
  }
  const int positions = static_cast<int>(paths.size());
  const int64_t width = int64_t{heads} * head_dim, kv_width = int64_t{kv_heads} * head_dim,
                kv_stride = kv_width + 16;
  const auto q = normals(positions * width, 2);
  std::vector<float> k(cell * kv_stride), v(cell * kv_stride);
  std::vector<uint16_t> k16(k.size()), v16(v.size());
  auto fill = [&](std::vector<float> &values, std::vector<uint16_t> &halves) {
    for (size_t i = 0; i < values.size(); i++) {
      halves[i] =
          static_cast<uint16_t>((generator() & 0x8000) | (0x3000 + generator() % 0x1000)); // 2^-3 .. 2
      values[i] = half ? half_to_float(halves[i]) : normal();
    }
  };
  fill(k, k16);
  fill(v, v16);
  // Cells were shuffled over 5000 places: renumber them into [0, cell).
  std::vector<int32_t> number(5000, -1);
  int32_t next = 0;
  for (auto &path : paths)
    for (auto &c : path)
      c = number[c] < 0 ? number[c] = next++ : number[c];
  for (auto &path : paths)
    for (auto &c : path)
      c = (c * 7919) % next; // 7919 is prime: scattered again
  std::vector<const int32_t *> cells;
  std::vector<int32_t> lengths;
  for (auto &path : paths) {
    cells.push_back(path.data());
    lengths.push_back(static_cast<int32_t>(path.size()));
  }
  std::vector<float> out(positions * width);
  AttentionBatch batch{q.data(),
                       width,
                       half ? (const void *)k16.data() : k.data(),
                       half ? (const void *)v16.data() : v.data(),
                       kv_stride,
                       half,
                       heads,
                       kv_heads,
                       head_dim,
                       1 / std::sqrt(static_cast<float>(head_dim)),
                       cells.data(),
                       lengths.data(),
                       positions,
                       out.data(),
                       width};
  attend(batch, 0, 1);
  add_to_digest(out);
  double worst = 0;
  for (int p = 0; p < positions; p += 3)
    for (int h = 0; h < heads; h++) {
      const auto &path = paths[p];
      const int64_t from = int64_t{h / (heads / kv_heads)} * head_dim;
      std::vector<double> weights;
      double largest = -1e30, sum = 0;
      for (int32_t c : path) {
        double score = 0;
        for (int d = 0; d < head_dim; d++)
          score += double{q[p * width + h * head_dim + d]} * k[c * kv_stride + from + d];
        weights.push_back(score / std::sqrt(static_cast<double>(head_dim)));
        largest = std::max(largest, weights.back());
      }
      for (double &w : weights)
        sum += w = std::exp(w - largest);
      for (int d = 0; d < head_dim; d++) {
        double expected = 0;
        for (size_t j = 0; j < path.size(); j++)
          expected += weights[j] / sum * v[path[j] * kv_stride + from + d];
        worst = std::max(worst, std::abs(expected - out[p * width + h * head_dim + d]));
      }
    }
  check(worst < 5e-6, what + ": error " + std::to_string(worst));
  for (int threads : {2, 3}) {
    std::vector<float> again(out.size());
    batch.out = again.data();
    in_threads(threads, [&](int t) { attend(batch, t, threads); });
    check(again == out, what + ": threads");
  }
  // The same positions in another order, and one by one.
  std::vector<int> shuffled(positions);
  std::iota(shuffled.begin(), shuffled.end(), 0);
  std::shuffle(shuffled.begin(), shuffled.end(), generator);
  for (int size : {positions, 5, 1}) {
    bool same = true;
    for (int begin = 0; begin < positions; begin += size) {
      const int count = std::min(size, positions - begin);
      std::vector<float> some_q, some(count * width);
      std::vector<const int32_t *> some_cells;
      std::vector<int32_t> some_lengths;
      for (int i = begin; i < begin + count; i++) {
        int p = shuffled[i];
        some_q.insert(some_q.end(), &q[p * width], &q[p * width] + width);
        some_cells.push_back(cells[p]);
        some_lengths.push_back(lengths[p]);
      }
      AttentionBatch part = batch;
      part.q = some_q.data();
      part.cells = some_cells.data();
      part.lengths = some_lengths.data();
      part.positions = count;
      part.out = some.data();
      attend(part, 0, 1);
      for (int i = 0; i < count; i++)
        same &= !std::memcmp(&some[i * width], &out[shuffled[begin + i] * width], width * sizeof(float));
    }
    check(same, what + ": batches of " + std::to_string(size));
  }
  std::printf("%-36s error %.1e\n", what.c_str(), worst);
}

std::string digest_of_variant(const char *program, const std::string &variant) {
  const std::string command = "LTU_PROCESSOR=" + variant + " '" + program + "' digest 2>&1";
  FILE *pipe = popen(command.c_str(), "r");
  std::string found = "no digest\n";
  char line[256];
  while (std::fgets(line, sizeof line, pipe))
    if (!std::strncmp(line, "digest", 6) || !std::strncmp(line, "unavailable", 11))
      found = line;
  pclose(pipe);
  return found;
}

} // namespace

int main(int argc, char **argv) {
  try {
    std::printf("processor: %s\n", processor());
  } catch (const std::runtime_error &error) {
    std::printf("unavailable: %s\n", error.what());
    return 1;
  }
  const bool quick = argc > 1 && !std::strcmp(argv[1], "digest"); // the scalar variant takes its time
  test_gelu();
  for (int64_t k : {1, 30, 64, 688, 1000})
    test_rows(k);
  for (const auto &[type, name, file_type, encoding, floats] : weight_types()) {
    for (int64_t rows : {1, 15, 17, 80, 576, 688})
      for (int64_t k : {1, 32, 256, 576, 688, 768})
        if (k % block_size(type) == 0 && (rows < 576 || (k >= 688 && !quick)))
          test_products(type, rows, k);
    if (!quick || type == WeightType::q6_k)
      test_many_columns(type);
  }
  test_rotation(9, 64);
  test_rotation(2, 22);
  for (bool half : {false, true}) {
    test_attention(4, 4, 64, half, 150);
    test_attention(9, 3, 64, half, 70);
    test_attention(2, 1, 128, half, 30);
    test_attention(14, 1, 40, half, 65);
    test_attention(3, 3, 20, half, 1);
  }
  std::printf("digest %016llx\n", (unsigned long long)digest);
  if (!quick) {
    std::string first;
    for (const char *variant : {"scalar", "avx2", "avx512", "avx512vnni"}) {
      const std::string found = digest_of_variant(argv[0], variant);
      std::printf("%-10s %s", variant, found.c_str());
      if (found.rfind("unavailable", 0) == 0)
        continue;
      if (first.empty())
        first = found;
      check(found == first, std::string(variant) + " has the same bits as scalar");
    }
  }
  std::printf(failures ? "%d checks failed\n" : "all checks passed\n", failures);
  return failures != 0;
}
