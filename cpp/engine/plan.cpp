#include "engine/plan.h"
#include <algorithm>
#include <map>
#include <utility>

namespace ltu {

namespace {

constexpr size_t longest_draft = 16;
constexpr int64_t walk_share = 4; // beside answers, exact walks take at most one row in so many

class Planner {
public:
  Planner(Scheduler &scheduler, StepWidth &width)
      : scheduler_(scheduler), tree_(scheduler.tree()), width_(width),
        most_answers_(scheduler.options().one_at_a_time ? 1 : width.answers()) {
    bool streaming = false, sampled = false;
    for (const auto &request : scheduler.live()) {
      streaming = streaming || request->streaming();
      sampled = sampled || !request->walk;
      beside_another_ = beside_another_ || request->under_way;
    }
    most_prompt_positions_ = width.prompt_positions(streaming && !scheduler.options().one_at_a_time);
    walk_room_ = sampled ? std::max<int64_t>(1, most_answers_ / walk_share) : most_answers_;
  }

  // In order of precedence: what is planned later takes no cells from what is planned already.
  Step plan(const Drafts &drafts, const std::function<double(int64_t rows)> &seconds) {
    std::map<uint64_t, int64_t> rooms = shares();
    for (const auto &request : scheduler_.live()) {
      if (request->under_way)
        continue;
      int64_t &room = rooms.at(request->caller);
      if (request->walk)
        plan_walk(*request, room);
      else
        plan_answers(*request, room);
    }
    plan_continuations();
    plan_drafts(drafts, seconds);
    choose_outputs();
    return std::move(step_);
  }

private:
  Scheduler &scheduler_;
  TokenTree &tree_;
  StepWidth &width_;
  Step step_;
  int64_t most_answers_, most_prompt_positions_, walk_room_;
  bool beside_another_ = false; // step that is under way

  // Rows for each caller: all that it wants, or as many as the others get. With more callers than rows, those
  // that come first have one each.
  std::map<uint64_t, int64_t> shares() const {
    std::map<uint64_t, int64_t> rooms;
    std::vector<std::pair<uint64_t, int64_t>> wanted; // by precedence
    for (const auto &request : scheduler_.live()) {
      if (request->under_way)
        continue;
      const int64_t rows = request->walk ? walk_room_ : request->unfinished();
      if (rooms.try_emplace(request->caller, 0).second)
        wanted.emplace_back(request->caller, 0);
      const auto same = [&](const auto &entry) { return entry.first == request->caller; };
      std::find_if(wanted.begin(), wanted.end(), same)->second += rows;
    }
    const auto fewer = [](const auto &a, const auto &b) { return a.second < b.second; };
    if (std::ssize(wanted) < most_answers_)
      std::stable_sort(wanted.begin(), wanted.end(), fewer);
    int64_t room = most_answers_, left = std::ssize(wanted);
    for (const auto &[caller, rows] : wanted) {
      rooms[caller] = std::min(rows, std::max<int64_t>(room > 0, room / left--));
      room -= rooms[caller];
    }
    return rooms;
  }

  int64_t rows_left() const { return width_.rows() - step_.batch.size(); }
  bool rows_are_left() const { return step_.answer_positions < width_.answer_rows() && rows_left() > 0; }
  bool place(Request &request, size_t answer) {
    return scheduler_.place(request, answer, step_,
                            std::min(most_prompt_positions_, step_.prompt_positions + rows_left()));
  }

  void plan_answers(Request &request, int64_t &room) {
    std::unordered_map<Node *, size_t> draw_of;
    for (size_t i = 0; i < request.answers.size() && room > 0 && rows_are_left(); ++i) {
      const Answer &answer = request.answers[i];
      if (answer.finished)
        continue;
      --room;
      if (!place(request, i))
        continue;
      // Answers at one node have the same tokens behind them, so the same history and distribution.
      const auto [draw, first] = draw_of.try_emplace(answer.cursor.node, step_.draws.size());
      if (first)
        step_.draws.push_back({&request, answer.cursor.node, answer.history});
      step_.draws[draw->second].answers.push_back(i);
    }
  }

