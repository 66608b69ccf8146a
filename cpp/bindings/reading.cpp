#include "answer/reading.h"
#include "bindings/bindings.h"
#include "support/error.h"
#include <algorithm>
#include <memory>

namespace ltu {
namespace {

// rules: (decision, at, first). positions: (rule, last, bytes as a string, follow).
std::shared_ptr<Reading>
reading_of(const std::vector<std::tuple<int, int, std::vector<int32_t>>> &rules,
           const std::vector<std::tuple<int32_t, bool, py::bytes, std::vector<int32_t>>> &positions,
           bool by_position, Decision decisions, std::map<std::string, uint8_t> same_letters) {
  ReadingProgram program{.rules = {},
                         .positions = {},
                         .decisions = decisions,
                         .by_position = by_position,
                         .same_letters = std::move(same_letters)};
  const auto check = [](bool sound) {
    if (!sound)
      throw Error("a reading's rules and positions don't fit together");
  };
  const auto inside = [&](const std::vector<int32_t> &numbers) {
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](int32_t n) { return n >= 0 && n < static_cast<int32_t>(positions.size()); });
  };
  for (const auto &[decision, at, first] : rules) {
    check(decision >= 0 && decision < decisions && at >= 0 && at <= 2 && inside(first));
    program.rules.push_back({static_cast<Decision>(decision), static_cast<ReadingProgram::At>(at), first});
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

} // namespace

void bind_reading(py::module_ &m) {
  py::class_<Reading, std::shared_ptr<Reading>>(m, "Reading")
      .def(py::init(&reading_of), "rules"_a, "positions"_a, "by_position"_a, "decisions"_a = 3,
           "same_letters"_a = std::map<std::string, uint8_t>{})
      .def(
          "run",
          [](Reading &r, int32_t state, const py::bytes &text) { return r.run(state, std::string(text)); },
          "state"_a, "text"_a)
      .def("decided", &Reading::decided, "state"_a)
      .def("at_end", &Reading::at_end, "state"_a);
}

} // namespace ltu
