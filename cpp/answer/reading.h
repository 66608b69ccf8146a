#pragma once
#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ltu {

// What an answer comes to: a number below the program's `decisions`, of which the last one means that no rule
// has matched; or undecided.
using Decision = int32_t;
constexpr Decision undecided = -1;

// A reading's phrases as positions that each take one byte of a class (Glushkov's automaton);
// ltu/readings/automaton.py makes it.
struct ReadingProgram {
  enum class At : int8_t { any, start, end };
  struct Rule {
    Decision decision;
    At at;
    std::vector<int32_t> first; // positions that a phrase of this rule can begin with
  };
  struct Position {
    int32_t rule;
    bool last; // a phrase can end here
    std::bitset<256> bytes;
    std::vector<int32_t> follow;
  };
  std::vector<Rule> rules; // in order: the earlier one wins
  std::vector<Position> positions;
  Decision decisions; // of which the last one means that no rule has matched: yes, no, neither
  bool by_position;   // the match that begins earlier in the answer wins, the order only between equals
  // Bytes of letters that are read as another one. None begins inside another.
  std::map<std::string, uint8_t> same_letters = {};
};

// A reading as one deterministic automaton over an answer's bytes. Its states are made when they are first
// reached. State 0 is the start.
class Reading {
public:
  explicit Reading(ReadingProgram program);

  Decision decisions() const { return program_.decisions; }
  int32_t run(int32_t state, std::string_view bytes);
  // The decision that nothing after this state can change, or undecided.
  Decision decided(int32_t state) const { return states_[static_cast<size_t>(state)].decided; }
  // The decision of an answer that ends here.
  Decision at_end(int32_t state) const { return states_[static_cast<size_t>(state)].at_end; }

private:
  // Partly read phrases by where they began, earliest first; a position stands only where it began earliest.
  // A phrase of an `end` rule that is complete but for the end stands as −1 − rule.
  using Group = std::vector<int32_t>;
  struct Configuration {
    std::vector<Group> groups;
    int32_t best = -1; // the rule that has matched; groups are then only those that can still win over it
    bool opened = false, in_word = false;
    std::string letter; // the beginning of one of `same_letters`, not read yet
    auto operator<=>(const Configuration &) const = default;
  };
  struct State {
    const Configuration *configuration;
    Decision decided, at_end;
    std::array<int32_t, 256> next; // −1: not made yet
  };

  ReadingProgram program_;
  std::map<Configuration, int32_t> numbers_;
  std::vector<State> states_;

  int32_t number(Configuration configuration);
  void complete(Configuration &configuration, bool at_end) const;
  Configuration read(Configuration configuration, unsigned char byte) const;
  Configuration step(Configuration configuration, unsigned char byte) const;
  Decision decision(const Configuration &configuration) const;
  Decision settled(const Configuration &configuration) const;
  int32_t rule_of(int32_t position) const;
};

} // namespace ltu
