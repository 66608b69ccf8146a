#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

struct CUevent_st;
struct CUstream_st;
struct cublasContext;

namespace ltu::cuda {

struct Half { // float16, as it lies on the card
  uint16_t bits;
};

// Rows that a product of n rows computes; they must be there, whatever those behind n hold. cuBLAS sums few
// rows in another order than many, and for each number of rows that it meets it chooses and loads a kernel,
// which takes longer than the product.
constexpr int64_t product_rows(int64_t n) {
  const int64_t step = n <= 128 ? 16 : 128;
  return (n + step - 1) / step * step;
}

// A CUDA card: its memory, one queue of work, and products of matrices. Every call throws Error with CUDA's
// own words when it fails; work that was only queued fails at `wait`.
class Card {
public:
  explicit Card(int number); // as CUDA counts
  ~Card();
  Card(const Card &) = delete;
  Card &operator=(const Card &) = delete;

  int multiprocessors() const { return multiprocessors_; }
  CUstream_st *stream() const { return stream_; }

  void use();                                 // by the calling thread, before anything else here
  void *allocate(size_t bytes);               // on the card
  static void *allocate_pinned(size_t bytes); // on the host, where copies from and to the card take no detour
  static void release(void *memory);
  static void release_pinned(void *memory);
  // Queued; the host's memory must stay until `wait`.
  void upload(void *to, const void *from, size_t bytes);
  void download(void *to, const void *from, size_t bytes);
  void wait();
  // Beside what is queued, and done when it returns; for what an event said is there. The second form copies
  // `rows` pieces of `bytes`, which lie `stride` apart on both sides.
  void fetch(void *to, const void *from, size_t bytes);
  void fetch(void *to, const void *from, size_t bytes, size_t stride, size_t rows);
  void check_launch() const; // after a kernel was launched

  // y [n, rows] (+)= x [n, columns] · weightsᵀ, weights [rows, columns]; halves, summed in float32. A row has
  // the same bits whatever is beside it; x and y have room for product_rows(n).
  void multiply(const Half *weights, int64_t rows, int64_t columns, const Half *x, int64_t n, float *y,
                bool add);

private:
  CUstream_st *stream_ = nullptr, *beside_ = nullptr;
  cublasContext *products_ = nullptr;
  void *workspace_ = nullptr; // of products
  int number_ = 0, multiprocessors_ = 0;
};

// A place in a card's queue of work.
class Moment {
public:
  explicit Moment(Card &card);
  ~Moment();
  Moment(const Moment &) = delete;
  Moment &operator=(const Moment &) = delete;

  void mark(); // everything that is queued so far
  void wait(); // until that is done

private:
  Card &card_;
  CUevent_st *event_ = nullptr;
};

template <class T> struct PinnedAllocator {
  using value_type = T;
  PinnedAllocator() = default;
  template <class U> PinnedAllocator(const PinnedAllocator<U> &) {} // NOLINT: as allocators are
  T *allocate(size_t count) { return static_cast<T *>(Card::allocate_pinned(count * sizeof(T))); }
  void deallocate(T *memory, size_t) { Card::release_pinned(memory); }
  template <class U> void construct(U *) {} // who makes it larger writes it
  bool operator==(const PinnedAllocator &) const { return true; }
};
// On the host, where copies from and to the card take no detour.
template <class T> using PinnedVector = std::vector<T, PinnedAllocator<T>>;

// An array on the card. It grows and never shrinks; what it held is lost then.
template <class T> class CardArray {
public:
  explicit CardArray(Card &card) : card_(&card) {}
  ~CardArray() { Card::release(data_); }
  CardArray(CardArray &&other) noexcept
      : card_(other.card_), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {
  }
  CardArray(const CardArray &) = delete;
  CardArray &operator=(const CardArray &) = delete;
  CardArray &operator=(CardArray &&) = delete;

  T *data() const { return data_; }
  size_t size() const { return size_; }
  T *reserve(size_t size) {
    if (size > size_) {
      if (data_)
        card_->wait(); // what is queued may use it
      Card::release(std::exchange(data_, nullptr));
      size_ = 0;
      data_ = static_cast<T *>(card_->allocate(size * sizeof(T)));
      size_ = size;
    }
    return data_;
  }

private:
  Card *card_;
  T *data_ = nullptr;
  size_t size_ = 0;
};

} // namespace ltu::cuda
