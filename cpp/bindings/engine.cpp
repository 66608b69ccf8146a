#include "engine/engine.h"
#include "bindings/bindings.h"
#include "device/cores.h"
#include "kernels/kernels.h"
#include "support/error.h"
#include <memory>
#include <optional>
#include <string>

namespace ltu {

namespace {

using Clips = std::vector<std::pair<py::bytes, Floats>>; // content hash, embeddings

std::vector<Clip> clips_of(const Clips &clips) {
  std::vector<Clip> out;
  for (const auto &[hash, embeddings] : clips)
    out.push_back({std::string(hash), {embeddings.data(), static_cast<size_t>(embeddings.size())}});
  return out;
}

struct HeldQuery : Query { // with what its clips' embeddings lie in
  Clips held;
};

const char *name_of(Event::Kind kind) {
  switch (kind) {
  case Event::Kind::token:
    return "token";
  case Event::Kind::finished:
    return "finished";
  case Event::Kind::failed:
    break;
  }
  return "failed";
}

py::dict description(const Engine &engine) {
  const Counters &c = engine.counters();
  const std::string kernels = engine.device().own_kernels() ? std::string("ltu ") + kernels::processor()
                              : engine.model().on_card()    ? "ltu cuda"
                              : engine.one_at_a_time()      ? "ggml, batch-invariant"
                                                            : "ggml";
  const Cells &cells = engine.kv().cells();
  return py::dict(
      "device"_a = engine.device().name(), "threads"_a = engine.device().threads(), "kernels"_a = kernels,
      "batch_invariant"_a = engine.batch_invariant(), "step_answers"_a = engine.step_answers(),
      "clips_at_once"_a = engine.clips_at_once(), "weight_bytes"_a = engine.weight_bytes(),
      "kv_cell_bytes"_a = engine.kv().cell_bytes(), "kv_cells"_a = cells.capacity(),
      "kv_cells_used"_a = cells.used_end(), "kv_cells_taken"_a = cells.capacity() - cells.available(),
      "kv_type"_a = engine.kv().half() ? "f16" : "f32", "converted"_a = engine.model().converted(),
      "graph_parts"_a = engine.device().graph_parts(), "left_to_cpu"_a = engine.device().left_to_cpu(),
      "context"_a = engine.model().llama().context, "clips"_a = c.clips, "steps"_a = c.steps,
      "prompt_positions"_a = c.prompt_positions, "answer_positions"_a = c.answer_positions,
      "draft_positions"_a = c.draft_positions, "taken_drafts"_a = c.taken_drafts,
      "given_up"_a = engine.preempted(), "encode_seconds"_a = c.encode_seconds,
      "prompt_seconds"_a = c.prompt_seconds, "answer_seconds"_a = c.answer_seconds);
}

void bind_queries(py::module_ &m) {
  py::class_<Sample>(m, "Sample")
      .def(py::init([](const Sampling &sampling, int64_t repeats, int64_t first_repeat,
                       std::shared_ptr<Reading> stop_when_decided, bool stream,
                       std::optional<int32_t> logprobs) {
             return Sample{sampling, repeats, first_repeat, std::move(stop_when_decided), stream, logprobs};
           }),
           "sampling"_a, "repeats"_a = 1, "first_repeat"_a = 0, "stop_when_decided"_a = nullptr,
           "stream"_a = false, "logprobs"_a = std::nullopt);
  py::class_<Exact>(m, "Exact")
      .def(py::init(
               [](const Sampling &sampling, std::shared_ptr<Reading> reading, double epsilon,
                  int64_t node_budget) { return Exact{sampling, std::move(reading), epsilon, node_budget}; }),
           "sampling"_a, "reading"_a = nullptr, "epsilon"_a = 1e-3, "node_budget"_a = 4096);
  py::class_<Score>(m, "Score")
      .def(py::init([](std::vector<std::vector<int32_t>> continuations,
                       const std::optional<Sampling> &sampling, bool end,
                       bool by_token) { return Score{std::move(continuations), sampling, end, by_token}; }),
           "continuations"_a, "sampling"_a = std::nullopt, "end"_a = false, "by_token"_a = false);
  py::class_<HeldQuery>(m, "Query")
      .def(py::init([](std::vector<int32_t> ids, Clips clips, std::variant<Sample, Exact, Score> mode,
                       uint64_t seed, int64_t max_new_tokens, uint64_t caller) {
             Query query{std::move(ids), clips_of(clips), std::move(mode), seed, max_new_tokens, caller};
             return HeldQuery{std::move(query), std::move(clips)};
           }),
           "ids"_a, "clips"_a, "mode"_a, "seed"_a = 0, "max_new_tokens"_a = 400, "caller"_a = 0);
  py::class_<Logprobs>(m, "Logprobs")
      .def_readonly("drawn", &Logprobs::drawn)
      .def_readonly("raw", &Logprobs::raw)
      .def_readonly("best_drawn", &Logprobs::best_drawn)
      .def_readonly("best_raw", &Logprobs::best_raw);
  py::class_<Event>(m, "Event")
      .def_property_readonly("kind", [](const Event &e) { return name_of(e.kind); })
      .def_readonly("query", &Event::query)
      .def_readonly("repeat", &Event::repeat)
      .def_readonly("token", &Event::token)
      .def_readonly("token_ids", &Event::tokens)
      .def_readonly("logprob", &Event::logprob)
      .def_readonly("logprobs", &Event::logprobs)
      .def_readonly("stop", &Event::stop)
      .def_readonly("masses", &Event::masses)
      .def_readonly("nodes", &Event::nodes)
      .def_readonly("found", &Event::found)
      .def_readonly("answers", &Event::answers);
}

} // namespace

void bind_engine(py::module_ &m) {
  bind_queries(m);
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
  py::class_<Engine>(m, "Engine")
      .def(py::init([](const std::string &path, const std::string &device, int threads, size_t kv_memory,
                       bool tree, int draft_width, bool batch_invariant, int64_t step_answers,
                       int64_t step_prompt_positions, int steps_under_way) {
             const py::gil_scoped_release release;
             return std::make_unique<Engine>(path, EngineOptions{device, threads, kv_memory, tree,
                                                                 draft_width, batch_invariant, step_answers,
                                                                 step_prompt_positions, steps_under_way});
           }),
           "path"_a, "device"_a = "auto", "threads"_a = 0, "kv_memory"_a = 0, "tree"_a = true,
           "draft_width"_a = 0, "batch_invariant"_a = false, "step_answers"_a = 0,
           "step_prompt_positions"_a = 0, "steps_under_way"_a = 0)
      .def(
          "encode", [=](Engine &e, const Floats &f) { return encode(e, f, false); }, "features"_a)
      .def(
          "encode_pooled", [=](Engine &e, const Floats &f) { return encode(e, f, true); }, "features"_a)
      .def(
          "add", [](Engine &engine, const HeldQuery &query) { return engine.add(query); }, "query"_a)
      .def(
          "set_token_bytes",
          [](Engine &engine, const std::vector<py::bytes> &tokens) {
            engine.set_token_bytes({tokens.begin(), tokens.end()});
          },
          "tokens"_a)
      .def("idle", &Engine::idle)
      .def("step", &Engine::step, py::call_guard<py::gil_scoped_release>())
      .def("cancel", &Engine::cancel, "query"_a, "repeat"_a = std::nullopt)
      .def("interrupt", &Engine::interrupt)
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
            const auto count = static_cast<py::ssize_t>(rows.size()) / vocabulary;
            return array(std::move(rows), {count, vocabulary});
          },
          "ids"_a, "clips"_a, "last_only"_a = false)
      .def("metadata", [](const Engine &engine) { return metadata(engine.model().file()); })
      .def("description", &description);

  m.def("devices", &Device::names);
  m.def("usable_cores", [](const std::string &root) { return usable_cores(root); }, "root"_a = "/");
  m.def("processor", [] {
    try {
      return kernels::processor();
    } catch (const std::runtime_error &error) { // LTU_PROCESSOR asks for what is not there
      throw Error(error.what());
    }
  });
}

} // namespace ltu
