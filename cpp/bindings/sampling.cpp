#include "answer/sampler.h"
#include "bindings/bindings.h"

namespace ltu {

void bind_sampling(py::module_ &m) {
  py::class_<Sampling>(m, "Sampling")
      .def(py::init([](float temperature, int32_t top_k, float top_p, float repetition_penalty, bool greedy) {
             return Sampling{temperature, top_k, top_p, repetition_penalty, greedy};
           }),
           "temperature"_a, "top_k"_a, "top_p"_a, "repetition_penalty"_a, "greedy"_a);
  m.def(
      "distribution",
      [](const Floats &logits, const std::vector<int32_t> &history, const Sampling &sampling) {
        std::vector<float> out(static_cast<size_t>(logits.size()), 0.0F);
        for (const Candidate &c : distribution({logits.data(), out.size()}, history, sampling))
          out[static_cast<size_t>(c.token)] = c.probability;
        return array(std::move(out), {logits.size()});
      },
      "logits"_a, "history"_a, "sampling"_a);
}

} // namespace ltu
