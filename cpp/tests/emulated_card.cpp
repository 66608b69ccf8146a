// A card whose memory is the host's and whose products are loops: for the kernels under
// cuda/emulated.h.
#include "cuda/card.h"
#include "cuda/emulated.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace ltu::cuda {

Card::Card(int number) : number_(number), multiprocessors_(4) {}
Card::~Card() = default;

void *Card::allocate_pinned(size_t bytes) {
  void *memory = std::malloc(bytes);
  std::memset(memory, 0xff, bytes); // NaN in every float: what nobody wrote shows
  return memory;
}
void *Card::allocate(size_t bytes) {
  return allocate_pinned(bytes);
}
void Card::release(void *memory) {
  std::free(memory);
}
void Card::release_pinned(void *memory) {
  std::free(memory);
}
void Card::upload(void *to, const void *from, size_t bytes) {
  std::memcpy(to, from, bytes);
}
void Card::download(void *to, const void *from, size_t bytes) {
  std::memcpy(to, from, bytes);
}
void Card::wait() {}
void Card::use() {}
void Card::fetch(void *to, const void *from, size_t bytes) {
  std::memcpy(to, from, bytes);
}
void Card::fetch(void *to, const void *from, size_t bytes, size_t stride, size_t rows) {
  for (size_t i = 0; i < rows; ++i)
    std::memcpy(static_cast<std::byte *>(to) + i * stride, static_cast<const std::byte *>(from) + i * stride,
                bytes);
}
void Card::check_launch() const {}

void Card::multiply(const Half *weights, int64_t rows, int64_t columns, const Half *x, int64_t n, float *y,
                    bool add) {
  const auto *w = reinterpret_cast<const half *>(weights);
  const auto *in = reinterpret_cast<const half *>(x);
  const auto floats = [](const half *values, int64_t count) {
    std::vector<float> found(static_cast<size_t>(count));
    std::transform(values, values + count, found.begin(), to_float);
    return found;
  };
  const std::vector<float> activations = floats(in, n * columns);
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<float> row = floats(w + r * columns, columns);
    for (int64_t i = 0; i < n; ++i) {
      float sum = 0;
      for (int64_t c = 0; c < columns; ++c)
        sum += row[static_cast<size_t>(c)] * activations[static_cast<size_t>(i * columns + c)];
      y[i * rows + r] = add ? y[i * rows + r] + sum : sum;
    }
  }
}

Moment::Moment(Card &card) : card_(card) {}
Moment::~Moment() = default;
void Moment::mark() {}
void Moment::wait() {}

} // namespace ltu::cuda
