#include "engine/scheduler.h"
#include <algorithm>
#include <utility>

namespace ltu {

namespace {

constexpr int64_t headroom = 8; // cells that a placed answer should find before another starts
constexpr int64_t most_kept_positions =
    2048; // of prompts that were answered, and at most a quarter of the cache

const std::vector<int32_t> no_tokens;

} // namespace

int64_t Scheduler::unfinished() const {
  int64_t count = 0;
  for (const auto &request : live_)
    count += request->unfinished();
  return count;
}

// Cells that the live requests will soon want.
int64_t Scheduler::claimed() const {
  int64_t claimed = headroom * placed_;
  for (const auto &request : live_)
    if (!request->walking &&
        std::any_of(request->answers.begin(), request->answers.end(),
                    [](const Answer &answer) { return !answer.finished && !answer.cursor.node; }))
      claimed += std::ssize(request->labels) + request->unfinished();
  return claimed;
}

// The oldest request of the caller with the fewest live ones.
std::deque<std::unique_ptr<Request>>::iterator
Scheduler::next_waiting(const std::map<uint64_t, int64_t> &live) {
  const auto count = [&](uint64_t caller) {
    const auto found = live.find(caller);
    return found == live.end() ? 0 : found->second;
  };
  auto best = waiting_.begin();
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it)
    if (count((*it)->caller) < count((*best)->caller))
      best = it;
  return best;
}

void Scheduler::admit(int64_t most) {
  int64_t claims = claimed(), answers = unfinished();
  std::map<uint64_t, int64_t> live; // requests of each caller
  for (const auto &request : live_)
    ++live[request->caller];
  while (!waiting_.empty()) {
    const auto next = next_waiting(live);
    const Request &request = **next;
    const auto wanted_by_request = [&] {
      return missing(request, request.prompt, no_tokens) + request.unfinished();
    };
    while (claims + wanted_by_request() > available() && !kept_.empty())
      drop_oldest_kept();
    const int64_t wanted = wanted_by_request();
    const bool fits = answers < most && claims + wanted <= available();
    // A caller without live requests takes rows and cells from callers with more than one answer.
    const bool takes_turn =
        !options_.one_at_a_time && !live.contains(request.caller) && answers > std::ssize(live);
    if (!live_.empty() && !fits && !takes_turn)
      break;
    claims += wanted;
    answers += request.unfinished();
    ++live[request.caller];
    live_.push_back(std::move(*next));
    waiting_.erase(next);
  }
  sort_live();
}

// First the oldest request of each caller, then the second of each, …
void Scheduler::sort_live() {
  std::sort(live_.begin(), live_.end(), [](const auto &a, const auto &b) { return a->id < b->id; });
  std::map<uint64_t, int64_t> seen;
  std::vector<std::pair<int64_t, std::unique_ptr<Request>>> ranked;
  for (auto &request : live_) {
    const int64_t rank = seen[request->caller]++;
    ranked.emplace_back(rank, std::move(request));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto &a, const auto &b) { return a.first < b.first; });
  for (size_t i = 0; i < live_.size(); ++i)
    live_[i] = std::move(ranked[i].second);
}

bool Scheduler::place(Request &request, size_t number, Step &step, int64_t most_prompt_positions) {
  Cursor &cursor = request.walk ? request.prompt : request.answers[number].cursor;
  const std::vector<int32_t> &tokens = request.walk ? no_tokens : request.answers[number].tokens;
  const auto prompt = static_cast<int32_t>(request.labels.size());
  const auto end = prompt + static_cast<int32_t>(tokens.size());

  const int64_t prompt_room = std::max<int64_t>(0, most_prompt_positions - step.prompt_positions);
  const int64_t others = cursor.node ? 0 : placed_;
  const int64_t wanted = std::min(missing(request, cursor, tokens), prompt_room + 1) + headroom * others;
  if (!make_room(wanted, request, number)) {
    preempt(cursor);
    return false;
  }
  if (!request.found)
    request.found = prompt - missing(request, cursor, no_tokens);
  if (!cursor.node) {
    if (!options_.shared_tree)
      cursor.own_root = std::make_unique<Node>();
    cursor.node = cursor.own_root ? cursor.own_root.get() : tree_.root();
    tree_.hold(cursor.node);
    ++placed_;
    cursor.path.clear();
    cursor.path.reserve(static_cast<size_t>(prompt + request.max_new_tokens)); // the batch points into it
  }
  while (cursor.node->length < end) {
    const int32_t at = cursor.node->length;
    const Label label =
        at < prompt ? request.labels[static_cast<size_t>(at)] : tokens[static_cast<size_t>(at - prompt)];
    const bool last = at + 1 == end, next_of_answer = last && at >= prompt;
    const bool computed = cursor.node->children.contains(label) && !last;
    if (!computed && !next_of_answer && step.prompt_positions >= most_prompt_positions)
      return false;
    // The prompt's last position has a step of its own, so that every repeat's first step has its shape.
    if (options_.one_at_a_time && at + 1 == prompt && step.batch.size() > 0)
      return false;
    Node *node = tree_.child(cursor.node, label);
    tree_.descend(cursor.node, node);
    cursor.path.push_back(node->cell);
    // A known last position is computed again, to the same bits: its logits are wanted.
    if (!computed && step.add(node, cursor.path.data()))
      ++(next_of_answer ? step.answer_positions : step.prompt_positions);
  }
  return true;
}

