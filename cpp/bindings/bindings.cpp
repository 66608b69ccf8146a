// Python types in, Python types out, nothing else.
#include "engine/engine.h"
#include "file/quantize.h"
#include "ggml-cpu.h"
#include "kernels/kernels.h"
#include "support/error.h"
#include <atomic>
#include <chrono>
#include <cstring>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;
using namespace pybind11::literals;

namespace ltu {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Bytes = py::array_t<uint8_t, py::array::c_style | py::array::forcecast>;

py::array_t<float> array(std::vector<float> &&values, std::vector<py::ssize_t> shape) {
  auto *owner = new std::vector<float>(std::move(values)); // freed by the capsule
  const py::capsule free(owner, [](void *p) { delete static_cast<std::vector<float> *>(p); });
  return py::array_t<float>(std::move(shape), owner->data(), free);
}

std::vector<Clip> clips_of(const std::vector<std::pair<py::bytes, Floats>> &clips) {
  std::vector<Clip> out;
  for (const auto &[hash, embeddings] : clips)
    out.push_back({std::string(hash), {embeddings.data(), embeddings.data() + embeddings.size()}});
  return out;
}

// Lets Ctrl-C through while the engine computes: Python is asked every tenth of a second, from the main
// thread only.
bool python_interrupted() {
  static std::atomic<int64_t> last{0};
  const int64_t now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::milliseconds(100);
  if (last.exchange(now) == now)
    return false;
  const py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

Query::Mode mode_named(const std::string &name) {
  if (name == "sample")
    return Query::Mode::sample;
  if (name == "exact")
    return Query::Mode::exact;
  if (name == "score")
    return Query::Mode::score;
  if (name == "forced")
    return Query::Mode::forced;
  throw Error("unknown mode " + name + ": use sample, exact or score");
}

// rules: (outcome, at, first). positions: (rule, last, bytes as a string, follow).
std::shared_ptr<Reading>
reading_of(const std::vector<std::tuple<int, int, std::vector<int32_t>>> &rules,
           const std::vector<std::tuple<int32_t, bool, py::bytes, std::vector<int32_t>>> &positions,
           bool by_position) {
  ReadingProgram program{.rules = {}, .positions = {}, .by_position = by_position};
  const auto check = [](bool sound) {
    if (!sound)
      throw Error("a reading's rules and positions don't fit together");
  };
  const auto inside = [&](const std::vector<int32_t> &numbers) {
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](int32_t n) { return n >= 0 && n < static_cast<int32_t>(positions.size()); });
  };
  for (const auto &[outcome, at, first] : rules) {
    check(outcome >= yes && outcome <= neither && at >= 0 && at <= 2 && inside(first));
    program.rules.push_back({static_cast<Outcome>(outcome), static_cast<ReadingProgram::At>(at), first});
  }
  for (const auto &[rule, last, bytes, follow] : positions) {
    check(rule >= 0 && rule < static_cast<int32_t>(rules.size()) && inside(follow));
    ReadingProgram::Position position{.rule = rule, .last = last, .bytes = {}, .follow = follow};
    for (const char byte : std::string(bytes))
      position.bytes[static_cast<unsigned char>(byte)] = true;
    program.positions.push_back(std::move(position));
  }
  return std::make_shared<Reading>(std::move(program));
}

