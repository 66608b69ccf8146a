// Jobs on the pool's threads.
#include "check.h"
#include "device/thread_pool.h"
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace ltu;

namespace {

void every_part_is_done_once_before_run_returns() {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    std::vector<int> done; // plain ints: the pool orders what its threads write
    for (uint32_t parts : {0U, 1U, 2U, 3U, 100U})
      for (int job = 1; job <= 500; ++job) {
        done.assign(parts, 0);
        pool.run(parts, [&](uint32_t i) { done[i] += job; });
        CHECK(done == std::vector<int>(parts, job));
      }
  }
}

void a_pool_that_slept_works_on() {
  ThreadPool pool(3);
  std::atomic<int> done{0};
  for (int job = 1; job <= 20; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // far longer than the helpers spin
    pool.run(4, [&](uint32_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++done;
    });
    CHECK(done == 4 * job);
  }
}

void an_exception_reaches_the_caller_and_the_pool_goes_on() {
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    const auto fail = [](uint32_t i) {
      if (i == 17)
        throw std::invalid_argument("17");
    };
    for (int again = 0; again < 100; ++again) {
      CHECK_THROWS(pool.run(100, fail), std::invalid_argument);
      std::atomic<int> done{0};
      pool.run(100, [&](uint32_t) { ++done; });
      CHECK(done == 100);
    }
  }
}

// A helper that is held up for longer than it saves is left out, and asked again later.
void a_helper_that_does_not_help_rests() {
  using namespace std::chrono_literals;
  ThreadPool pool(2);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> helped{0};
  const auto job = [&](std::chrono::milliseconds held_up) {
    helped = 0;
    pool.run(2, [&](uint32_t) {
      if (std::this_thread::get_id() == caller) {
        std::this_thread::sleep_for(1ms);
      } else {
        ++helped;
        std::this_thread::sleep_for(held_up);
      }
    });
    return helped.load();
  };
  const auto comes_to = [&](bool help, std::chrono::milliseconds held_up) { // in ten jobs one after another
    int in_a_row = 0;
    for (const auto end = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < end;) {
      in_a_row = (job(held_up) > 0) == help ? in_a_row + 1 : 0;
      if (in_a_row == 10)
        return true;
    }
    return false;
  };
  CHECK(comes_to(false, 50ms));
  CHECK(comes_to(true, 1ms));
}

// Its threads are missing there: the caller does all by itself, and nothing waits for them at the end.
void the_child_of_a_fork_can_use_and_end_it() {
  auto *pool = new ThreadPool(3);
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    std::atomic<int> done{0};
    pool->run(10, [&](uint32_t) { ++done; });
    delete pool;
    _exit(done == 10 ? 0 : 1);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  delete pool;
}

} // namespace

int main() {
  every_part_is_done_once_before_run_returns();
  a_pool_that_slept_works_on();
  an_exception_reaches_the_caller_and_the_pool_goes_on();
  a_helper_that_does_not_help_rests();
  the_child_of_a_fork_can_use_and_end_it();
  return 0;
}
