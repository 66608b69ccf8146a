#include "engine/request.h"
#include "support/error.h"
#include <algorithm>
#include <cstring>

namespace ltu {

namespace {

void check_sampling(const Sampling &s) {
  if (!(s.temperature > 0) && !s.greedy)
    throw Error("the sampling temperature must be above 0 (use greedy for the limit)");
  if (!(s.top_p > 0) || !(s.repetition_penalty > 0) || s.top_k < 0)
    throw Error("sampling wants top_p and repetition_penalty above 0 and top_k of at least 0");
}

int64_t positions_of(const Query &query, int64_t embeddings) {
  return std::ssize(query.ids) + std::ssize(query.clips) * (embeddings - 1);
}

void check_prompt(const Query &query, const LlamaConfig &llama, const ClipStore &clips, int64_t cells) {
  if (query.ids.empty())
    throw PromptError("the prompt is empty");
  const auto places = std::count(query.ids.begin(), query.ids.end(), -1);
  if (places != std::ssize(query.clips))
    throw PromptError("the sequence has " + std::to_string(places) + " places for clips, but " +
                      std::to_string(query.clips.size()) + " clips were given");
  for (const Clip &clip : query.clips)
    clips.check(clip);
  for (const int32_t id : query.ids)
    if (id < -1 || id >= llama.vocabulary)
      throw PromptError("token id " + std::to_string(id) + " is outside of the vocabulary");
  const int64_t positions = positions_of(query, clips.embeddings());
  if (positions > llama.context)
    throw PromptError("the prompt has " + std::to_string(positions) +
                      " positions, the model's context holds " + std::to_string(llama.context) +
                      ": shorten it");
  if (positions > cells)
    throw PromptError("the prompt has " + std::to_string(positions) + " positions, the KV cache holds " +
                      std::to_string(cells) + ": give it more memory");
}

void check_continuations(const Score &score, const LlamaConfig &llama) {
  if (score.continuations.empty())
    throw PromptError("a score wants at least one continuation");
  for (const std::vector<int32_t> &given : score.continuations) {
    if (given.empty() && !score.end)
      throw PromptError("a continuation is empty");
    for (const int32_t id : given)
      if (id < 0 || id >= llama.vocabulary)
        throw PromptError("token id " + std::to_string(id) +
                          " of a continuation is outside of the vocabulary");
  }
}

// The stream of random numbers belongs to the content: seed, ids and clips.
RandomStream stream_of(const Query &query) {
  std::vector<uint64_t> words{query.seed};
  auto clip = query.clips.begin();
  for (const int32_t id : query.ids) {
    words.push_back(static_cast<uint64_t>(static_cast<int64_t>(id)));
    if (id >= 0)
      continue;
    const std::string &hash = (clip++)->hash;
    for (size_t i = 0; i < hash.size(); i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, hash.data() + i, std::min(sizeof word, hash.size() - i));
      words.push_back(word);
    }
  }
  return RandomStream(stream_key(words));
}

} // namespace

Request::Request(int64_t id, Query query, const LlamaConfig &llama,
                 const std::vector<std::string> &token_bytes, ClipStore &store, int64_t cells)
    : id(id), caller(query.caller), mode(std::move(query.mode)), ends_(llama.ends),
      token_bytes_(&token_bytes) {
  check_prompt(query, llama, store, cells);
  if (const Sampling *how = sampling())
    check_sampling(*how);
  const int64_t positions = positions_of(query, store.embeddings());
  max_new_tokens = query.max_new_tokens;
  if (auto *score = std::get_if<Score>(&mode)) {
    check_continuations(*score, llama);
    for (std::vector<int32_t> &given : score->continuations) {
      if (score->end)
        given.push_back(static_cast<int32_t>(llama.eos));
      max_new_tokens = std::max(max_new_tokens, std::ssize(given));
    }
  }
  if (max_new_tokens < 1 || (sample() && (sample()->repeats < 1 || sample()->first_repeat < 0)))
    throw PromptError("a query wants at least one repeat and one new token");
  max_new_tokens = std::min(max_new_tokens, llama.context - positions + 1); // the last one takes no position
  if (score() && std::any_of(score()->continuations.begin(), score()->continuations.end(),
                             [&](const auto &given) { return std::ssize(given) > max_new_tokens; }))
    throw PromptError("the prompt and a continuation have more positions than the model's context");
  const int64_t longest = positions + max_new_tokens - 1;
  auto *exact = std::get_if<Exact>(&mode);
  if (!exact && longest > cells) // a walk goes as far as the cache does
    throw PromptError("the prompt and an answer of " + std::to_string(max_new_tokens) + " tokens have " +
                      std::to_string(longest) + " positions, the KV cache holds " + std::to_string(cells) +
                      ": give it more memory or ask for fewer tokens");
  const bool reads = exact ? exact->reading != nullptr : sample() && sample()->stop_when_decided;
  if (reads && std::ssize(token_bytes) < llama.vocabulary)
    throw Error("a reading needs the bytes of every token");

  stream = stream_of(query);
  auto clip = query.clips.begin();
  for (const int32_t token : query.ids) {
    if (token >= 0) {
      labels.push_back(token);
      remember(history, token);
      continue;
    }
    clips.push_back(store.hold(*clip++));
    for (int64_t i = 0; i < store.embeddings(); ++i)
      labels.push_back(clips.back().label(i));
  }
  ids = std::move(query.ids);
  if (exact) {
    exact->node_budget = std::min(exact->node_budget, cells - positions);
    restart_walk();
    return;
  }
  const int64_t first = sample() ? sample()->first_repeat : 0;
  const int64_t count = sample() ? sample()->repeats : std::ssize(score()->continuations);
  for (int64_t i = 0; i < count; ++i)
    answers.push_back({.repeat = first + i, .history = history});
}

const Sampling *Request::sampling() const {
  if (const Sample *s = sample())
    return &s->sampling;
  if (const Score *s = score())
    return s->sampling ? &*s->sampling : nullptr;
  return &std::get<Exact>(mode).sampling;
}

int64_t Request::unfinished() const {
  return walk ? 1
              : std::count_if(answers.begin(), answers.end(), [](const Answer &a) { return !a.finished; });
}

bool Request::streaming() const {
  return sample() && sample()->stream && std::any_of(answers.begin(), answers.end(), [](const Answer &a) {
           return !a.finished && !a.tokens.empty();
         });
}

void Request::restart_walk() {
  const Exact &exact = std::get<Exact>(mode);
  walk.emplace(exact.reading.get(), *token_bytes_, ends_,
               Walk::Limits{exact.epsilon, exact.node_budget, max_new_tokens});
  walking = false;
}

} // namespace ltu
