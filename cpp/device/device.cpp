#include "device/device.h"
#include "device/cores.h"
#include "kernels/kernels.h"
#include "support/error.h"
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>

namespace ltu {

namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

int checked_threads(int threads) {
  if (threads < 0 || threads > Device::most_threads)
    throw Error("threads is " + std::to_string(threads) + "; give at most " +
                std::to_string(Device::most_threads) + ", or 0 for one for each core");
  return threads ? threads : usable_cores();
}

// A device of ggml's registry as users name it: its back end, a colon, its number there.
struct Listed {
  ggml_backend_dev_t device;
  std::string backend;
  int number;

  std::string name() const { return backend + ":" + std::to_string(number); }
};

std::vector<Listed> accelerators() {
  std::vector<Listed> list;
  std::map<std::string, int> seen;
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    const auto type = ggml_backend_dev_type(device);
    if (type != GGML_BACKEND_DEVICE_TYPE_GPU && type != GGML_BACKEND_DEVICE_TYPE_IGPU)
      continue;
    std::string backend = lower(ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
    if (backend == "mtl") // ggml's word for Metal
      backend = "metal";
    list.push_back({device, backend, seen[backend]++});
  }
  return list;
}

// "cuda:1" is the second device of the back end that is called CUDA, "cuda" the first.
ggml_backend_dev_t find_device(const std::string &spec) {
  const std::string wanted = lower(spec);
  for (const Listed &listed : accelerators())
    if (wanted == "auto" || wanted == listed.name() || (wanted == listed.backend && listed.number == 0))
      return listed.device;
  if (wanted == "auto" || wanted == "cpu")
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  std::string present = "auto";
  for (const std::string &name : Device::names())
    present += ", " + name;
  throw Error("unknown device " + spec + "; this build and machine have " + present);
}

} // namespace

std::vector<std::string> Device::names() {
  std::vector<std::string> names{"cpu"};
  for (const Listed &listed : accelerators())
    names.push_back(listed.name());
  return names;
}

Device::Device(const std::string &spec, int threads) : pool_(checked_threads(threads)) {
  ggml_backend_dev_t device = find_device(spec);
  const bool on_cpu = ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
  // LTU_KERNELS=ggml computes on CPU what other devices compute: their graphs can be tested without one.
  const char *kernels = std::getenv("LTU_KERNELS");
  const bool graphs_alone = kernels && std::string(kernels) == "ggml";
  own_kernels_ = on_cpu && !graphs_alone;
  name_ = on_cpu ? "cpu" : lower(ggml_backend_dev_name(device));
#ifdef LTU_CUDA_KERNELS
  for (const Listed &listed : accelerators())
    if (listed.device == device && listed.backend == "cuda" && !graphs_alone)
      card_ = listed.number;
#endif
  try {
    kernels::processor();
  } catch (const std::runtime_error &error) { // LTU_PROCESSOR asks for what is not there
    throw Error(error.what());
  }

  // Our operations share themselves out among our threads; what is left to ggml beside them is little.
  ggml_threadpool_params pool = ggml_threadpool_params_default(own_kernels_ ? 1 : this->threads());
  pool.poll = 0; // between graphs its threads sleep
  ggml_pool_.reset(ggml_threadpool_new(&pool));
  cpu_.reset(ggml_backend_cpu_init());
  ggml_backend_cpu_set_n_threads(cpu_.get(), pool.n_threads);
  ggml_backend_cpu_set_threadpool(cpu_.get(), ggml_pool_.get());
  ggml_backend_cpu_set_abort_callback(
      cpu_.get(),
      [](void *flag) { return static_cast<std::atomic<bool> *>(flag)->load(std::memory_order_relaxed); },
      &interrupted_);
  if (!on_cpu) {
    // Products of float16 are summed in float32 at once. ggml's own default sums in float16; the precision
    // that can be asked for instead makes a float32 copy of the matrix at every product.
    setenv("GGML_CUDA_FORCE_CUBLAS_COMPUTE_32F", "1", 0);
    main_.reset(ggml_backend_dev_init(device, nullptr));
    if (!main_)
      throw Error("device " + name_ + " cannot be initialised");
  }
  make_scheduler();
}

size_t Device::free_memory() const {
  size_t free = 0, total = 0;
  ggml_backend_dev_memory(ggml_backend_get_device(main_ ? main_.get() : cpu_.get()), &free, &total);
  return free;
}

void Device::check_interrupted() {
  if (interrupted_.exchange(false))
    throw Interrupted();
}

std::span<const float> Device::values(const ggml_tensor *output) {
  const auto n = static_cast<size_t>(ggml_nelements(output));
  if (ggml_backend_buffer_is_host(output->buffer))
    return {static_cast<const float *>(output->data), n};
  values_.resize(n);
  ggml_backend_tensor_get(output, values_.data(), 0, ggml_nbytes(output));
  return values_;
}

void Device::release_memory() {
  if (!main_)
    make_scheduler();
}

void Device::make_scheduler() {
  std::vector<ggml_backend_t> backends{cpu_.get()};
  if (main_)
    backends.insert(backends.begin(), main_.get());
  scheduler_.reset(); // a scheduler keeps its buffers as long as it lives
  scheduler_.reset(ggml_backend_sched_new(backends.data(), nullptr, static_cast<int>(backends.size()),
                                          graph_size,
                                          /*parallel=*/false, /*op_offload=*/true));
}

void Device::allocate(ggml_cgraph *graph) {
  ggml_backend_sched_reset(scheduler_.get());
  if (!ggml_backend_sched_alloc_graph(scheduler_.get(), graph))
    throw Error("not enough memory on " + name_ + " to compute");
  const int parts = ggml_backend_sched_get_n_splits(scheduler_.get());
  if (parts <= graph_parts_)
    return;
  graph_parts_ = parts;
  for (int i = 0; main_ && i < ggml_graph_n_nodes(graph); ++i) {
    ggml_tensor *node = ggml_graph_node(graph, i);
    if (ggml_backend_sched_get_tensor_backend(scheduler_.get(), node) == cpu_.get())
      left_to_cpu_.insert(ggml_op_desc(node));
  }
}

void Device::compute(ggml_cgraph *graph) {
  const ggml_status status = ggml_backend_sched_graph_compute(scheduler_.get(), graph);
  if (status == GGML_STATUS_ABORTED) {
    interrupted_ = false;
    throw Interrupted();
  }
  if (status != GGML_STATUS_SUCCESS)
    throw Error("the computation failed on " + name_ + ": " + ggml_status_to_string(status));
}

} // namespace ltu
