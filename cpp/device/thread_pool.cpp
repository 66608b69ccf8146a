#include "device/thread_pool.h"
#include "support/error.h"
#include <algorithm>
#include <string>
#include <system_error>
#include <unistd.h>

namespace ltu {

namespace {

// Longer than what lies between two operations of a graph, shorter than what another process would miss.
constexpr std::chrono::microseconds spin_time{50};
// Helpers are weighed over some of the system's time slices (3 ms); each time that they don't help they are
// left out for twice as long.
constexpr std::chrono::milliseconds window{15}, shortest_pause{60}, longest_pause{960};

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

ThreadPool::ThreadPool(int threads) : process_(getpid()), pause_(shortest_pause) {
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
  const Clock::time_point start = Clock::now();
  if (parts < 2 || helpers_.empty() || start < alone_until_) {
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
  const uint32_t own = take_parts();
  const Clock::time_point done = Clock::now();
  while (const uint32_t unfinished = unfinished_.load(std::memory_order_acquire))
    await_change(unfinished_, unfinished);
  weigh(done - start, Clock::now() - done, own);
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

uint32_t ThreadPool::take_parts() {
  uint32_t taken = 0, left = left_.load(std::memory_order_acquire);
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
    ++taken;
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      unfinished_.notify_one();
    left = left_.load(std::memory_order_acquire);
  }
  return taken;
}

// Together a window took computing + waiting; alone the caller would have needed computing × all / own parts.
void ThreadPool::weigh(Clock::duration computing, Clock::duration waiting, uint32_t own) {
  computing_ += computing;
  waiting_ += waiting;
  own_parts_ += own;
  all_parts_ += parts_;
  if (computing_ + waiting_ < window)
    return;
  const auto together = static_cast<double>((computing_ + waiting_).count());
  const double alone = static_cast<double>(computing_.count()) * static_cast<double>(all_parts_) /
                       static_cast<double>(std::max<uint64_t>(own_parts_, 1));
  if (own_parts_ == 0 || together < alone) {
    pause_ = std::max<Clock::duration>(pause_ / 2, shortest_pause);
  } else {
    alone_until_ = Clock::now() + pause_;
    pause_ = std::min<Clock::duration>(2 * pause_, longest_pause);
  }
  computing_ = waiting_ = {};
  own_parts_ = all_parts_ = 0;
}

} // namespace ltu
