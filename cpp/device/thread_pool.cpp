#include "device/thread_pool.h"
#include "support/error.h"
#include <chrono>
#include <string>
#include <system_error>
#include <unistd.h>

namespace ltu {

namespace {

// Longer than what lies between two operations of a graph, shorter than what another process would miss.
constexpr std::chrono::microseconds spin_time{50};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Until the value is another one.
void await_change(const std::atomic<uint32_t> &value, uint32_t old) {
  const auto end = std::chrono::steady_clock::now() + spin_time;
  do
    for (int i = 0; i < 32; ++i) {
      if (value.load(std::memory_order_acquire) != old)
        return;
      relax();
    }
  while (std::chrono::steady_clock::now() < end);
  value.wait(old, std::memory_order_acquire);
}

} // namespace

ThreadPool::ThreadPool(int threads) : process_(getpid()) {
  try {
    for (int i = 1; i < threads; ++i)
      helpers_.emplace_back([this] { help(); });
  } catch (const std::system_error &error) { // containers bound the number of threads
    end();
    throw Error("can't start " + std::to_string(threads) + " threads: " + error.what());
  }
}

ThreadPool::~ThreadPool() {
  if (getpid() != process_) {
    new std::vector<std::thread>(std::move(helpers_)); // their threads are the parent's
    return;
  }
  end();
}

void ThreadPool::end() {
  ending_ = true;
  ++jobs_;
  jobs_.notify_all();
  for (std::thread &helper : helpers_)
    helper.join();
}

void ThreadPool::run(uint32_t parts, const std::function<void(uint32_t)> &f) {
  if (parts < 2 || helpers_.empty()) {
    for (uint32_t i = 0; i < parts; ++i)
      f(i);
    return;
  }
  f_ = &f;
  parts_ = parts;
  exception_ = nullptr;
  failed_ = false;
  unfinished_.store(parts, std::memory_order_relaxed);
  left_.store(parts, std::memory_order_release);
  jobs_.fetch_add(1, std::memory_order_release);
  jobs_.notify_all();
  take_parts();
  while (const uint32_t unfinished = unfinished_.load(std::memory_order_acquire))
    await_change(unfinished_, unfinished);
  if (exception_)
    std::rethrow_exception(exception_);
}

void ThreadPool::help() {
  for (uint32_t seen = 0;;) {
    await_change(jobs_, seen);
    seen = jobs_.load(std::memory_order_acquire);
    if (ending_)
      return;
    take_parts();
  }
}

void ThreadPool::take_parts() {
  uint32_t left = left_.load(std::memory_order_acquire);
  while (left > 0) {
    if (!left_.compare_exchange_weak(left, left - 1, std::memory_order_acquire))
      continue;
    try { // f and the number of parts stay as they are until this part is done
      if (!failed_)
        (*f_)(parts_ - left);
    } catch (...) {
      if (!failed_.exchange(true))
        exception_ = std::current_exception();
    }
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      unfinished_.notify_one();
    left = left_.load(std::memory_order_acquire);
  }
}

} // namespace ltu
