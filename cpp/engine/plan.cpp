// What one step computes: the next position of every live answer, prompts, and guesses where there is room.
#include "engine/engine.h"
#include "support/stopwatch.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace ltu {

namespace {

constexpr int64_t most_prompt_positions = 256; // of one step: bounds its time and memory
constexpr int64_t most_answers = 128;          // that advance in one step; the rest wait for their turn
constexpr size_t most_kept = 8;                // prompts that were answered
constexpr int64_t headroom = 8;                // cells that a placed answer should find before another starts
constexpr size_t longest_draft = 16;
constexpr size_t most_measured_rows = 16;
constexpr int64_t steps_before_measuring = 16;
constexpr double draft_share = 0.8; // of the guesses that are drawn, for the choice of a step's width

const std::vector<int32_t> no_tokens;

} // namespace

int64_t Engine::unfinished() const {
  int64_t count = 0;
  for (const auto &query : live_)
    count += query->unfinished();
  return count;
}

int64_t Engine::most_together() const {
  return one_at_a_time() ? 1 : most_answers;
}

bool Engine::wants_queries() const {
  int64_t asked = unfinished();
  for (const auto &query : waiting_)
    asked += query->unfinished();
  return asked < most_together();
}

// What is computed next finds its cells in the order of its positions, whatever was there before.
void Engine::empty_cache() {
  while (!kept_.empty())
    drop_oldest_kept();
  cells_.sort_free();
}