// Positions of prompt and tokens that are not in the tree.
int64_t Scheduler::missing(const Request &request, const Cursor &cursor, const std::vector<int32_t> &tokens) {
  const auto prompt = request.labels.size(), end = prompt + tokens.size();
  if (!cursor.node && !options_.shared_tree)
    return static_cast<int64_t>(end);
  const Node *node = cursor.node ? cursor.node : tree_.root();
  for (auto at = static_cast<size_t>(node->length); at < end; ++at) {
    const auto child = node->children.find(at < prompt ? request.labels[at] : tokens[at - prompt]);
    if (child == node->children.end())
      return static_cast<int64_t>(end - at);
    node = child->second.get();
  }
  return 0;
}

bool Scheduler::make_room(int64_t cells, const Request &request, size_t number) {
  while (available() < cells && !kept_.empty())
    drop_oldest_kept();
  for (size_t i = live_.size(); available() < cells && i-- > 0;) {
    Request &other = *live_[i];
    const bool own = &other == &request;
    if (other.under_way)
      continue;
    if (other.walk && !own)
      restart(other);
    for (size_t j = other.answers.size(); available() < cells && j-- > (own ? number + 1 : 0);)
      preempt(other.answers[j].cursor);
    if (own)
      break;
  }
  return available() >= cells;
}

bool Scheduler::make_room(int64_t cells) {
  while (available() < cells && !kept_.empty())
    drop_oldest_kept();
  for (size_t i = live_.size(); available() < cells && i-- > 0;) {
    if (live_[i]->walk)
      restart(*live_[i]);
    for (Answer &answer : live_[i]->answers)
      preempt(answer.cursor);
  }
  return available() >= cells;
}

// The tokens stay; their positions are computed again when there is room.
void Scheduler::preempt(Cursor &cursor) {
  if (!cursor.node)
    return;
  let_go(cursor);
  ++preempted_;
}

void Scheduler::let_go(Cursor &cursor) {
  if (!cursor.node)
    return;
  tree_.release(std::exchange(cursor.node, nullptr));
  --placed_;
}

void Scheduler::restart(Request &request) {
  if (request.walking) {
    request.walk->abandon(tree_);
    request.restart_walk();
  }
  preempt(request.prompt);
}

void Scheduler::keep(Request &request, const Cursor &cursor) {
  if (!cursor.node || cursor.own_root)
    return;
  Node *node = cursor.node;
  while (node->length > static_cast<int32_t>(request.labels.size()))
    node = node->parent;
  const auto same = std::find_if(kept_.begin(), kept_.end(), [&](const Kept &k) { return k.node == node; });
  if (same != kept_.end()) { // asked before: now the youngest
    std::rotate(same, same + 1, kept_.end());
    return;
  }
  tree_.hold(node);
  kept_.push_back({node, request.clips});
  int64_t positions = 0; // shared ones count once for each prompt
  for (const Kept &kept : kept_)
    positions += kept.node->length;
  while (positions > std::min(most_kept_positions, cells_.capacity() / 4) && kept_.size() > 1) {
    positions -= kept_.front().node->length;
    drop_oldest_kept();
  }
}

void Scheduler::drop_oldest_kept() {
  tree_.release(kept_.front().node);
  kept_.pop_front();
}

void Scheduler::drop_kept() {
  while (!kept_.empty())
    drop_oldest_kept();
  cells_.sort_free();
}

Request *Scheduler::find(int64_t id) {
  for (const auto &request : live_)
    if (request->id == id)
      return request.get();
  for (const auto &request : waiting_)
    if (request->id == id)
      return request.get();
  return nullptr;
}

void Scheduler::remove_finished() {
  std::erase_if(live_, [](const auto &request) { return request->unfinished() == 0; });
}

void Scheduler::remove(int64_t id) {
  const auto same = [id](const auto &request) { return request->id == id; };
  std::erase_if(live_, same);
  std::erase_if(waiting_, same);
}

void Scheduler::forget_positions() {
  const auto forget = [this](Cursor &cursor) {
    cursor.node = nullptr;
    if (cursor.own_root)
      tree_.clear(*cursor.own_root);
  };
  for (const auto &request : live_) {
    request->under_way = false;
    for (Answer &answer : request->answers)
      forget(answer.cursor);
    forget(request->prompt);
    if (request->walk)
      request->restart_walk();
  }
  kept_.clear();
  placed_ = 0;
  tree_.clear(*tree_.root());
}

std::vector<std::unique_ptr<Request>> Scheduler::take_live() {
  return std::exchange(live_, {});
}

} // namespace ltu
