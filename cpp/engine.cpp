#include "engine.h"
#include "error.h"
#include "parallel.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <utility>

namespace ltu {

namespace {

constexpr int64_t most_prompt_positions = 256; // of one step: bounds its time and memory
constexpr int64_t most_answers = 128;          // that advance in one step; the rest wait for their turn

class Stopwatch {
public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void remember(std::vector<int32_t> &history, int32_t token) { // each id once
  if (std::find(history.begin(), history.end(), token) == history.end())
    history.push_back(token);
}

void check(const Sampling &s) {
  if (!(s.temperature > 0) && !s.greedy)
    throw Error("the sampling temperature must be above 0 (use greedy for the limit)");
  if (!(s.top_p > 0) || !(s.repetition_penalty > 0) || s.top_k < 0)
    throw Error("sampling wants top_p and repetition_penalty above 0 and top_k of at least 0");
}

} // namespace

struct Engine::Answer {
  int64_t repeat;
  Node *node;                   // the last computed position
  std::vector<int32_t> path;    // cells of `node`, and of the position after it while it is computed
  std::vector<int32_t> history; // distinct ids that the repetition penalty sees
  std::vector<int32_t> tokens;  // drawn or given; the last one is not in the tree yet
  int32_t state = 0;            // of the reading
  double logprob = 0;
  bool finished = false;
};

struct Engine::LiveQuery {
  int64_t id;
  Query query; // as it was asked, without what the next four hold
  std::vector<Label> labels;
  std::vector<std::string> clip_hashes;
  std::vector<int32_t> history;
  RandomStream stream{0};
  int64_t window;         // so many of its answers are in the tree at once
  int64_t reserved_cells; // what they take at most
  std::optional<Walk> walk;
  Node *prompt = nullptr; // how far the prompt is in the tree; null once the answers have begun
  std::vector<int32_t> path;
  std::vector<Answer> answers;
};

struct Engine::Step {
  struct Draw { // what waits for one row: answers that draw from it, or a walk that goes on from it
    LiveQuery *query;
    Node *node;
    int32_t row;
    std::vector<int32_t> history; // distinct ids that the repetition penalty sees
    std::vector<size_t> answers = {};
    std::optional<Walk::Item> item = std::nullopt;
    std::vector<Candidate> candidates = {};
  };
  LlamaBatch batch;
  std::unordered_map<Node *, int32_t> rows;
  std::vector<Draw> draws;
  std::deque<std::vector<int32_t>> walk_paths;
  int64_t prompt_positions = 0;
};

Engine::Engine(const std::string &path, const std::string &device, int threads, size_t kv_memory)
    : device_(device, threads), model_(path, device_), cells_(model_, device_, kv_memory), tree_(cells_) {}

Engine::~Engine() = default;

AudioEmbeddings Engine::encode(const float *features, int64_t clips) {
  const Stopwatch watch;
  AudioEmbeddings result = audio_encode(model_, device_, features, clips);
  counters_.clips += clips;
  counters_.encode_seconds += watch.seconds();
  return result;
}

std::vector<Label> Engine::labels(const std::vector<int32_t> &ids, const std::vector<Clip> &clips) {
  const int64_t embeddings = model_.audio().embeddings;
  if (ids.empty())
    throw PromptError("the prompt is empty");
  if (static_cast<size_t>(std::count(ids.begin(), ids.end(), -1)) != clips.size())
    throw PromptError("the sequence has " + std::to_string(std::count(ids.begin(), ids.end(), -1)) +
                      " places for clips, but " + std::to_string(clips.size()) + " clips were given");
  for (const Clip &clip : clips)
    if (static_cast<int64_t>(clip.embeddings.size()) != embeddings * model_.llama().width)
      throw PromptError("a clip's embeddings have the wrong size for this model");
  for (const int32_t id : ids)
    if (id < -1 || id >= model_.llama().vocabulary)
      throw PromptError("token id " + std::to_string(id) + " is outside of the vocabulary");
  const int64_t positions =
      static_cast<int64_t>(ids.size()) + static_cast<int64_t>(clips.size()) * (embeddings - 1);
  if (positions > model_.llama().context)
    throw PromptError("the prompt has " + std::to_string(positions) +
                      " positions, the model's context holds " + std::to_string(model_.llama().context) +
                      ": shorten it");
  if (positions > cells_.capacity())
    throw PromptError("the prompt has " + std::to_string(positions) + " positions, the KV cache holds " +
                      std::to_string(cells_.capacity()) + ": give it more memory");
  std::vector<Label> labels;
  size_t next = 0;
  for (const int32_t id : ids) {
    if (id >= 0) {
      labels.push_back(id);
      continue;
    }
    const Clip &clip = clips[next++];
    auto [place, fresh] = clips_.try_emplace(clip.hash);
    StoredClip &stored = place->second;
    if (fresh) {
      stored.number = next_clip_++;
      stored.embeddings = clip.embeddings;
      clip_by_number_[stored.number] = &stored;
    }
    ++stored.users;
    for (int64_t i = 0; i < embeddings; ++i)
      labels.push_back(audio_label(stored.number, i, embeddings));
  }
  return labels;
}

void Engine::forget_clips(const std::vector<std::string> &hashes) {
  for (const std::string &hash : hashes) {
    const auto place = clips_.find(hash);
    if (--place->second.users == 0) {
      clip_by_number_.erase(place->second.number);
      clips_.erase(place);
    }
  }
}

int64_t Engine::add(Query query) {
  check(query.sampling);
  if (query.mode == Query::Mode::score)
    query.repeats = static_cast<int64_t>(query.continuations.size());
  if (query.repeats < 1 || query.max_new_tokens < 1)
    throw PromptError("a query wants at least one repeat (or continuation) and one new token");
  for (const std::vector<int32_t> &given : query.continuations)
    for (const int32_t id : given)
      if (id < 0 || id >= model_.llama().vocabulary)
        throw PromptError("token id " + std::to_string(id) +
                          " of a continuation is outside of the vocabulary");
  if (query.mode == Query::Mode::exact && !query.reading)
    throw Error("exact answers need a reading");
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
  const int64_t room = std::min(model_.llama().context, cells_.capacity()) - positions;
  for (const std::vector<int32_t> &given : query.continuations)
    query.max_new_tokens = std::max(query.max_new_tokens, static_cast<int64_t>(given.size()));
  query.max_new_tokens = std::min(query.max_new_tokens, room + 1); // the last token takes no cell
  for (const std::vector<int32_t> &given : query.continuations)
    if (static_cast<int64_t>(given.size()) > query.max_new_tokens) {
      forget_clips(live->clip_hashes);
      throw PromptError(
          "the prompt and a continuation have more positions than the model's context or the KV cache");
    }
  const int64_t answer_cells = std::max<int64_t>(1, query.max_new_tokens - 1);
  live->window = std::clamp<int64_t>((cells_.capacity() - positions) / answer_cells, 1,
                                     std::min(query.repeats, most_answers));
  live->reserved_cells = positions + live->window * (query.max_new_tokens - 1);
  if (query.mode == Query::Mode::exact) {
    query.node_budget = std::min(query.node_budget, cells_.capacity() - positions);
    live->reserved_cells = positions + query.node_budget;
    live->walk.emplace(*query.reading, token_bytes_, static_cast<int32_t>(model_.llama().eos),
                       Walk::Limits{query.epsilon, query.node_budget, query.max_new_tokens});
  }
  query.clips.clear();
  live->query = std::move(query);
  const int64_t id = live->id;
  waiting_.push_back(std::move(live));
  return id;
}

int64_t Engine::live_answers() const {
  int64_t count = 0;
  for (const auto &query : live_)
    count += query->prompt || query->walk
                 ? query->query.repeats
                 : std::count_if(query->answers.begin(), query->answers.end(),
                                 [](const Answer &answer) { return !answer.finished; });
  return count;
}

bool Engine::wants_queries() const {
  int64_t asked = live_answers();
  for (const auto &query : waiting_)
    asked += query->query.repeats;
  return asked < most_answers;
}

void Engine::admit() {
  while (!waiting_.empty()) {
    LiveQuery &query = *waiting_.front();
    const bool fits =
        reserved_cells_ + query.reserved_cells <= cells_.capacity() && live_answers() < most_answers;
    if (!fits && !live_.empty())
      return;
    reserved_cells_ += query.reserved_cells;
    query.prompt = tree_.root();
    tree_.hold(query.prompt);
    live_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void Engine::embedding(Label label, float *out) const {
  if (label >= 0)
    return model_.token_embedding(static_cast<int32_t>(label), out);
  const int64_t position = -1 - label, embeddings = model_.audio().embeddings, width = model_.llama().width;
  const StoredClip &clip = *clip_by_number_.at(position / embeddings);
  std::copy_n(clip.embeddings.data() + position % embeddings * width, width, out);
}

void Engine::append(LlamaBatch &batch, Label label, int32_t depth, const int32_t *path) const {
  const auto width = static_cast<size_t>(model_.llama().width);
  batch.embeddings.resize(batch.embeddings.size() + width);
  embedding(label, batch.embeddings.data() + batch.embeddings.size() - width);
  batch.depths.push_back(depth);
  batch.paths.push_back(path);
}

void Engine::plan_prompt(LiveQuery &query, Step &step) {
  query.path.reserve(query.labels.size()); // the batch points into it
  const auto end = static_cast<int32_t>(query.labels.size());
  while (query.prompt->length < end) {
    const Label label = query.labels[static_cast<size_t>(query.prompt->length)];
    const bool known = query.prompt->children.contains(label); // computed, or in this step
    const bool last = query.prompt->length + 1 == end;
    if ((!known || last) && step.prompt_positions >= most_prompt_positions)
      return;
    Node *node = tree_.child(query.prompt, label);
    tree_.descend(query.prompt, node);
    query.path.push_back(node->cell);
    // A known last position is computed again, to the same bits: its logits are wanted.
    if ((!known || last) && !step.rows.contains(node)) {
      step.rows[node] = static_cast<int32_t>(step.batch.size());
      append(step.batch, label, node->length - 1, query.path.data());
      ++step.prompt_positions;
    }
  }
  begin_answers(query, step);
}

void Engine::begin_answers(LiveQuery &query, Step &step) {
  Step::Draw draw{&query, query.prompt, step.rows.at(query.prompt), query.history};
  if (query.walk) {
    draw.item = {.parent = query.prompt->parent, .token = -1, .state = 0, .drawn = 0, .mass = 1.0};
    tree_.hold(query.prompt);
  } else {
    for (int64_t repeat = 0; repeat < query.query.repeats; ++repeat) {
      tree_.hold(query.prompt);
      query.answers.push_back({.repeat = repeat,
                               .node = query.prompt,
                               .path = query.path,
                               .history = query.history,
                               .tokens = {}});
      draw.answers.push_back(static_cast<size_t>(repeat));
    }
  }
  tree_.release(query.prompt);
  query.prompt = nullptr;
  step.draws.push_back(std::move(draw));
}

void Engine::plan_answers(LiveQuery &query, Step &step, int64_t &room) {
  std::unordered_map<Node *, size_t> draw_of;
  int64_t advancing = 0; // the first unfinished ones
  for (size_t i = 0; i < query.answers.size() && advancing < std::min(room, query.window); ++i) {
    Answer &answer = query.answers[i];
    if (answer.finished)
      continue;
    ++advancing;
    Node *node = tree_.child(answer.node, answer.tokens.back());
    tree_.descend(answer.node, node);
    answer.path.push_back(node->cell);
    const auto [row, fresh] = step.rows.try_emplace(node, static_cast<int32_t>(step.batch.size()));
    if (fresh)
      append(step.batch, node->label, node->length - 1, answer.path.data());
    // Answers at one node have the same tokens behind them, so the same history and distribution.
    const auto [draw, first] = draw_of.try_emplace(node, step.draws.size());
    if (first)
      step.draws.push_back({&query, node, row->second, answer.history});
    step.draws[draw->second].answers.push_back(i);
  }
  room -= advancing;
}

void Engine::plan_walk(LiveQuery &query, Step &step, int64_t &room) {
  for (const Walk::Item &item : query.walk->take(room)) {
    --room;
    Node *node = tree_.child(item.parent, item.token);
    tree_.hold(node);
    tree_.release(item.parent);
    const auto [row, fresh] = step.rows.try_emplace(node, static_cast<int32_t>(step.batch.size()));
    if (fresh) {
      step.walk_paths.push_back(TokenTree::path(node));
      append(step.batch, node->label, node->length - 1, step.walk_paths.back().data());
    }
    std::vector<int32_t> history = query.history;
    for (const Node *n = node; n->length > static_cast<int32_t>(query.labels.size()); n = n->parent)
      remember(history, static_cast<int32_t>(n->label));
    step.draws.push_back({&query, node, row->second, std::move(history), {}, item});
  }
}

std::vector<Event> Engine::step() {
  const Stopwatch watch;
  admit();
  Step step;
  std::vector<Event> events;
  if (live_.empty())
    return events;
  int64_t room = most_answers;
  for (auto &query : live_)
    if (!query->prompt && query->walk)
      plan_walk(*query, step, room);
    else if (!query->prompt)
      plan_answers(*query, step, room);
  const int64_t answer_positions = step.batch.size();
  for (auto &query : live_)
    if (query->prompt)
      plan_prompt(*query, step);

  // Logits come for ascending rows; draws are renumbered from rows to logits.
  std::vector<int32_t> &outputs = step.batch.outputs;
  for (const Step::Draw &draw : step.draws)
    outputs.push_back(draw.row);
  std::sort(outputs.begin(), outputs.end());
  outputs.erase(std::unique(outputs.begin(), outputs.end()), outputs.end());
  for (Step::Draw &draw : step.draws)
    draw.row =
        static_cast<int32_t>(std::lower_bound(outputs.begin(), outputs.end(), draw.row) - outputs.begin());
  if (outputs.empty()) // in the middle of a long prompt
    outputs.push_back(static_cast<int32_t>(step.batch.size() - 1));

  std::vector<float> logits;
  try {
    logits = llama_forward(model_, device_, cells_, step.batch);
    sample(step, logits, events);
  } catch (...) { // positions of this step may be half computed: nothing may build on them
    clear();
    throw;
  }
  remove_finished();
  ++counters_.steps;
  counters_.prompt_positions += step.prompt_positions;
  counters_.answer_positions += answer_positions;
  (step.prompt_positions ? counters_.prompt_seconds : counters_.answer_seconds) += watch.seconds();
  return events;
}

void Engine::sample(Step &step, const std::vector<float> &logits, std::vector<Event> &events) {
  const auto vocabulary = static_cast<size_t>(model_.llama().vocabulary);
  const auto row = [&](const Step::Draw &draw) {
    return std::span(logits).subspan(vocabulary * static_cast<size_t>(draw.row), vocabulary);
  };
  parallel_for(step.draws.size(), device_.threads(), [&](size_t i) {
    Step::Draw &draw = step.draws[i];
    draw.candidates = draw.query->query.tempered
                          ? distribution(row(draw), draw.history, draw.query->query.sampling)
                          : softmax(row(draw));
  });
  for (const Step::Draw &draw : step.draws) {
    for (const size_t i : draw.answers)
      advance(*draw.query, draw.query->answers[i], draw.candidates, events);
    if (draw.item) {
      draw.query->walk->expand(tree_, draw.node, draw.item->state, draw.item->drawn, draw.item->mass,
                               draw.candidates);
      tree_.release(draw.node);
    }
  }
  finish_walks(events);
}

void Engine::advance(LiveQuery &live, Answer &answer, const std::vector<Candidate> &candidates,
                     std::vector<Event> &events) {
  const Query &query = live.query;
  const size_t drawn = answer.tokens.size();
  if (query.mode == Query::Mode::score) {
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
    if (!live->walk || live->prompt || !live->walk->finished())
      continue;
    events.push_back({.kind = Event::Kind::finished,
                      .query = live->id,
                      .repeat = 0,
                      .stop = "exact",
                      .masses = live->walk->masses(),
                      .nodes = live->walk->nodes()});
    live->walk->abandon(tree_);
    live->walk.reset();
  }
}

void Engine::finish(LiveQuery &query, Answer &answer, const char *stop, std::vector<Event> &events) {
  answer.finished = true;
  tree_.release(answer.node);
  events.push_back({.kind = Event::Kind::finished,
                    .query = query.id,
                    .repeat = answer.repeat,
                    .tokens = std::move(answer.tokens),
                    .logprob = answer.logprob,
                    .stop = stop});
}

void Engine::remove_finished() {
  std::erase_if(live_, [this](const std::unique_ptr<LiveQuery> &query) {
    const bool done = !query->prompt && !query->walk &&
                      std::all_of(query->answers.begin(), query->answers.end(),
                                  [](const Answer &answer) { return answer.finished; });
    if (done) {
      reserved_cells_ -= query->reserved_cells;
      forget_clips(query->clip_hashes);
    }
    return done;
  });
}

std::vector<Event> Engine::cancel(int64_t id) {
  std::vector<Event> events;
  const auto cancelled = [&](int64_t repeat) {
    events.push_back({.kind = Event::Kind::finished, .query = id, .repeat = repeat, .stop = "cancelled"});
  };
  for (auto &query : live_) {
    if (query->id != id)
      continue;
    if (query->prompt || query->walk)
      for (int64_t repeat = 0; repeat < query->query.repeats; ++repeat)
        cancelled(repeat);
    if (query->prompt)
      tree_.release(std::exchange(query->prompt, nullptr));
    if (query->walk) {
      query->walk->abandon(tree_);
      query->walk.reset();
    }
    for (Answer &answer : query->answers)
      if (!answer.finished)
        finish(*query, answer, "cancelled", events);
  }
  remove_finished();
  std::erase_if(waiting_, [&](const std::unique_ptr<LiveQuery> &query) {
    if (query->id != id)
      return false;
    for (int64_t repeat = 0; repeat < query->query.repeats; ++repeat)
      cancelled(repeat);
    forget_clips(query->clip_hashes);
    return true;
  });
  return events;
}

void Engine::clear() {
  for (const auto &query : live_)
    forget_clips(query->clip_hashes);
  for (const auto &query : waiting_)
    forget_clips(query->clip_hashes);
  live_.clear();
  waiting_.clear();
  reserved_cells_ = 0;
  tree_.clear();
}

std::vector<float> Engine::logits(const std::vector<int32_t> &ids, const std::vector<Clip> &clips,
                                  bool last_only) {
  const std::vector<Label> sequence = labels(ids, clips);
  std::vector<std::string> hashes;
  for (const Clip &clip : clips)
    hashes.push_back(clip.hash);
  const auto end = static_cast<int64_t>(sequence.size());
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
    for (int64_t begin = 0; begin < end; begin += most_prompt_positions) {
      LlamaBatch batch;
      for (int64_t i = begin; i < std::min(end, begin + most_prompt_positions); ++i) {
        append(batch, sequence[static_cast<size_t>(i)], static_cast<int32_t>(i), path.data());
        if (!last_only || i + 1 == end)
          batch.outputs.push_back(static_cast<int32_t>(i - begin));
      }
      const bool wanted = !batch.outputs.empty();
      if (!wanted)
        batch.outputs.push_back(0);
      const std::vector<float> rows = llama_forward(model_, device_, cells_, batch);
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
