#include "engine/engine.h"
#include "device/parallel.h"
#include "support/error.h"
#include "support/memory.h"
#include "support/stopwatch.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

namespace ltu {

namespace {

constexpr int64_t most_positions = 256; // of one batch of `logits`: bounds its memory

void check_sampling(const Sampling &s) {
  if (!(s.temperature > 0) && !s.greedy)
    throw Error("the sampling temperature must be above 0 (use greedy for the limit)");
  if (!(s.top_p > 0) || !(s.repetition_penalty > 0) || s.top_k < 0)
    throw Error("sampling wants top_p and repetition_penalty above 0 and top_k of at least 0");
}

} // namespace

Engine::Engine(const std::string &path, const EngineOptions &options)
    : options_(options), device_(options.device, options.threads), model_(path, device_),
      cells_(model_, device_, options.kv_memory), tree_(cells_),
      clips_(model_.audio().embeddings, model_.llama().width) {
  if (one_at_a_time())
    options_.draft_width = 1;
  trim_heap();
}

AudioEmbeddings Engine::encode(const float *features, int64_t clips) {
  const Stopwatch watch;
  trim_heap(); // what computing the features left
  AudioEmbeddings result = audio_encode(model_, device_, features, clips);
  device_.release_memory(); // many times what a step of answers needs
  trim_heap();
  counters_.clips += clips;
  counters_.encode_seconds += watch.seconds();
  return result;
}

void Engine::check(const std::vector<int32_t> &ids, const std::vector<Clip> &clips) const {
  if (ids.empty())
    throw PromptError("the prompt is empty");
  const auto places = static_cast<size_t>(std::count(ids.begin(), ids.end(), -1));
  if (places != clips.size())
    throw PromptError("the sequence has " + std::to_string(places) + " places for clips, but " +
                      std::to_string(clips.size()) + " clips were given");
  for (const Clip &clip : clips)
    if (static_cast<int64_t>(clip.embeddings.size()) != clips_.embeddings() * clips_.width())
      throw PromptError("a clip's embeddings have the wrong size for this model");
  for (const int32_t id : ids)
    if (id < -1 || id >= model_.llama().vocabulary)
      throw PromptError("token id " + std::to_string(id) + " is outside of the vocabulary");
  const auto positions =
      static_cast<int64_t>(ids.size() + places * static_cast<size_t>(clips_.embeddings() - 1));
  if (positions > model_.llama().context)
    throw PromptError("the prompt has " + std::to_string(positions) +
                      " positions, the model's context holds " + std::to_string(model_.llama().context) +
                      ": shorten it");
  if (positions > cells_.capacity())
    throw PromptError("the prompt has " + std::to_string(positions) + " positions, the KV cache holds " +
                      std::to_string(cells_.capacity()) + ": give it more memory");
}

std::vector<Label> Engine::labels(const std::vector<int32_t> &ids, const std::vector<Clip> &clips) {
  check(ids, clips);
  std::vector<Label> labels;
  auto clip = clips.begin();
  for (const int32_t id : ids) {
    if (id >= 0) {
      labels.push_back(id);
      continue;
    }
    const Label first = clips_.hold(*clip++);
    for (int64_t i = 0; i < clips_.embeddings(); ++i)
      labels.push_back(first - i);
  }
  return labels;
}

void Engine::forget_clips(const std::vector<std::string> &hashes) {
  for (const std::string &hash : hashes)
    clips_.release(hash);
}

int64_t Engine::add(Query query) {
  check_sampling(query.sampling);
  if (query.is_given())
    query.repeats = static_cast<int64_t>(query.continuations.size());
  if (query.repeats < 1 || query.max_new_tokens < 1)
    throw PromptError("a query wants at least one repeat (or continuation) and one new token");
  for (const std::vector<int32_t> &given : query.continuations)
    for (const int32_t id : given)
      if (id < 0 || id >= model_.llama().vocabulary)
        throw PromptError("token id " + std::to_string(id) +
                          " of a continuation is outside of the vocabulary");
  if (query.reading && static_cast<int64_t>(token_bytes_.size()) < model_.llama().vocabulary)
    throw Error("a reading needs the bytes of every token");

  auto live = std::make_unique<LiveQuery>();
  live->labels = labels(query.ids, query.clips);
  live->id = next_query_++;
  std::vector<uint64_t> words{query.seed};
  size_t next = 0;
  for (const int32_t id : query.ids) {
    words.push_back(static_cast<uint64_t>(static_cast<int64_t>(id)));
    if (id >= 0) {
      remember(live->history, id);
      continue;
    }
    const std::string &hash = query.clips[next++].hash;
    live->clip_hashes.push_back(hash);
    for (size_t i = 0; i < hash.size(); i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, hash.data() + i, std::min(sizeof word, hash.size() - i));
      words.push_back(word);
    }
  }
  live->stream = RandomStream(stream_key(words));

