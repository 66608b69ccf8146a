#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

struct CUstream_st;
struct cublasContext;

namespace ltu::cuda {

struct Half { // float16, as it lies on the card
  uint16_t bits;
};

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

  void *allocate(size_t bytes);        // on the card
  void *allocate_pinned(size_t bytes); // on the host, where copies from and to the card take no detour
  static void release(void *memory);
  static void release_pinned(void *memory);
  // Queued; the host's memory must stay until `wait`.
  void upload(void *to, const void *from, size_t bytes);
  void download(void *to, const void *from, size_t bytes);
  // `rows` pieces of `bytes`, which lie `stride` apart on both sides.
  void download(void *to, const void *from, size_t bytes, size_t stride, size_t rows);
  void wait();
  void check_launch() const; // after a kernel was launched

  // y [n, rows] (+)= x [n, columns] · weightsᵀ, weights [rows, columns]; halves, summed in float32.
  void multiply(const Half *weights, int64_t rows, int64_t columns, const Half *x, int64_t n, float *y,
                bool add);

private:
  CUstream_st *stream_ = nullptr;
  cublasContext *products_ = nullptr;
  void *workspace_ = nullptr; // of products
  int number_ = 0, multiprocessors_ = 0;
};

// An array on the card, or one on the host that copies well. It grows and never shrinks; what it held is lost
// then.
template <class T, bool pinned> class Array {
public:
  explicit Array(Card &card) : card_(&card) {}
  ~Array() { release(); }
  Array(Array &&other) noexcept
      : card_(other.card_), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {
  }
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;
  Array &operator=(Array &&) = delete;

  T *data() const { return data_; }
  size_t size() const { return size_; }
  T *reserve(size_t size) {
    if (size > size_) {
      release();
      void *memory = pinned ? card_->allocate_pinned(size * sizeof(T)) : card_->allocate(size * sizeof(T));
      data_ = static_cast<T *>(memory);
      size_ = size;
    }
    return data_;
  }

private:
  Card *card_;
  T *data_ = nullptr;
  size_t size_ = 0;

  void release() {
    if (data_)
      pinned ? Card::release_pinned(data_) : Card::release(data_);
    data_ = nullptr;
    size_ = 0;
  }
};
template <class T> using CardArray = Array<T, false>;
template <class T> using PinnedArray = Array<T, true>;

} // namespace ltu::cuda