// A query starts when its prompt and one cell per answer fit beside what the live ones will soon want.
void Engine::admit() {
  if (one_at_a_time() && live_.empty())
    empty_cache();
  int64_t claimed = headroom * placed_;
  for (const auto &query : live_)
    if (!query->walking &&
        std::any_of(query->answers.begin(), query->answers.end(),
                    [](const Answer &answer) { return !answer.finished && !answer.cursor.node; }))
      claimed += static_cast<int64_t>(query->labels.size()) + query->unfinished();
  while (!waiting_.empty()) {
    const LiveQuery &query = *waiting_.front();
    const auto wanted_by_query = [&] { return missing(query, query.prompt, no_tokens) + query.unfinished(); };
    while (claimed + wanted_by_query() > cells_.available() && !kept_.empty())
      drop_oldest_kept();
    const int64_t wanted = wanted_by_query();
    if (!live_.empty() && (unfinished() >= most_together() || claimed + wanted > cells_.available()))
      return;
    claimed += wanted;
    live_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

// Oldest first: an answer takes cells from younger ones alone, so nothing of this step's batch is taken away,
// and the oldest always goes on.
void Engine::plan(Step &step) {
  int64_t room = most_together();
  for (auto &query : live_)
    if (query->walk)
      plan_walk(*query, step, room);
    else
      plan_answers(*query, step, room);
  plan_drafts(step);

  std::vector<int32_t> &outputs = step.batch.outputs; // ascending
  for (const Step::Draw &draw : step.draws)
    outputs.push_back(step.rows.at(draw.node));
  for (Node *node : step.drafts)
    outputs.push_back(step.rows.at(node));
  std::sort(outputs.begin(), outputs.end());
  outputs.erase(std::unique(outputs.begin(), outputs.end()), outputs.end());
  for (const auto &[node, row] : step.rows) {
    const auto place = std::lower_bound(outputs.begin(), outputs.end(), row);
    if (place != outputs.end() && *place == row)
      step.logits[node] = static_cast<int32_t>(place - outputs.begin());
  }
  if (outputs.empty()) // in the middle of a long prompt
    outputs.push_back(static_cast<int32_t>(step.batch.size() - 1));
}

void Engine::plan_answers(LiveQuery &query, Step &step, int64_t &room) {
  std::unordered_map<Node *, size_t> draw_of;
  for (size_t i = 0; i < query.answers.size() && room > 0; ++i) {
    const Answer &answer = query.answers[i];
    if (answer.finished)
      continue;
    --room;
    if (!place(query, i, step))
      continue;
    // Answers at one node have the same tokens behind them, so the same history and distribution.
    const auto [draw, first] = draw_of.try_emplace(answer.cursor.node, step.draws.size());
    if (first)
      step.draws.push_back({&query, answer.cursor.node, answer.history});
    step.draws[draw->second].answers.push_back(i);
  }
}

void Engine::plan_walk(LiveQuery &query, Step &step, int64_t &room) {
  if (!query.walking) {
    if (!place(query, 0, step))
      return;
    Node *node = query.prompt.node;
    tree_.hold(node); // for the draw
    query.walking = true;
    const Walk::Item item{.parent = node->parent, .token = -1, .state = 0, .drawn = 0, .mass = 1.0};
    step.draws.push_back({&query, node, query.history, {}, item});
    return;
  }
  make_room(std::min(room, query.walk->ready()), query, 0);
  if (cells_.available() == 0)
    return begin_again(query);
  for (const Walk::Item &item : query.walk->take(std::min(room, cells_.available()))) {
    --room;
    Node *node = tree_.child(item.parent, item.token);
    tree_.hold(node);
    tree_.release(item.parent);
    const auto [row, fresh] = step.rows.try_emplace(node, static_cast<int32_t>(step.batch.size()));
    if (fresh) {
      step.paths.push_back(TokenTree::path(node));
      append(step.batch, node->label, node->length - 1, step.paths.back().data());
      ++step.answer_positions;
    }
    std::vector<int32_t> history = query.history;
    for (const Node *n = node; n->length > static_cast<int32_t>(query.labels.size()); n = n->parent)
      remember(history, static_cast<int32_t>(n->label));
    step.draws.push_back({&query, node, std::move(history), {}, item});
  }
}

// Takes an answer (or the prompt of a walk) along its prompt and its tokens as far as the step has room.
// True: its last position has a row in this step. An answer for which there are no cells gives up those it
// has.
bool Engine::place(LiveQuery &query, size_t number, Step &step) {
  Cursor &cursor = query.walk ? query.prompt : query.answers[number].cursor;
  const std::vector<int32_t> &tokens = query.walk ? no_tokens : query.answers[number].tokens;
  const auto prompt = static_cast<int32_t>(query.labels.size());
  const auto end = prompt + static_cast<int32_t>(tokens.size());

  const int64_t prompt_room = most_prompt_positions - step.prompt_positions;
  const int64_t others = cursor.node ? 0 : placed_;
  const int64_t wanted = std::min(missing(query, cursor, tokens), prompt_room + 1) + headroom * others;
  if (!make_room(wanted, query, number)) {
    give_up(cursor);
    return false;
  }
  if (!cursor.node) {
    if (!options_.tree)
      cursor.own_root = std::make_unique<Node>();
    cursor.node = cursor.own_root ? cursor.own_root.get() : tree_.root();
    tree_.hold(cursor.node);
    ++placed_;
    cursor.path.clear();
    cursor.path.reserve(static_cast<size_t>(prompt + query.query.max_new_tokens)); // the batch points into it
  }
  while (cursor.node->length < end) {
    const int32_t at = cursor.node->length;
    const Label label =
        at < prompt ? query.labels[static_cast<size_t>(at)] : tokens[static_cast<size_t>(at - prompt)];
    const bool last = at + 1 == end, next_of_answer = last && at >= prompt;
    const bool computed = cursor.node->children.contains(label) && !last;
    if (!computed && !next_of_answer && step.prompt_positions >= most_prompt_positions)
      return false;
    if (one_at_a_time() && at + 1 == prompt && step.batch.size() > 0) // a step of its own: the other repeats'
      return false;                                                   // first step is like it
    Node *node = tree_.child(cursor.node, label);
    tree_.descend(cursor.node, node);
    cursor.path.push_back(node->cell);
    // A known last position is computed again, to the same bits: its logits are wanted.
    if (!computed && step.rows.try_emplace(node, static_cast<int32_t>(step.batch.size())).second) {
      append(step.batch, label, at, cursor.path.data());
      ++(next_of_answer ? step.answer_positions : step.prompt_positions);
    }
  }
  return true;
}

// Positions of prompt and tokens that are not in the tree.
int64_t Engine::missing(const LiveQuery &query, const Cursor &cursor, const std::vector<int32_t> &tokens) {
  const auto prompt = query.labels.size(), end = prompt + tokens.size();
  if (!cursor.node && !options_.tree)
    return static_cast<int64_t>(end);
  const Node *node = cursor.node ? cursor.node : tree_.root();
  for (auto at = static_cast<size_t>(node->length); at < end; ++at) {
    const auto child = node->children.find(at < prompt ? query.labels[at] : tokens[at - prompt]);
    if (child == node->children.end())
      return static_cast<int64_t>(end - at);
    node = child->second.get();
  }
  return 0;
}

// Makes so many cells free, if need be of what is younger than an answer of a query: the youngest goes first.
bool Engine::make_room(int64_t cells, const LiveQuery &query, size_t number) {
  while (cells_.available() < cells && !kept_.empty())
    drop_oldest_kept();
  for (size_t i = live_.size(); cells_.available() < cells && i-- > 0;) {
    LiveQuery &younger = *live_[i];
    const bool own = &younger == &query;
    if (younger.walk && !own)
      begin_again(younger);
    for (size_t j = younger.answers.size(); cells_.available() < cells && j-- > (own ? number + 1 : 0);)
      give_up(younger.answers[j].cursor);
    if (own)
      break;
  }
  return cells_.available() >= cells;
}

// The tokens stay; their positions are computed again when there is room.
void Engine::give_up(Cursor &cursor) {
  if (!cursor.node)
    return;
  let_go(cursor);
  ++counters_.given_up;
}

void Engine::let_go(Cursor &cursor) {
  if (!cursor.node)
    return;
  tree_.release(std::exchange(cursor.node, nullptr));
  --placed_;
}

void Engine::begin_again(LiveQuery &query) {
  if (query.walking) {
    query.walk->abandon(tree_);
    query.walk.emplace(new_walk(query.query));
    query.walking = false;
  }
  give_up(query.prompt);
}

// Keeps what a query's prompt left in the tree, as far as its last cursor has come.
void Engine::keep(LiveQuery &query, const Cursor &cursor) {
  if (!cursor.node || cursor.own_root)
    return;
  Node *node = cursor.node;
  while (node->length > static_cast<int32_t>(query.labels.size()))
    node = node->parent;
  const auto same = std::find_if(kept_.begin(), kept_.end(), [&](const Kept &k) { return k.node == node; });
  if (same != kept_.end()) { // asked before: now the youngest
    std::rotate(same, same + 1, kept_.end());
    return;
  }
  tree_.hold(node);
  kept_.push_back({node, std::exchange(query.clip_hashes, {})});
  if (kept_.size() > most_kept)
    drop_oldest_kept();
}

void Engine::drop_oldest_kept() {
  tree_.release(kept_.front().node);
  forget_clips(kept_.front().clips);
  kept_.pop_front();
}

// Continuations that are given follow at once; what is then free up to the knee goes to guesses.
void Engine::plan_drafts(Step &step) {
  int64_t given = most_prompt_positions - step.prompt_positions, sampled = 0;
  for (const Step::Draw &draw : step.draws) {
    const bool by_token = draw.query->query.by_token();
    sampled += by_token;
    for (const size_t i : draw.answers)
      if (!by_token) {
        const Answer &answer = draw.query->answers[i];
        const std::vector<int32_t> &ids = draw.query->query.continuations[static_cast<size_t>(answer.repeat)];
        const auto next = ids.begin() + static_cast<ptrdiff_t>(answer.tokens.size());
        if (next != ids.end())
          grow(step, draw, {next, ids.end() - 1}, given);
      }
  }
  const int64_t widest =
      options_.draft_width ? options_.draft_width : static_cast<int64_t>(most_measured_rows);
  if (!sampled || step.batch.size() >= widest)
    return;
  const int64_t share = (knee() - step.batch.size()) / sampled;
  for (size_t i = 0; i < step.draws.size() && share > 0; ++i) {
    const Step::Draw &draw = step.draws[i];
    const Query &query = draw.query->query;
    if (!query.by_token())
      continue;
    const std::vector<int32_t> &tokens = draw.query->answers[draw.answers.front()].tokens;
    const auto left = static_cast<size_t>(query.max_new_tokens - 1) - tokens.size();
    int64_t room = share;
    grow(step, draw,
         drafts_.guess(query.ids, tokens, std::min({longest_draft, left, static_cast<size_t>(share)})), room);
  }
}

// Adds positions below a draw's node, each with a row whose logits are wanted.
void Engine::grow(Step &step, const Step::Draw &draw, const std::vector<int32_t> &tokens, int64_t &room) {
  std::vector<int32_t> &path = step.paths.emplace_back(draw.query->answers[draw.answers.front()].cursor.path);
  path.reserve(path.size() + tokens.size());
  Node *node = draw.node;
  for (const int32_t token : tokens) {
    const bool known = node->children.contains(token);
    if (room == 0 || (!known && cells_.available() == 0))
      return;
    node = tree_.child(node, token);
    tree_.hold(node);
    step.drafts.push_back(node);
    path.push_back(node->cell);
    if (step.rows.try_emplace(node, static_cast<int32_t>(step.batch.size())).second) {
      append(step.batch, token, node->length - 1, path.data());
      ++step.draft_positions;
      --room;
    }
  }
}

// The number of rows at which a step yields most tokens a second when guesses fill it, measured once.
int64_t Engine::knee() {
  if (options_.draft_width)
    return options_.draft_width;
  if (knee_)
    return *knee_;
  if (++narrow_steps_ < steps_before_measuring) // it takes longer than short work would gain
    return 1;
  knee_ = 1;
  std::vector<int32_t> cells;
  while (cells.size() < most_measured_rows && cells_.available() > 0)
    cells.push_back(cells_.take());
  double best = 0;
  for (const size_t rows :
       {size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{6}, size_t{8}, size_t{12}, most_measured_rows}) {
    if (rows > cells.size())
      break;
    LlamaBatch batch;
    for (size_t i = 0; i < rows; ++i) {
      append(batch, 0, 0, &cells[i]);
      batch.outputs.push_back(static_cast<int32_t>(i));
    }
    double seconds = std::numeric_limits<double>::infinity();
    for (int run = 0; run < 2; ++run) {
      const Stopwatch watch;
      llama_forward(model_, device_, cells_, batch);
      seconds = std::min(seconds, watch.seconds());
    }
    const double tokens = (1 - std::pow(draft_share, rows)) / (1 - draft_share);
    if (tokens / seconds > best) {
      best = tokens / seconds;
      knee_ = static_cast<int64_t>(rows);
    }
  }
  for (const int32_t cell : cells)
    cells_.give_back(cell);
  return *knee_;
}

} // namespace ltu
