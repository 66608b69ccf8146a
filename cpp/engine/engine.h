#pragma once
#include "compute/audio_encoder.h"
#include "compute/llama.h"
#include "device/device.h"
#include "engine/drafts.h"
#include "engine/live_query.h"
#include "engine/query.h"
#include "file/model.h"
#include "tree/clip_store.h"
#include "tree/kv_cells.h"
#include "tree/token_tree.h"
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ltu {

struct Counters { // positions computed, by why
  int64_t prompt_positions = 0, answer_positions = 0, draft_positions = 0, steps = 0, clips = 0;
  int64_t taken_drafts = 0, given_up = 0; // guesses that were drawn; answers that lost their cells for a time
  double encode_seconds = 0, prompt_seconds = 0, answer_seconds = 0; // a step that does both counts as prompt
};

struct EngineOptions {
  std::string device = "auto";
  int threads = 0;              // 0: physical cores
  size_t kv_memory = 0;         // bytes; 0: a quarter of the machine's memory
  bool tree = true;             // false: every answer computes its own prompt, for comparison
  int draft_width = 0;          // rows up to which guesses fill a step; 0: measured; 1: no guesses
  bool batch_invariant = false; // on devices: each answer alone, in steps whose shapes follow from its query
};

// Answers queries. All live queries and their repeats are one token tree; each step advances them together.
class Engine {
public:
  Engine(const std::string &path, const EngineOptions &options);

  AudioEmbeddings encode(const float *features, int64_t clips);
  int64_t add(Query query); // returns its id; throws PromptError when it can't be answered
  // The bytes of each token, for queries with a reading.
  void set_token_bytes(std::vector<std::string> bytes) { token_bytes_ = std::move(bytes); }
  bool wants_queries() const;
  bool idle() const { return live_.empty() && waiting_.empty(); }
  std::vector<Event> step();
  std::vector<Event> cancel(int64_t id);
  // Logits at every position of one sequence or at its last: [positions, vocabulary] or [1, vocabulary].
  std::vector<float> logits(const std::vector<int32_t> &ids, const std::vector<Clip> &clips, bool last_only);

  const Model &model() const { return model_; }
  void forget_key(const std::string &key) { model_.forget_key(key); }
  Device &device() { return device_; }
  const KvCells &cells() const { return cells_; }
  const Counters &counters() const { return counters_; }
  // Whether an answer is the same whatever was asked beside it.
  bool batch_invariant() const { return device_.own_kernels() || options_.batch_invariant; }

private:
  EngineOptions options_;
  Device device_;
  Model model_;
  KvCells cells_;
  TokenTree tree_;
  ClipStore clips_;
  Drafts drafts_;
  std::optional<int64_t> knee_;
  int64_t narrow_steps_ = 0; // that guesses could have filled
  Counters counters_;
  std::vector<std::string> token_bytes_;
  std::deque<std::unique_ptr<LiveQuery>> waiting_;
  std::vector<std::unique_ptr<LiveQuery>> live_; // oldest first
  int64_t next_query_ = 0;
  int64_t placed_ = 0; // answers and walks that hold cells
  struct Kept {        // a prompt that was answered: the next one may begin like it
    Node *node;        // the tree holds it
    std::vector<std::string> clips;
  };
  std::deque<Kept> kept_; // oldest first; they go when cells are short

  void check(const std::vector<int32_t> &ids, const std::vector<Clip> &clips) const;
  std::vector<Label> labels(const std::vector<int32_t> &ids, const std::vector<Clip> &clips);
  void forget_clips(const std::vector<std::string> &hashes);
  Walk new_walk(const Query &query) const;
  void append(LlamaBatch &batch, Label label, int32_t depth, const int32_t *path) const;
  int64_t unfinished() const;
  bool one_at_a_time() const { return !device_.own_kernels() && options_.batch_invariant; }
  int64_t most_together() const;
  void empty_cache();

  // plan.cpp: what a step computes
  void admit();
  void plan(Step &step);
  void plan_answers(LiveQuery &query, Step &step, int64_t &room);
  void plan_walk(LiveQuery &query, Step &step, int64_t &room);
  void plan_drafts(Step &step);
  void grow(Step &step, const Step::Draw &draw, const std::vector<int32_t> &tokens, int64_t &room);
  bool place(LiveQuery &query, size_t number, Step &step);
  int64_t missing(const LiveQuery &query, const Cursor &cursor, const std::vector<int32_t> &tokens);
  bool make_room(int64_t cells, const LiveQuery &query, size_t number);
  void give_up(Cursor &cursor);
  void let_go(Cursor &cursor);
  void begin_again(LiveQuery &query);
  void keep(LiveQuery &query, const Cursor &cursor);
  void drop_oldest_kept();
  int64_t knee();

  void sample(Step &step, std::span<const float> logits, std::vector<Event> &events);
  void advance(LiveQuery &query, Answer &answer, const std::vector<Candidate> &candidates,
               std::vector<Event> &events);
  void finish_walks(std::vector<Event> &events);
  void finish(LiveQuery &query, Answer &answer, const char *stop, std::vector<Event> &events);
  void remove_finished();
  void clear();
};

} // namespace ltu