py::object value_of(const gguf_context *g, int64_t id) {
  switch (gguf_get_kv_type(g, id)) {
  case GGUF_TYPE_UINT8:
    return py::int_(gguf_get_val_u8(g, id));
  case GGUF_TYPE_INT8:
    return py::int_(gguf_get_val_i8(g, id));
  case GGUF_TYPE_UINT16:
    return py::int_(gguf_get_val_u16(g, id));
  case GGUF_TYPE_INT16:
    return py::int_(gguf_get_val_i16(g, id));
  case GGUF_TYPE_UINT32:
    return py::int_(gguf_get_val_u32(g, id));
  case GGUF_TYPE_INT32:
    return py::int_(gguf_get_val_i32(g, id));
  case GGUF_TYPE_UINT64:
    return py::int_(gguf_get_val_u64(g, id));
  case GGUF_TYPE_INT64:
    return py::int_(gguf_get_val_i64(g, id));
  case GGUF_TYPE_FLOAT32:
    return py::float_(gguf_get_val_f32(g, id));
  case GGUF_TYPE_FLOAT64:
    return py::float_(gguf_get_val_f64(g, id));
  case GGUF_TYPE_BOOL:
    return py::bool_(gguf_get_val_bool(g, id));
  case GGUF_TYPE_STRING:
    return py::str(gguf_get_val_str(g, id));
  default:
    break;
  }
  py::list items;
  const size_t count = gguf_get_arr_n(g, id);
  const gguf_type type = gguf_get_arr_type(g, id);
  for (size_t i = 0; i < count; ++i) {
    if (type == GGUF_TYPE_STRING)
      items.append(py::str(gguf_get_arr_str(g, id, i)));
    else if (type == GGUF_TYPE_FLOAT32)
      items.append(static_cast<const float *>(gguf_get_arr_data(g, id))[i]);
    else if (type == GGUF_TYPE_INT32)
      items.append(static_cast<const int32_t *>(gguf_get_arr_data(g, id))[i]);
    else if (type == GGUF_TYPE_UINT32)
      items.append(static_cast<const uint32_t *>(gguf_get_arr_data(g, id))[i]);
  }
  return items;
}

py::dict metadata(const GgufFile &file) {
  py::dict out;
  const gguf_context *g = file.context();
  for (int64_t id = 0; id < gguf_get_n_kv(g); ++id) {
    out[py::str(gguf_get_key(g, id))] = value_of(g, id);
  }
  return out;
}

Keys keys_of(const py::dict &keys) {
  const auto fail = [](const std::string &what) { throw ModelFileError(what); };
  const auto find = [keys](const std::string &key) -> std::optional<py::object> {
    return keys.contains(key) ? std::optional<py::object>(keys[py::str(key)]) : std::nullopt;
  };
  const auto required = [=](const std::string &key) {
    const auto value = find(key);
    if (!value)
      fail("key " + key + " is missing");
    return *value;
  };
  return {.integer = [=](const std::string &key) { return required(key).template cast<int64_t>(); },
          .number = [=](const std::string &key) { return required(key).template cast<double>(); },
          .find_integer = [=](const std::string &key) -> std::optional<int64_t> {
            const auto value = find(key);
            return value ? std::optional<int64_t>(value->cast<int64_t>()) : std::nullopt;
          },
          .find_number = [=](const std::string &key) -> std::optional<double> {
            const auto value = find(key);
            return value ? std::optional<double>(value->cast<double>()) : std::nullopt;
          },
          .find_string = [=](const std::string &key) -> std::optional<std::string> {
            const auto value = find(key);
            return value ? std::optional<std::string>(value->cast<std::string>()) : std::nullopt;
          },
          .fail = fail};
}

py::dict description(Engine &engine) {
  const Counters &c = engine.counters();
  const bool invariant = engine.batch_invariant();
  const std::string kernels = engine.device().own_kernels() ? std::string("ltu ") + kernels::processor()
                              : invariant                   ? "ggml, batch-invariant"
                                                            : "ggml";
  return py::dict("device"_a = engine.device().name(), "threads"_a = engine.device().threads(),
                  "kernels"_a = kernels, "batch_invariant"_a = invariant,
                  "weight_bytes"_a = engine.model().bytes(), "kv_cell_bytes"_a = engine.cells().cell_bytes(),
                  "kv_cells"_a = engine.cells().capacity(), "kv_cells_used"_a = engine.cells().used_end(),
                  "kv_type"_a = engine.cells().half() ? "f16" : "f32",
                  "context"_a = engine.model().llama().context, "clips"_a = c.clips, "steps"_a = c.steps,
                  "prompt_positions"_a = c.prompt_positions, "answer_positions"_a = c.answer_positions,
                  "draft_positions"_a = c.draft_positions, "taken_drafts"_a = c.taken_drafts,
                  "given_up"_a = c.given_up, "encode_seconds"_a = c.encode_seconds,
                  "prompt_seconds"_a = c.prompt_seconds, "answer_seconds"_a = c.answer_seconds);
}

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

