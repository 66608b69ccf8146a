// The source of our CUDA kernels, run by emulated blocks and warps (cuda/emulated.h): what they compute, and
// that it doesn't depend on who is computed beside it. What a real card adds is measured by bench/gpu/.
#include "answer/sampler.h"
#include "check.h"
#include "cuda/attention_plan.h"
#include "cuda/draw.h"
#include "cuda/emulated.h"
#include "cuda/path_attention.h"
#include "cuda/rows.h"
#include "support/error.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <vector>

using namespace ltu;
using cuda::Half;

namespace {

using Random = std::mt19937;

Half half_bits(float x) {
  const cuda::half h = cuda::to_half(x);
  Half bits;
  std::memcpy(&bits, &h, sizeof bits);
  return bits;
}
float value(Half bits) {
  cuda::half h;
  std::memcpy(&h, &bits, sizeof h);
  return cuda::to_float(h);
}

std::vector<Half> random_halves(size_t size, Random &random) {
  std::normal_distribution<float> normal;
  std::vector<Half> values(size);
  for (Half &v : values)
    v = half_bits(normal(random));
  return values;
}
std::vector<float> random_floats(size_t size, Random &random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(size);
  for (float &v : values)
    v = normal(random);
  return values;
}

bool same_bits(const std::vector<Half> &a, const std::vector<Half> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](Half x, Half y) { return x.bits == y.bits; });
}

struct RowOfDraws {
  std::vector<float> logits;
  std::vector<int32_t> history;
  Sampling sampling;
};

// The card's candidates; none: it left the row to the CPU.
std::vector<std::vector<Candidate>> drawn(cuda::Card &card, const std::vector<RowOfDraws> &rows) {
  const size_t vocabulary = rows.front().logits.size();
  std::vector<float> logits;
  std::vector<int32_t> history;
  std::vector<cuda::RowToDraw> jobs;
  for (const RowOfDraws &row : rows) {
    const Sampling &s = row.sampling;
    jobs.push_back({static_cast<int32_t>(jobs.size()), static_cast<int32_t>(history.size()),
                    static_cast<int32_t>(row.history.size()), s.temperature, s.top_p, s.repetition_penalty,
                    s.top_k ? s.top_k : static_cast<int32_t>(vocabulary)});
    logits.insert(logits.end(), row.logits.begin(), row.logits.end());
    history.insert(history.end(), row.history.begin(), row.history.end());
  }
  std::vector<uint32_t> keys(logits.size());
  std::vector<Candidate> candidates(rows.size() * cuda::most_candidates);
  std::vector<int32_t> counts(rows.size());
  cuda::distributions(card, logits.data(), static_cast<int64_t>(vocabulary), history.data(), jobs.data(),
                      std::ssize(rows), keys.data(), candidates.data(), counts.data());
  std::vector<std::vector<Candidate>> result;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto first = candidates.begin() + static_cast<std::ptrdiff_t>(i * cuda::most_candidates);
    result.emplace_back(first, first + counts[i]);
  }
  return result;
}

void draws_have_the_bits_of_the_cpu(cuda::Card &card) {
  Random random(7);
  constexpr int vocabulary = 3000;
  std::vector<RowOfDraws> rows;
  for (int i = 0; i < 72; ++i) {
    RowOfDraws row{random_floats(vocabulary, random), {}, {}};
    const float spread = 0.5F + static_cast<float>(random() % 40) / 10;
    for (float &x : row.logits)
      x *= spread;
    for (size_t peak = random() % 6; peak > 0; --peak)
      row.logits[random() % vocabulary] += 5 + static_cast<float>(random() % 100) / 10;
    if (i % 5 == 0) // ties
      for (float &x : row.logits)
        x = std::round(x * 8) / 8;
    if (i % 7 == 0)
      for (float &x : row.logits)
        if (random() % 50 == 0)
          x = random() % 2 ? 0.0F : -0.0F;
    if (i % 11 == 0)
      for (int k = 0; k < 40; ++k)
        row.logits[random() % vocabulary] = -std::numeric_limits<float>::infinity();
    for (int k = 0; k < 60; ++k)
      remember(row.history, static_cast<int32_t>(random() % vocabulary));
    remember(row.history, static_cast<int32_t>(std::max_element(row.logits.begin(), row.logits.end()) -
                                               row.logits.begin()));
    constexpr float temperatures[] = {1.0F, 0.1F, 0.7F};
    constexpr float top_ps[] = {0.95F, 1.0F, 0.01F, 0.5F};
    constexpr int32_t top_ks[] = {500, 40, 1, 700};
    row.sampling = {temperatures[i % 3], top_ks[i % 4], top_ps[i / 4 % 4], i % 9 ? 1.1F : 1.0F};
    rows.push_back(std::move(row));
  }
  const auto card_says = drawn(card, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(!card_says[i].empty());
    CHECK(card_says[i] == distribution(rows[i].logits, rows[i].history, rows[i].sampling));
  }
}