  void plan_walk(Request &request, int64_t &caller_room) {
    int64_t room = std::min({caller_room, walk_room_, std::max<int64_t>(0, rows_left())});
    if (!request.walking) {
      if (room == 0 || !place(request, 0))
        return;
      Node *node = request.prompt.node;
      tree_.hold(node); // for the draw
      request.walking = true;
      const Walk::Item item{.parent = node->parent, .token = -1, .state = 0, .drawn = 0, .mass = 1.0};
      step_.draws.push_back({&request, node, request.history, {}, item});
      return;
    }
    scheduler_.make_room(std::min(room, request.walk->ready()), request, 0);
    if (scheduler_.available() == 0 && room > 0)
      return scheduler_.restart(request);
    for (const Walk::Item &item : request.walk->take(std::min(room, scheduler_.available()))) {
      --caller_room;
      --walk_room_;
      Node *node = tree_.child(item.parent, item.token);
      tree_.hold(node);
      tree_.release(item.parent);
      step_.paths.push_back(TokenTree::path(node));
      if (step_.add(node, step_.paths.back().data()))
        ++step_.answer_positions;
      std::vector<int32_t> history = request.history;
      for (const Node *n = node; n->length > static_cast<int32_t>(request.labels.size()); n = n->parent)
        remember(history, static_cast<int32_t>(n->label));
      step_.draws.push_back({&request, node, std::move(history), {}, item});
    }
  }

  // Continuations that are given follow at once, as far as the step has room.
  void plan_continuations() {
    int64_t room = std::min(most_prompt_positions_ - step_.prompt_positions, rows_left());
    for (size_t d = 0; d < step_.draws.size(); ++d) {
      const Draw &draw = step_.draws[d];
      const Score *score = draw.request->score();
      if (!score || score->by_token)
        continue;
      for (const size_t i : draw.answers) {
        const Answer &answer = draw.request->answers[i];
        const std::vector<int32_t> &given = score->continuations[static_cast<size_t>(answer.repeat)];
        const auto next = given.begin() + std::ssize(answer.tokens);
        if (next != given.end())
          grow(draw, {next, given.end() - 1}, room);
      }
    }
  }

  // Drafts fill what is then free of a narrow step; how many, is measured on a device that does nothing else.
  void plan_drafts(const Drafts &drafts, const std::function<double(int64_t rows)> &seconds) {
    const auto by_token = [](const Draw &draw) { return draw.request->by_token(); };
    const auto sampled = std::count_if(step_.draws.begin(), step_.draws.end(), by_token);
    if (!sampled || beside_another_ || step_.batch.size() >= width_.widest_draft_step())
      return;
    const int64_t share = (width_.draft_rows(seconds) - step_.batch.size()) / sampled;
    for (size_t d = 0; d < step_.draws.size() && share > 0; ++d) {
      const Draw &draw = step_.draws[d];
      if (!by_token(draw))
        continue;
      const std::vector<int32_t> &tokens = draw.request->answers[draw.answers.front()].tokens;
      const size_t left = static_cast<size_t>(draw.request->max_new_tokens - 1) - tokens.size();
      const size_t most = std::min({longest_draft, left, static_cast<size_t>(share)});
      int64_t room = share;
      grow(draw, drafts.propose(draw.request->ids, tokens, most), room);
    }
  }

  // Adds positions below a draw's node, each with a row whose logits are wanted.
  void grow(const Draw &draw, const std::vector<int32_t> &tokens, int64_t &room) {
    std::vector<int32_t> &path =
        step_.paths.emplace_back(draw.request->answers[draw.answers.front()].cursor.path);
    path.reserve(path.size() + tokens.size());
    Node *node = draw.node;
    for (const int32_t token : tokens) {
      const bool known = node->children.contains(token);
      if (room <= 0 || (!known && scheduler_.available() == 0))
        return;
      node = tree_.child(node, token);
      tree_.hold(node);
      step_.drafts.push_back(node);
      path.push_back(node->cell);
      if (step_.add(node, path.data())) {
        ++step_.draft_positions;
        --room;
      }
    }
  }

  void choose_outputs() {
    std::vector<int32_t> &outputs = step_.batch.outputs; // ascending
    for (const Draw &draw : step_.draws)
      outputs.push_back(step_.rows.at(draw.node));
    for (Node *node : step_.drafts)
      outputs.push_back(step_.rows.at(node));
    std::sort(outputs.begin(), outputs.end());
    outputs.erase(std::unique(outputs.begin(), outputs.end()), outputs.end());
    for (const auto &[node, row] : step_.rows) {
      const auto place = std::lower_bound(outputs.begin(), outputs.end(), row);
      if (place != outputs.end() && *place == row)
        step_.logits[node] = static_cast<int32_t>(place - outputs.begin());
    }
    if (outputs.empty() && step_.batch.size() > 0) // in the middle of a long prompt
      outputs.push_back(static_cast<int32_t>(step_.batch.size() - 1));
  }
};

} // namespace

Step plan(Scheduler &scheduler, StepWidth &width, const Drafts &drafts,
          const std::function<double(int64_t rows)> &seconds) {
  return Planner(scheduler, width).plan(drafts, seconds);
}

} // namespace ltu