void bind_engine(py::module_ &m) {
  py::class_<Sampling>(m, "Sampling")
      .def(py::init([](float temperature, int32_t top_k, float top_p, float repetition_penalty, bool greedy) {
             return Sampling{temperature, top_k, top_p, repetition_penalty, greedy};
           }),
           "temperature"_a, "top_k"_a, "top_p"_a, "repetition_penalty"_a, "greedy"_a);
  py::class_<Event>(m, "Event")
      .def_property_readonly(
          "kind", [](const Event &e) { return e.kind == Event::Kind::token ? "token" : "finished"; })
      .def_readonly("query", &Event::query)
      .def_readonly("repeat", &Event::repeat)
      .def_readonly("token", &Event::token)
      .def_readonly("token_ids", &Event::tokens)
      .def_readonly("logprob", &Event::logprob)
      .def_readonly("stop", &Event::stop)
      .def_readonly("masses", &Event::masses)
      .def_readonly("nodes", &Event::nodes)
      .def_readonly("answers", &Event::answers);
  py::class_<Reading, std::shared_ptr<Reading>>(m, "Reading")
      .def(py::init(&reading_of), "rules"_a, "positions"_a, "by_position"_a)
      .def(
          "run",
          [](Reading &r, int32_t state, const py::bytes &text) { return r.run(state, std::string(text)); },
          "state"_a, "text"_a)
      .def(
          "decided", [](const Reading &r, int32_t state) { return static_cast<int>(r.decided(state)); },
          "state"_a)
      .def(
          "at_end", [](const Reading &r, int32_t state) { return static_cast<int>(r.at_end(state)); },
          "state"_a);

  const auto encode = [](Engine &engine, const Floats &features, bool pooled) {
    const AudioConfig &audio = engine.model().audio();
    if (features.ndim() != 3 || features.shape(1) != audio.frames || features.shape(2) != audio.mels)
      throw Error("features must be (clips, " + std::to_string(audio.frames) + ", " +
                  std::to_string(audio.mels) + ")");
    AudioEmbeddings result;
    {
      const py::gil_scoped_release release;
      result = engine.encode(features.data(), features.shape(0));
    }
    const int64_t width = pooled ? audio.width : engine.model().llama().width;
    return array(std::move(pooled ? result.pooled : result.projected),
                 {features.shape(0), audio.embeddings, width});
  };
  using Clips = std::vector<std::pair<py::bytes, Floats>>;
  py::class_<Engine>(m, "Engine")
      .def(py::init([](const std::string &path, const std::string &device, int threads, size_t kv_memory,
                       bool tree, int draft_width, bool batch_invariant) {
             const py::gil_scoped_release release;
             auto engine = std::make_unique<Engine>(
                 path, EngineOptions{device, threads, kv_memory, tree, draft_width, batch_invariant});
             engine->device().set_interrupt_check(python_interrupted);
             return engine;
           }),
           "path"_a, "device"_a = "auto", "threads"_a = 0, "kv_memory"_a = 0, "tree"_a = true,
           "draft_width"_a = 0, "batch_invariant"_a = false)
      .def(
          "encode", [=](Engine &e, const Floats &f) { return encode(e, f, false); }, "features"_a)
      .def(
          "encode_pooled", [=](Engine &e, const Floats &f) { return encode(e, f, true); }, "features"_a)
      .def(
          "add",
          [](Engine &engine, std::vector<int32_t> ids, const Clips &clips, int64_t repeats, uint64_t seed,
             const std::optional<Sampling> &sampling, int64_t max_new_tokens, bool stream,
             const std::string &mode, std::shared_ptr<Reading> reading, double epsilon, int64_t node_budget,
             std::vector<std::vector<int32_t>> continuations) {
            return engine.add({.ids = std::move(ids),
                               .clips = clips_of(clips),
                               .mode = mode_named(mode),
                               .repeats = repeats,
                               .seed = seed,
                               .sampling = sampling.value_or(Sampling{}),
                               .tempered = sampling.has_value(),
                               .max_new_tokens = max_new_tokens,
                               .stream = stream,
                               .reading = std::move(reading),
                               .epsilon = epsilon,
                               .node_budget = node_budget,
                               .continuations = std::move(continuations)});
          },
          "ids"_a, "clips"_a, "repeats"_a, "seed"_a, "sampling"_a, "max_new_tokens"_a, "stream"_a = false,
          "mode"_a = "sample", "reading"_a = nullptr, "epsilon"_a = 1e-3, "node_budget"_a = 4096,
          "continuations"_a = std::vector<std::vector<int32_t>>{})
      .def(
          "set_token_bytes",
          [](Engine &engine, const std::vector<py::bytes> &tokens) {
            engine.set_token_bytes({tokens.begin(), tokens.end()});
          },
          "tokens"_a)
      .def("wants_queries", &Engine::wants_queries)
      .def("idle", &Engine::idle)
      .def("step", &Engine::step, py::call_guard<py::gil_scoped_release>())
      .def("cancel", &Engine::cancel, "query"_a)
      .def(
          "logits",
          [](Engine &engine, const std::vector<int32_t> &ids, const Clips &clips, bool last_only) {
            const std::vector<Clip> given = clips_of(clips);
            std::vector<float> rows;
            {
              const py::gil_scoped_release release;
              rows = engine.logits(ids, given, last_only);
            }
            const int64_t vocabulary = engine.model().llama().vocabulary;
            const auto count = static_cast<int64_t>(rows.size()) / vocabulary;
            return array(std::move(rows), {count, vocabulary});
          },
          "ids"_a, "clips"_a, "last_only"_a = false)
      .def("metadata", [](const Engine &engine) { return metadata(engine.model().file()); })
      .def("forget_key", &Engine::forget_key, "key"_a)
      .def("description", &description);
}