void a_small_vocabulary_needs_no_top_k(cuda::Card &card) {
  Random random(8);
  std::vector<RowOfDraws> rows;
  for (int i = 0; i < 6; ++i)
    rows.push_back({random_floats(260, random), {3, 5}, {.temperature = 0.8F, .top_p = i % 2 ? 1.0F : 0.9F}});
  const auto card_says = drawn(card, rows);
  for (size_t i = 0; i < rows.size(); ++i)
    CHECK(card_says[i] == distribution(rows[i].logits, rows[i].history, rows[i].sampling));
}

void rows_that_the_card_cannot_do_are_left_to_the_cpu(cuda::Card &card) {
  Random random(9);
  std::vector<RowOfDraws> rows(4, {random_floats(3000, random), {}, {.temperature = 1.0F, .top_k = 40}});
  rows[0].logits[17] = std::numeric_limits<float>::quiet_NaN();
  std::fill(rows[1].logits.begin(), rows[1].logits.end(), 1.5F); // 3000 ties
  rows[2].logits[17] = std::numeric_limits<float>::infinity();
  const auto card_says = drawn(card, rows);
  for (const size_t i : {0, 1, 2})
    CHECK(card_says[i].empty());
  CHECK(!card_says[3].empty());
  CHECK(!cuda::can_draw({.temperature = 1.0F, .top_k = 0}, 3000));
  CHECK(!cuda::can_draw({.temperature = 1.0F, .top_k = 1025}, 3000));
  CHECK(cuda::can_draw({.temperature = 1.0F, .top_k = 1024}, 3000));
}

// A tree of cells as a sweep has them: clips, questions about each, answers to each.
struct Tree {
  int32_t cells = 0;
  std::vector<std::vector<int32_t>> paths;

  explicit Tree(Random &random) {
    const auto grow = [&](std::vector<int32_t> path, size_t count) {
      for (; count > 0; --count)
        path.push_back(cells++);
      return path;
    };
    for (int clip = 0; clip < 3; ++clip) {
      const auto clip_path = grow({}, 21 + random() % 20);
      for (int question = 0; question < 4; ++question) {
        const auto prompt = grow(clip_path, 5 + random() % 9);
        for (int answer = 0; answer < 2; ++answer)
          paths.push_back(grow(prompt, random() % 9));
      }
    }
    const auto prompt = grow({}, 37); // one that is being read: each of its positions is a row
    for (size_t length = 1; length <= prompt.size(); ++length)
      paths.emplace_back(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(length));
    std::shuffle(paths.begin(), paths.end(), random);
  }
};

struct AttentionInputs {
  cuda::Heads heads;
  std::vector<Half> queries, keys, values;
};

// Rows of the tree in the given order; results in the tree's.
std::vector<Half> attended(cuda::Card &card, const Tree &tree, const AttentionInputs &in,
                           const std::vector<size_t> &order) {
  const auto width = static_cast<size_t>(in.heads.queries * in.heads.size);
  std::vector<const int32_t *> paths;
  std::vector<int32_t> lengths;
  std::vector<Half> queries(order.size() * width), out(order.size() * width),
      result(tree.paths.size() * width);
  for (size_t i = 0; i < order.size(); ++i) {
    paths.push_back(tree.paths[order[i]].data());
    lengths.push_back(static_cast<int32_t>(tree.paths[order[i]].size()));
    std::copy_n(in.queries.begin() + static_cast<std::ptrdiff_t>(order[i] * width), width,
                queries.begin() + static_cast<std::ptrdiff_t>(i * width));
  }
  cuda::AttentionPlan plan;
  plan.make(paths, lengths);
  cuda::path_attention(card, queries.data(), in.keys.data(), in.values.data(), plan.order.data(),
                       plan.blocks.data(), plan.groups.data(), std::ssize(plan.groups) - 1, in.heads,
                       out.data(), std::ssize(order));
  for (size_t i = 0; i < order.size(); ++i)
    std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(i * width), width,
                result.begin() + static_cast<std::ptrdiff_t>(order[i] * width));
  return result;
}