  const auto positions = static_cast<int64_t>(live->labels.size());
  for (const std::vector<int32_t> &given : query.continuations)
    query.max_new_tokens = std::max(query.max_new_tokens, static_cast<int64_t>(given.size()));
  // The last token takes no position.
  query.max_new_tokens = std::min(query.max_new_tokens, model_.llama().context - positions + 1);
  const int64_t longest = positions + query.max_new_tokens - 1;
  const bool too_long = std::any_of(query.continuations.begin(), query.continuations.end(),
                                    [&](const auto &given) { return ssize(given) > query.max_new_tokens; });
  const bool walks = query.mode == Query::Mode::exact; // as far as the cache goes
  if (too_long || (!walks && longest > cells_.capacity())) {
    forget_clips(live->clip_hashes);
    if (too_long)
      throw PromptError("the prompt and a continuation have more positions than the model's context");
    throw PromptError("the prompt and an answer of " + std::to_string(query.max_new_tokens) +
                      " tokens have " + std::to_string(longest) + " positions, the KV cache holds " +
                      std::to_string(cells_.capacity()) + ": give it more memory or ask for fewer tokens");
  }
  query.clips.clear();
  if (walks) {
    query.node_budget = std::min(query.node_budget, cells_.capacity() - positions);
    live->walk.emplace(new_walk(query));
  } else {
    for (int64_t repeat = 0; repeat < query.repeats; ++repeat)
      live->answers.push_back({.repeat = repeat, .history = live->history});
  }
  live->query = std::move(query);
  waiting_.push_back(std::move(live));
  return waiting_.back()->id;
}

Walk Engine::new_walk(const Query &query) const {
  return {query.reading.get(), token_bytes_, static_cast<int32_t>(model_.llama().eos),
          Walk::Limits{query.epsilon, query.node_budget, query.max_new_tokens}};
}

void Engine::append(LlamaBatch &batch, Label label, int32_t depth, const int32_t *path) const {
  const auto width = static_cast<size_t>(model_.llama().width);
  batch.embeddings.resize(batch.embeddings.size() + width);
  float *out = batch.embeddings.data() + batch.embeddings.size() - width;
  if (label >= 0)
    model_.token_embedding(static_cast<int32_t>(label), out);
  else
    std::copy_n(clips_.embedding(label), width, out);
  batch.depths.push_back(depth);
  batch.paths.push_back(path);
}

std::vector<Event> Engine::step() {
  const Stopwatch watch;
  std::vector<Event> events;
  admit();
  if (live_.empty())
    return events;
  Step step;
  try { // what fails may leave positions half computed: nothing may build on them
    plan(step);
    const std::span<const float> logits = llama_forward(model_, device_, cells_, step.batch);
    sample(step, logits, events);
  } catch (...) {
    clear();
    throw;
  }
  for (Node *node : step.drafts)
    tree_.release(node);
  remove_finished();
  ++counters_.steps;
  counters_.prompt_positions += step.prompt_positions;
  counters_.answer_positions += step.answer_positions;
  counters_.draft_positions += step.draft_positions;
  (step.prompt_positions ? counters_.prompt_seconds : counters_.answer_seconds) += watch.seconds();
  return events;
}

