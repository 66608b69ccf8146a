#pragma once
#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace ltu {

// f(0) … f(count − 1) on up to `threads` threads; the first exception is thrown again here.
template <class F> void parallel_for(size_t count, int threads, F f) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr exception;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < count; i = next++)
        f(i);
    } catch (...) {
      if (!failed.exchange(true))
        exception = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < std::min(count, static_cast<size_t>(threads)); ++i)
      helpers.emplace_back(work);
    work();
  }
  if (exception)
    std::rethrow_exception(exception);
}

} // namespace ltu
