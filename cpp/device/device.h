#pragma once
#include "device/thread_pool.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace ltu {

// The back end that computes, its threads, and the scheduler that runs a graph on it.
class Device {
public:
  static constexpr size_t graph_size = 8192; // tensors of one graph: up to 37 for each of max_blocks
  static constexpr int64_t max_blocks = 200;
  static constexpr int most_threads = 512; // more of them would be a mistake

  // What this build and machine have: cpu, cuda:0, …
  static std::vector<std::string> names();

  // spec: auto, cpu, or a back end of ggml that this build has, with its device's number: cuda, cuda:1,
  // vulkan, metal, … threads: at most most_threads; 0: one for each core (device/cores.h).
  Device(const std::string &spec, int threads);

  const std::string &name() const { return name_; }
  int threads() const { return pool_.threads(); }
  ThreadPool &pool() { return pool_; }
  // On CPU products and attention are our own: equal bits whatever the batch and the threads.
  bool own_kernels() const { return own_kernels_; }
  // The CUDA card, as CUDA counts, for which this build has kernels of our own (cuda/); −1: none.
  int card() const { return card_; }
  size_t free_memory() const; // of the device, bytes
  ggml_backend_buffer_type_t buffer_type() const {
    return ggml_backend_get_default_buffer_type(main_ ? main_.get() : cpu_.get());
  }

  // Memory for the description of one graph at a time, kept from step to step.
  std::byte *graph_memory(size_t bytes) {
    graph_memory_.resize(std::max(bytes, graph_memory_.size()));
    return graph_memory_.data();
  }
  // Gives the graph memory; then inputs can be set.
  void allocate(ggml_cgraph *graph);
  // Throws Interrupted when `interrupt` was called.
  void compute(ggml_cgraph *graph);
  // An output of the graph, where it lies if that is the host's memory; until the next graph.
  std::span<const float> values(const ggml_tensor *output);
  // On CPU gives back the memory of the largest graph so far; the next one takes what it needs. Other devices
  // keep theirs.
  void release_memory();
  // From any thread: stops what the CPU computes now, or else computes next.
  void interrupt() { interrupted_ = true; }
  // Parts that the graph with the most of them had: one, unless operations left the device for the CPU;
  // which.
  int graph_parts() const { return graph_parts_; }
  const std::set<std::string> &left_to_cpu() const { return left_to_cpu_; }
  void check_interrupted(); // throws Interrupted when `interrupt` was called, for work that ggml doesn't run

private:
  using Backend = std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)>;
  std::string name_;
  ThreadPool pool_;
  bool own_kernels_;
  int card_ = -1;
  std::unique_ptr<ggml_threadpool, decltype(&ggml_threadpool_free)> ggml_pool_{nullptr, ggml_threadpool_free};
  Backend cpu_{nullptr, ggml_backend_free}, main_{nullptr, ggml_backend_free};
  std::unique_ptr<ggml_backend_sched, decltype(&ggml_backend_sched_free)> scheduler_{nullptr,
                                                                                     ggml_backend_sched_free};
  std::vector<std::byte> graph_memory_;
  std::vector<float> values_; // of an output that lies elsewhere
  std::atomic<bool> interrupted_{false};
  int graph_parts_ = 0;
  std::set<std::string> left_to_cpu_; // operations

  void make_scheduler();
};

} // namespace ltu