// Draws for every answer that waits, and again for those whose token was guessed: its row is there already.
void Engine::sample(Step &step, std::span<const float> logits, std::vector<Event> &events) {
  const auto vocabulary = static_cast<size_t>(model_.llama().vocabulary);
  std::vector<Step::Draw> draws = std::move(step.draws);
  while (!draws.empty()) {
    parallel_for(draws.size(), device_.threads(), [&](size_t i) {
      Step::Draw &draw = draws[i];
      const auto row =
          logits.subspan(vocabulary * static_cast<size_t>(step.logits.at(draw.node)), vocabulary);
      draw.candidates = draw.query->query.tempered
                            ? distribution(row, draw.history, draw.query->query.sampling)
                            : softmax(row);
    });
    std::vector<Step::Draw> next;
    std::map<std::pair<LiveQuery *, Node *>, size_t> draw_of;
    for (const Step::Draw &draw : draws) {
      if (draw.item) {
        draw.query->walk->expand(tree_, draw.node, draw.item->state, draw.item->drawn, draw.item->mass,
                                 draw.candidates);
        tree_.release(draw.node);
      }
      for (const size_t i : draw.answers) {
        Answer &answer = draw.query->answers[i];
        advance(*draw.query, answer, draw.candidates, events);
        if (answer.finished)
          continue;
        const auto guessed = draw.node->children.find(answer.tokens.back());
        if (guessed == draw.node->children.end() || !step.logits.contains(guessed->second.get()))
          continue;
        Node *node = guessed->second.get();
        tree_.descend(answer.cursor.node, node);
        answer.cursor.path.push_back(node->cell);
        ++counters_.taken_drafts;
        const auto [place, first] = draw_of.try_emplace({draw.query, node}, next.size());
        if (first)
          next.push_back({draw.query, node, answer.history});
        next[place->second].answers.push_back(i);
      }
    }
    draws = std::move(next);
  }
  finish_walks(events);
}

void Engine::advance(LiveQuery &live, Answer &answer, const std::vector<Candidate> &candidates,
                     std::vector<Event> &events) {
  const Query &query = live.query;
  const size_t drawn = answer.tokens.size();
  if (query.is_given()) {
    const std::vector<int32_t> &given = query.continuations[static_cast<size_t>(answer.repeat)];
    if (drawn < given.size()) {
      answer.logprob += std::log(probability_of(candidates, given[drawn]));
      answer.tokens.push_back(given[drawn]);
      remember(answer.history, given[drawn]);
    }
    if (answer.tokens.size() == given.size())
      finish(live, answer, "given", events);
    return;
  }
  const Candidate &chosen =
      draw(candidates, live.stream.uniform(static_cast<uint64_t>(answer.repeat), drawn));
  answer.logprob += std::log(static_cast<double>(chosen.probability));
  if (chosen.token == model_.llama().eos)
    return finish(live, answer, "eos", events);
  answer.tokens.push_back(chosen.token);
  remember(answer.history, chosen.token);
  if (query.stream)
    events.push_back(
        {.kind = Event::Kind::token, .query = live.id, .repeat = answer.repeat, .token = chosen.token});
  if (query.reading) {
    answer.state = query.reading->run(answer.state, token_bytes_[static_cast<size_t>(chosen.token)]);
    if (query.reading->decided(answer.state) != undecided)
      return finish(live, answer, "decided", events);
  }
  if (static_cast<int64_t>(answer.tokens.size()) == query.max_new_tokens)
    finish(live, answer, "length", events);
}

void Engine::finish_walks(std::vector<Event> &events) {
  for (auto &live : live_) {
    if (!live->walking || !live->walk->finished())
      continue;
    events.push_back({.kind = Event::Kind::finished,
                      .query = live->id,
                      .repeat = 0,
                      .stop = "exact",
                      .masses = live->walk->masses(),
                      .nodes = live->walk->nodes(),
                      .answers = std::move(live->walk->answers())});
    live->walk->abandon(tree_);
    live->walk.reset();
    live->walking = false;
    keep(*live, live->prompt);
    let_go(live->prompt);
  }
}

