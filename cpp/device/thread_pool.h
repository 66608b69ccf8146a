#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace ltu {

// Threads that share out the parts of one job after another. Whoever is free takes the next part, and nobody
// waits for a thread that has taken none: one whose core the system gave to another process is missed as a
// helper, but holds up nothing except a part that it had begun. Who waits spins for a moment, then sleeps.
// Beside busy processes such parts can cost more than helpers save: then the caller works alone for a while.
class ThreadPool {
public:
  explicit ThreadPool(int threads); // the caller of `run` is one of them; throws Error
  ~ThreadPool();

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }
  // f(0) … f(parts − 1), returns when all are done. The first exception is thrown again here. One caller at a
  // time, and not from within a part.
  void run(uint32_t parts, const std::function<void(uint32_t)> &f);

private:
  std::vector<std::thread> helpers_;
  const int process_; // in the child of a fork there are no helpers to join
  // Of the job in hand; nobody reads them who has not taken a part.
  const std::function<void(uint32_t)> *f_ = nullptr;
  uint32_t parts_ = 0;
  std::exception_ptr exception_;
  std::atomic<bool> failed_{false};

  alignas(64) std::atomic<uint32_t> left_{0};       // parts that nobody has taken
  alignas(64) std::atomic<uint32_t> unfinished_{0}; // parts that are not done
  alignas(64) std::atomic<uint32_t> jobs_{0};       // so far: what helpers wait for; the last one ends them
  std::atomic<bool> ending_{false};

  // Whether helpers help, read off the jobs of a window of time; the caller's alone.
  using Clock = std::chrono::steady_clock;
  Clock::duration computing_{}, waiting_{}; // of the caller: in parts of its own, and at the ends of jobs
  uint64_t own_parts_ = 0, all_parts_ = 0;
  Clock::duration pause_;
  Clock::time_point alone_until_{};

  void end();
  void help();
  uint32_t take_parts(); // how many
  void weigh(Clock::duration computing, Clock::duration waiting, uint32_t own);
};

} // namespace ltu
