#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace ltu {

// Drafts how an answer goes on: as its prompt does after the same words, or as an earlier answer did. A draft
// is only worth its position if the sampler draws it; what is drawn never depends on it.
class Drafts {
public:
  void learn(std::span<const int32_t> answer);
  std::vector<int32_t> propose(std::span<const int32_t> prompt, std::span<const int32_t> answer,
                               size_t most) const;

private:
  static constexpr size_t most_contexts = size_t{1} << 20;
  std::unordered_map<uint64_t, int32_t> next_; // after a context, in the latest answer that held it
};

} // namespace ltu