double attention_error(const Tree &tree, const AttentionInputs &in, const std::vector<Half> &out) {
  const auto size = static_cast<size_t>(in.heads.size), heads = static_cast<size_t>(in.heads.queries),
             kv_heads = static_cast<size_t>(in.heads.keys);
  double error = 0, norm = 0;
  for (size_t row = 0; row < tree.paths.size(); ++row)
    for (size_t head = 0; head < heads; ++head) {
      const size_t kv_head = head / (heads / kv_heads);
      std::vector<double> sum(size, 0.0);
      double total = 0;
      for (const int32_t cell : tree.paths[row]) {
        const size_t from = (static_cast<size_t>(cell) * kv_heads + kv_head) * size;
        double score = 0;
        for (size_t i = 0; i < size; ++i)
          score += double{value(in.queries[(row * heads + head) * size + i])} * value(in.keys[from + i]);
        const double weight = std::exp(score / std::sqrt(static_cast<double>(size)));
        total += weight;
        for (size_t i = 0; i < size; ++i)
          sum[i] += weight * value(in.values[from + i]);
      }
      for (size_t i = 0; i < size; ++i) {
        const double exact = sum[i] / total, difference = value(out[(row * heads + head) * size + i]) - exact;
        error += difference * difference;
        norm += exact * exact;
      }
    }
  return std::sqrt(error / norm);
}

