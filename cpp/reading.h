#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace ltu {

enum Outcome : int8_t { undecided = -1, yes = 0, no = 1, neither = 2 };

// A reading of answers as one deterministic automaton over their bytes (ltu/reading.py makes it from a data file).
// State 0 is the start.
struct Reading {
  std::vector<int32_t> next;   // [states, 256]
  std::vector<int8_t> decided; // [states] the outcome that nothing after it can change, or undecided
  std::vector<int8_t> at_end;  // [states] the outcome of an answer that ends here

  int32_t run(int32_t state, std::string_view bytes) const {
    for (const char byte : bytes)
      state = next[static_cast<size_t>(state) * 256 + static_cast<unsigned char>(byte)];
    return state;
  }
};

} // namespace ltu
