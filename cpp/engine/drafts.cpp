#include "engine/drafts.h"
#include "answer/sampler.h"
#include <algorithm>

namespace ltu {

namespace {

constexpr size_t longest_context = 6;

// The last `length` tokens before `end`; one more than there are means "from the answer's first token on".
uint64_t context(std::span<const int32_t> answer, size_t end, size_t length) {
  std::vector<uint64_t> words{length};
  for (size_t i = end - std::min(end, length); i < end; ++i)
    words.push_back(static_cast<uint64_t>(answer[i]));
  return stream_key(words);
}

// What follows the latest place in the prompt that reads like the last `length` tokens; -1: there is none.
int32_t after(std::span<const int32_t> prompt, std::span<const int32_t> last) {
  for (size_t end = prompt.size(); end-- > last.size();)
    if (std::equal(last.begin(), last.end(), prompt.begin() + static_cast<ptrdiff_t>(end - last.size())))
      return prompt[end];
  return -1;
}

} // namespace

void Drafts::learn(std::span<const int32_t> answer) {
  if (next_.size() > most_contexts)
    next_.clear();
  for (size_t end = 0; end < answer.size(); ++end)
    for (size_t length = 1; length <= std::min(longest_context, end + 1); ++length)
      next_[context(answer, end, length)] = answer[end];
}

std::vector<int32_t> Drafts::propose(std::span<const int32_t> prompt, std::span<const int32_t> answer,
                                     size_t most) const {
  std::vector<int32_t> tokens(answer.begin(), answer.end());
  const auto next = [&]() -> int32_t {
    for (size_t length = std::min(longest_context, tokens.size() + 1); length > 0; --length) {
      if (length > 1 && length <= tokens.size())
        if (const int32_t token = after(prompt, std::span(tokens).last(length)); token >= 0)
          return token;
      if (const auto known = next_.find(context(tokens, tokens.size(), length)); known != next_.end())
        return known->second;
    }
    return -1;
  };
  while (tokens.size() < answer.size() + most) {
    const int32_t token = next();
    if (token < 0)
      break;
    tokens.push_back(token);
  }
  return {tokens.begin() + static_cast<ptrdiff_t>(answer.size()), tokens.end()};
}

} // namespace ltu