void attention_is_softmax_over_the_path(cuda::Card &card) {
  for (const cuda::Heads heads : {cuda::Heads{4, 4, 64}, cuda::Heads{6, 2, 64}, cuda::Heads{8, 2, 64},
                                  cuda::Heads{2, 2, 128}, cuda::Heads{3, 1, 128}}) {
    Random random(5);
    const Tree tree(random);
    AttentionInputs in{
        heads, random_halves(tree.paths.size() * static_cast<size_t>(heads.queries * heads.size), random),
        random_halves(static_cast<size_t>(tree.cells * heads.keys * heads.size), random),
        random_halves(static_cast<size_t>(tree.cells * heads.keys * heads.size), random)};
    std::vector<size_t> order(tree.paths.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const std::vector<Half> out = attended(card, tree, in, order);
    const double error = attention_error(tree, in, out);
    CHECK(error < 1e-3); // NaN fails

    std::shuffle(order.begin(), order.end(), random);
    CHECK(same_bits(attended(card, tree, in, order), out));
    const auto width = static_cast<size_t>(heads.queries * heads.size);
    for (size_t row = 0; row < tree.paths.size(); row += 7) { // alone
      const std::vector<Half> alone = attended(card, tree, in, {row});
      const auto begin = static_cast<std::ptrdiff_t>(row * width),
                 end = begin + static_cast<std::ptrdiff_t>(width);
      CHECK(
          same_bits({alone.begin() + begin, alone.begin() + end}, {out.begin() + begin, out.begin() + end}));
    }
  }
}

// Queries, keys and values of three rows against doubles; and a value that is no number harms nobody else.
void rotation_fills_the_cells(cuda::Card &card) {
  const cuda::Heads heads{2, 1, 64};
  Random random(6);
  constexpr int64_t n = 3, context = 10;
  const auto columns = static_cast<size_t>(heads.columns());
  std::vector<float> qkv = random_floats(n * columns, random), bias = random_floats(columns, random), turns;
  for (int64_t depth = 0; depth < context; ++depth)
    for (int64_t pair = 0; pair < heads.size / 2; ++pair) {
      const double angle =
          static_cast<double>(depth) * std::pow(10000.0, -2.0 * static_cast<double>(pair) / 64);
      turns.push_back(static_cast<float>(std::cos(angle)));
      turns.push_back(static_cast<float>(std::sin(angle)));
    }
  const std::vector<int32_t> depths{0, 7, 9}, cells{4, 0, 2};
  std::vector<Half> queries(n * 128), keys(5 * 64), values(5 * 64);
  cuda::rotate(card, qkv.data(), bias.data(), turns.data(), depths.data(), cells.data(), heads,
               queries.data(), keys.data(), values.data(), n);
  for (size_t row = 0; row < n; ++row)
    for (size_t column = 0; column < columns; column += 2) {
      const double x = double{qkv[row * columns + column]} + bias[column],
                   y = double{qkv[row * columns + column + 1]} + bias[column + 1];
      const size_t turn = (static_cast<size_t>(depths[row]) * 32 + column % 64 / 2) * 2;
      const double c = turns[turn], s = turns[turn + 1];
      const auto cell = static_cast<size_t>(cells[row]);
      const auto close = [](Half got, double wanted) { return std::abs(value(got) - wanted) < 4e-3; };
      if (column < 128) {
        CHECK(close(queries[row * 128 + column], x * c - y * s) &&
              close(queries[row * 128 + column + 1], x * s + y * c));
      } else if (column < 192) {
        CHECK(close(keys[cell * 64 + column - 128], x * c - y * s) &&
              close(keys[cell * 64 + column - 127], x * s + y * c));
      } else {
        CHECK(close(values[cell * 64 + column - 192], x) && close(values[cell * 64 + column - 191], y));
      }
    }

  for (const float broken : {std::numeric_limits<float>::quiet_NaN(), 7e4F}) {
    std::vector<float> bad = qkv;
    bad[columns + 192 + 5] = broken; // a value of the second row, in cell 0
    cuda::rotate(card, bad.data(), nullptr, turns.data(), depths.data(), cells.data(), heads, queries.data(),
                 keys.data(), values.data(), n);
    Tree tree(random);
    tree.cells = 5;
    tree.paths = {{4, 2}, {4, 0}, {4, 2, 1}};
    const AttentionInputs in{heads, random_halves(3 * 128, random), keys, values};
    const std::vector<Half> out = attended(card, tree, in, {0, 1, 2});
    const auto sound = [&](size_t row) {
      return std::all_of(out.begin() + static_cast<std::ptrdiff_t>(row * 128),
                         out.begin() + static_cast<std::ptrdiff_t>(row * 128 + 128),
                         [](Half h) { return std::isfinite(value(h)); });
    };
    CHECK(sound(0));
    CHECK(!sound(1)); // it sees the cell, so it must not pass for sound
    CHECK(sound(2));
  }
}

void norm_and_swiglu_follow_their_formulas(cuda::Card &card) {
  Random random(4);
  constexpr size_t n = 3, width = 332;
  const std::vector<float> x = random_floats(n * width, random), weight = random_floats(width, random);
  std::vector<Half> y(n * width);
  cuda::rms_norm(card, x.data(), weight.data(), 1e-5F, y.data(), n, width);
  for (size_t row = 0; row < n; ++row) {
    double squares = 0;
    for (size_t i = 0; i < width; ++i)
      squares += double{x[row * width + i]} * x[row * width + i];
    for (size_t i = 0; i < width; ++i) {
      const double wanted = x[row * width + i] / std::sqrt(squares / width + 1e-5) * weight[i];
      CHECK(std::abs(value(y[row * width + i]) - wanted) <= 1e-3 * std::abs(wanted) + 1e-6);
    }
  }
  const std::vector<float> gate_up = random_floats(n * 2 * width, random);
  cuda::swiglu(card, gate_up.data(), y.data(), n, width);
  for (size_t row = 0; row < n; ++row)
    for (size_t i = 0; i < width; ++i) {
      const double gate = gate_up[row * 2 * width + i], up = gate_up[row * 2 * width + width + i];
      const double wanted = gate / (1 + std::exp(-gate)) * up;
      CHECK(std::abs(value(y[row * width + i]) - wanted) <= 1e-3 * std::abs(wanted) + 1e-6);
    }
}

} // namespace

int main() {
  cuda::Card card(0);
  draws_have_the_bits_of_the_cpu(card);
  a_small_vocabulary_needs_no_top_k(card);
  rows_that_the_card_cannot_do_are_left_to_the_cpu(card);
  attention_is_softmax_over_the_path(card);
  rotation_fills_the_cells(card);
  norm_and_swiglu_follow_their_formulas(card);
  return 0;
}