void Engine::finish(LiveQuery &query, Answer &answer, const char *stop, std::vector<Event> &events) {
  answer.finished = true;
  if (query.unfinished() == 0 || one_at_a_time())
    keep(query, answer.cursor);
  let_go(answer.cursor);
  if (options_.draft_width != 1 && query.query.by_token())
    drafts_.learn(answer.tokens);
  events.push_back({.kind = Event::Kind::finished,
                    .query = query.id,
                    .repeat = answer.repeat,
                    .tokens = std::move(answer.tokens),
                    .logprob = answer.logprob,
                    .stop = stop});
}

void Engine::remove_finished() {
  std::erase_if(live_, [this](const std::unique_ptr<LiveQuery> &query) {
    const bool done = query->unfinished() == 0;
    if (done)
      forget_clips(query->clip_hashes);
    return done;
  });
}

std::vector<Event> Engine::cancel(int64_t id) {
  std::vector<Event> events;
  const auto cancel_in = [&](auto &queries) {
    for (auto &query : queries) {
      if (query->id != id)
        continue;
      if (query->walk) {
        begin_again(*query);
        query->walk.reset();
        events.push_back({.kind = Event::Kind::finished, .query = id, .repeat = 0, .stop = "cancelled"});
      }
      for (Answer &answer : query->answers)
        if (!answer.finished)
          finish(*query, answer, "cancelled", events);
      forget_clips(query->clip_hashes);
    }
    std::erase_if(queries, [&](const auto &query) { return query->id == id; });
  };
  cancel_in(live_);
  cancel_in(waiting_);
  return events;
}

void Engine::clear() {
  for (const auto &query : live_) {
    forget_clips(query->clip_hashes);
    for (Answer &answer : query->answers)
      if (answer.cursor.own_root)
        tree_.clear(*answer.cursor.own_root);
    if (query->prompt.own_root)
      tree_.clear(*query->prompt.own_root);
  }
  for (const auto &query : waiting_)
    forget_clips(query->clip_hashes);
  for (const Kept &kept : kept_)
    forget_clips(kept.clips);
  kept_.clear();
  live_.clear();
  waiting_.clear();
  placed_ = 0;
  tree_.clear(*tree_.root());
}

std::vector<float> Engine::logits(const std::vector<int32_t> &ids, const std::vector<Clip> &clips,
                                  bool last_only) {
  const std::vector<Label> sequence = labels(ids, clips);
  std::vector<std::string> hashes;
  for (const Clip &clip : clips)
    hashes.push_back(clip.hash);
  const auto end = static_cast<int64_t>(sequence.size());
  if (one_at_a_time() && live_.empty())
    empty_cache();
  while (cells_.available() < end && !kept_.empty())
    drop_oldest_kept();
  if (cells_.available() < end) {
    forget_clips(hashes);
    throw Error("the KV cache has no room for " + std::to_string(end) + " more positions");
  }
  std::vector<int32_t> path(sequence.size());
  for (int32_t &cell : path)
    cell = cells_.take();
  const auto give_back = [&] {
    for (const int32_t cell : path)
      cells_.give_back(cell);
    forget_clips(hashes);
  };
  std::vector<float> result;
  try {
    for (int64_t begin = 0; begin < end; begin += most_positions) {
      LlamaBatch batch;
      for (int64_t i = begin; i < std::min(end, begin + most_positions); ++i) {
        append(batch, sequence[static_cast<size_t>(i)], static_cast<int32_t>(i), path.data());
        if (!last_only || i + 1 == end)
          batch.outputs.push_back(static_cast<int32_t>(i - begin));
      }
      const bool wanted = !batch.outputs.empty();
      if (!wanted)
        batch.outputs.push_back(0);
      const std::span<const float> rows = llama_forward(model_, device_, cells_, batch);
      if (wanted)
        result.insert(result.end(), rows.begin(), rows.end());
    }
  } catch (...) {
    give_back();
    throw;
  }
  give_back();
  return result;
}

} // namespace ltu
