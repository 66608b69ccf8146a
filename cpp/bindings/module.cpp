#include "bindings/bindings.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "support/error.h"

namespace ltu {

py::array_t<float> array(std::vector<float> &&values, std::vector<py::ssize_t> shape) {
  auto *owner = new std::vector<float>(std::move(values)); // freed by the capsule
  const py::capsule free(owner, [](void *p) { delete static_cast<std::vector<float> *>(p); });
  return py::array_t<float>(std::move(shape), owner->data(), free);
}

namespace {

// The module's code was compiled for one processor; on a lesser one it would die with SIGILL.
void check_processor() {
#if defined(__x86_64__)
  const struct {
    const char *name;
    int compiled, there;
  } features[] = {{"AVX2", ggml_cpu_has_avx2(), __builtin_cpu_supports("avx2")},
                  {"FMA", ggml_cpu_has_fma(), __builtin_cpu_supports("fma")},
                  {"AVX-512", ggml_cpu_has_avx512(), __builtin_cpu_supports("avx512f")},
                  {"AVX-512 VBMI", ggml_cpu_has_avx512_vbmi(), __builtin_cpu_supports("avx512vbmi")},
                  {"AVX-512 VNNI", ggml_cpu_has_avx512_vnni(), __builtin_cpu_supports("avx512vnni")},
                  {"AVX-512 BF16", ggml_cpu_has_avx512_bf16(), __builtin_cpu_supports("avx512bf16")}};
  for (const auto &feature : features)
    if (feature.compiled && !feature.there)
      throw py::import_error(
          std::string("ltu was compiled for another processor: this one has no ") + feature.name +
          "; install it again on this machine (pip install --force-reinstall --no-cache-dir .)");
#endif
}

} // namespace
} // namespace ltu

namespace py = pybind11;

PYBIND11_MODULE(_engine, m) {
  ltu::check_processor();
  ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr); // errors reach the user as exceptions
  // The exception classes are the package's own.
  static PyObject *error, *model_file_error, *prompt_error, *interrupted;
  const py::module_ errors = py::module_::import("ltu.errors");
  error = errors.attr("Error").ptr();
  model_file_error = errors.attr("ModelFileError").ptr();
  prompt_error = errors.attr("PromptError").ptr();
  interrupted = errors.attr("Interrupted").ptr();
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      std::rethrow_exception(p);
    } catch (const ltu::Interrupted &) {
      PyErr_SetNone(interrupted);
    } catch (const ltu::ModelFileError &e) {
      PyErr_SetString(model_file_error, e.what());
    } catch (const ltu::PromptError &e) {
      PyErr_SetString(prompt_error, e.what());
    } catch (const ltu::Error &e) {
      PyErr_SetString(error, e.what());
    }
  });
  ltu::bind_sampling(m);
  ltu::bind_reading(m);
  ltu::bind_file(m);
  ltu::bind_engine(m);
}
