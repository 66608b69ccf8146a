#pragma once
#include "engine/request.h"
#include "engine/step.h"
#include "tree/cells.h"
#include "tree/token_tree.h"
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

namespace ltu {

// Who waits, who is live, and who holds cells of the KV cache. When cells are short, a live request takes
// them from those behind it alone: nothing of a step that is being planned or under way is taken away, and
// the first always goes on.
class Scheduler {
public:
  struct Options {
    bool shared_tree = true;    // false: every answer computes its own prompt, for comparison
    bool one_at_a_time = false; // each answer alone, in steps whose shapes follow from its request
  };
  Scheduler(Cells &cells, Options options) : options_(options), cells_(cells), tree_(cells) {}

  const Options &options() const { return options_; }
  TokenTree &tree() { return tree_; }
  int64_t available() const { return cells_.available(); }
  int64_t preempted() const { return preempted_; } // cursors that lost their cells for a time
  bool idle() const { return live_.empty() && waiting_.empty(); }

  void add(std::unique_ptr<Request> request) { waiting_.push_back(std::move(request)); }
  // Live requests, in order of precedence: callers take turns, and each one's requests go by age.
  const std::vector<std::unique_ptr<Request>> &live() const { return live_; }
  Request *find(int64_t id); // live or waiting
  // A request starts when its prompt and one cell per answer fit beside what the live ones will soon want,
  // and at once when its caller has nothing live and others have more than they need. `most`: answers that
  // are live together.
  void admit(int64_t most);

  // Takes an answer (or the prompt of a walk) along its prompt and its tokens as far as the step has room.
  // True: its last position has a row in this step. An answer for which there are no cells gives up its own.
  bool place(Request &request, size_t answer, Step &step, int64_t most_prompt_positions);
  // Makes so many cells free, if need be of what stands behind an answer of a request: the last goes first.
  bool make_room(int64_t cells, const Request &request, size_t answer);
  bool make_room(int64_t cells); // of anything
  void restart(Request &request);
  void let_go(Cursor &cursor);
  // Keeps what a request's prompt left in the tree, as far as a cursor has come: the next one may begin
  // alike.
  void keep(Request &request, const Cursor &cursor);
  void drop_kept(); // all of it; and the lowest cells are taken next

  void remove_finished();
  void remove(int64_t id);
  // After a step that failed nothing may build on what it left half computed: every position goes, the
  // requests stay and are computed again.
  void forget_positions();
  std::vector<std::unique_ptr<Request>> take_live(); // after forget_positions

private:
  struct Kept { // a prompt that was answered
    Node *node; // the tree holds it
    std::vector<ClipStore::Hold> clips;
  };
  Options options_;
  Cells &cells_;
  TokenTree tree_;
  std::deque<std::unique_ptr<Request>> waiting_; // by age
  std::vector<std::unique_ptr<Request>> live_;
  std::deque<Kept> kept_; // the one that was asked longest ago first
  int64_t placed_ = 0;    // cursors that hold cells
  int64_t preempted_ = 0;

  int64_t missing(const Request &request, const Cursor &cursor, const std::vector<int32_t> &tokens);
  int64_t unfinished() const;
  int64_t claimed() const;
  std::deque<std::unique_ptr<Request>>::iterator next_waiting(const std::map<uint64_t, int64_t> &live);
  void sort_live();
  void preempt(Cursor &cursor);
  void drop_oldest_kept();
};

} // namespace ltu
