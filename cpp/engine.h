#pragma once
#include "audio_encoder.h"
#include "device.h"
#include "kv_cells.h"
#include "llama.h"
#include "model.h"
#include "reading.h"
#include "sampler.h"
#include "token_tree.h"
#include "walk.h"
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ltu {

struct Clip {
  std::string hash;              // of its content
  std::vector<float> embeddings; // [embeddings, width]
};

struct Query {
  enum class Mode { sample, exact, score };
  std::vector<int32_t> ids; // token ids; -1 where a whole clip stands
  std::vector<Clip> clips;  // one for each -1, in order
  Mode mode = Mode::sample;
  int64_t repeats = 1; // sample
  uint64_t seed = 0;
  Sampling sampling;
  bool tempered = true; // score: under the sampler's distribution, or under the model's own
  int64_t max_new_tokens = 400;
  bool stream = false;                        // events for every token, not only for finished answers
  std::shared_ptr<Reading> reading = nullptr; // exact: of the answers; sample: stop as soon as it has decided
  double epsilon = 1e-3;                      // exact: this much may stay undecided
  int64_t node_budget = 4096;                 // exact: so many positions may be computed
  std::vector<std::vector<int32_t>> continuations = {}; // score: one answer for each
};

struct Event {
  enum class Kind { token, finished } kind;
  int64_t query, repeat;
  int32_t token = -1;                // token
  std::vector<int32_t> tokens = {};  // finished: without EOS
  double logprob = 0;                // finished: of all drawn or given tokens, EOS included
  const char *stop = "";             // finished: "eos", "length", "decided", "given", "exact" or "cancelled"
  std::array<double, 4> masses = {}; // exact: yes, no, neither, undecided
  int64_t nodes = 0;                 // exact: positions computed
};

struct Counters {
  int64_t prompt_positions = 0, answer_positions = 0, steps = 0, clips = 0;
  double encode_seconds = 0, prompt_seconds = 0, answer_seconds = 0; // a step that does both counts as prompt
};

// Answers queries. All live queries and their repeats are one token tree; each step advances them together.
class Engine {
public:
  Engine(const std::string &path, const std::string &device, int threads, size_t kv_memory);
  ~Engine();

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
  Device &device() { return device_; }
  const KvCells &cells() const { return cells_; }
  const Counters &counters() const { return counters_; }

private:
  struct Answer;
  struct LiveQuery;
  struct StoredClip {
    int64_t number;
    std::vector<float> embeddings;
    int64_t users = 0;
  };
  struct Step; // one step's batch and who waits for which row

  Device device_;
  Model model_;
  KvCells cells_;
  TokenTree tree_;
  Counters counters_;
  std::vector<std::string> token_bytes_;
  std::map<std::string, StoredClip> clips_;
  std::map<int64_t, const StoredClip *> clip_by_number_;
  std::deque<std::unique_ptr<LiveQuery>> waiting_;
  std::vector<std::unique_ptr<LiveQuery>> live_;
  int64_t next_query_ = 0, next_clip_ = 0, reserved_cells_ = 0;

  std::vector<Label> labels(const std::vector<int32_t> &ids, const std::vector<Clip> &clips);
  void forget_clips(const std::vector<std::string> &hashes);
  void embedding(Label label, float *out) const;
  void append(LlamaBatch &batch, Label label, int32_t depth, const int32_t *path) const;
  int64_t live_answers() const;
  void admit();
  void plan_prompt(LiveQuery &query, Step &step);
  void begin_answers(LiveQuery &query, Step &step);
  void plan_answers(LiveQuery &query, Step &step, int64_t &room);
  void plan_walk(LiveQuery &query, Step &step, int64_t &room);
  void sample(Step &step, const std::vector<float> &logits, std::vector<Event> &events);
  void advance(LiveQuery &query, Answer &answer, const std::vector<Candidate> &candidates,
               std::vector<Event> &events);
  void finish_walks(std::vector<Event> &events);
  void finish(LiveQuery &query, Answer &answer, const char *stop, std::vector<Event> &events);
  void remove_finished();
  void clear();
};

} // namespace ltu