void bind_functions(py::module_ &m) {
  m.def(
      "distribution",
      [](const Floats &logits, const std::vector<int32_t> &history, const Sampling &sampling) {
        std::vector<float> out(static_cast<size_t>(logits.size()), 0.0F);
        for (const Candidate &c : distribution({logits.data(), out.size()}, history, sampling))
          out[static_cast<size_t>(c.token)] = c.probability;
        return array(std::move(out), {logits.size()});
      },
      "logits"_a, "history"_a, "sampling"_a);
  m.def(
      "quantize",
      [](const Floats &values, const std::string &type) {
        if (values.ndim() != 2)
          throw Error("quantize wants (rows, columns)");
        const std::vector<uint8_t> data =
            quantize(values.data(), values.shape(0), values.shape(1), type_named(type), physical_cores());
        py::array_t<uint8_t> out({values.shape(0), static_cast<py::ssize_t>(data.size()) / values.shape(0)});
        std::memcpy(out.mutable_data(), data.data(), data.size());
        return out;
      },
      "values"_a, "type"_a);
  m.def(
      "dequantize",
      [](const Bytes &data, const std::string &type, int64_t columns) {
        const ggml_type kind = type_named(type);
        const auto row = static_cast<py::ssize_t>(quantized_row_bytes(kind, columns));
        if (data.size() % row != 0)
          throw Error("the data is no multiple of a row");
        return array(dequantize(data.data(), data.size() / row, columns, kind), {data.size() / row, columns});
      },
      "data"_a, "type"_a, "columns"_a);
  m.def(
      "tensor_table",
      [](const py::dict &keys) {
        py::list table;
        const Keys source = keys_of(keys);
        for (const TensorSpec &spec : tensor_table(audio_config(source), llama_config(source)))
          table.append(py::make_tuple(spec.name, spec.shape, spec.required));
        return table;
      },
      "keys"_a);
  m.def("processor", [] { return std::string(kernels::processor()); });
}

} // namespace
} // namespace ltu

PYBIND11_MODULE(_engine, m) {
  ltu::check_processor();
  ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr); // errors reach the user as exceptions
  // The exception classes are the package's own.
  static PyObject *error, *model_file_error, *prompt_error;
  const py::module_ errors = py::module_::import("ltu.errors");
  error = errors.attr("Error").ptr();
  model_file_error = errors.attr("ModelFileError").ptr();
  prompt_error = errors.attr("PromptError").ptr();
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      std::rethrow_exception(p);
    } catch (const ltu::Interrupted &) {
      if (!PyErr_Occurred()) // Python's signal handler has raised it already
        PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const ltu::ModelFileError &e) {
      PyErr_SetString(model_file_error, e.what());
    } catch (const ltu::PromptError &e) {
      PyErr_SetString(prompt_error, e.what());
    } catch (const ltu::Error &e) {
      PyErr_SetString(error, e.what());
    }
  });
  ltu::bind_engine(m);
  ltu::bind_functions(m);
}
