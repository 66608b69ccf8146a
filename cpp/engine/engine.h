#pragma once
#include "compute/audio_encoder.h"
#include "compute/language_model.h"
#include "device/device.h"
#include "engine/drafts.h"
#include "engine/query.h"
#include "engine/scheduler.h"
#include "engine/step.h"
#include "engine/step_width.h"
#include "file/model.h"
#include "tree/clip_store.h"
#include "tree/kv_cells.h"
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ltu {

struct Counters { // positions computed, by why
  int64_t prompt_positions = 0, answer_positions = 0, draft_positions = 0, steps = 0, clips = 0;
  int64_t taken_drafts = 0;                                          // drafts that were drawn
  double encode_seconds = 0, prompt_seconds = 0, answer_seconds = 0; // a step that does both counts as prompt
};

struct EngineOptions {
  std::string device = "auto";
  int threads = 0;              // 0: one for each core (device/cores.h)
  size_t kv_memory = 0;         // bytes; 0: a quarter of the machine's memory
  bool tree = true;             // false: every answer computes its own prompt, for comparison
  int draft_width = 0;          // rows up to which drafts fill a step; 0: measured; 1: no drafts
  bool batch_invariant = false; // where rows depend on company: each answer alone, in steps of its own shapes
  int64_t step_answers = 0;     // that advance in one step; 0: what suits the device
  int64_t step_prompt_positions = 0; // of one step; 0: what suits the device
  int steps_under_way = 0; // 2: the next wide step begins while the host reads one; 0: what suits the device
};

// Answers queries. All live requests and their repeats are one token tree; each step advances them together.
// One thread owns an engine; `interrupt` alone may be called from another one.
class Engine {
public:
  Engine(const std::string &path, const EngineOptions &options);

  AudioEmbeddings encode(const float *features, int64_t clips); // [clips, frames, mels]
  int64_t add(Query query); // returns its id; throws PromptError when it can't be answered
  // The bytes of each token, for queries with a reading.
  void set_token_bytes(std::vector<std::string> bytes) { token_bytes_ = std::move(bytes); }
  bool idle() const { return scheduler_.idle() && early_.empty(); }
  // What happened. A step that was interrupted makes no event and loses nothing but time; one that fails
  // makes a `failed` event for every request that was live.
  std::vector<Event> step();
  std::vector<Event> cancel(int64_t id, std::optional<int64_t> repeat = std::nullopt);
  // Logits at every position of one sequence or at its last: [positions, vocabulary] or [1, vocabulary].
  std::vector<float> logits(const std::vector<int32_t> &ids, const std::vector<Clip> &clips, bool last_only);
  // Stops what is computed now: `step` returns early, `encode` and `logits` throw Interrupted.
  void interrupt() { device_.interrupt(); }

  const Model &model() const { return model_; }
  const Device &device() const { return device_; }
  size_t weight_bytes() const { return model_.bytes() + encoder_->bytes() + language_->bytes(); }
  const KvCells &kv() const { return kv_; }
  const Counters &counters() const { return counters_; }
  int64_t preempted() const { return scheduler_.preempted(); }
  // Answers that are live together.
  int64_t step_answers() const { return one_at_a_time() ? 1 : steps_under_way_ * width_.answers(); }
  // Whether an answer is the same whatever was asked beside it.
  bool batch_invariant() const { return options_.batch_invariant || (rows_invariant() && clips_invariant()); }
  // Whether each answer is computed alone for it.
  bool one_at_a_time() const { return scheduler_.options().one_at_a_time; }
  // Clips that should be encoded together: on the CPU they gain nothing by it.
  int64_t clips_at_once() const {
    const bool alone = device_.own_kernels() || (options_.batch_invariant && !clips_invariant());
    return alone ? 1 : AudioEncoder::clips_at_once;
  }

private:
  EngineOptions options_;
  Device device_;
  Model model_;
  std::unique_ptr<AudioEncoder> encoder_;
  std::unique_ptr<LanguageModel> language_;
  KvCells kv_;
  ClipStore clips_; // before what holds clips
  Scheduler scheduler_;
  StepWidth width_;
  Drafts drafts_;
  Counters counters_;
  std::vector<std::string> token_bytes_;
  int64_t next_id_ = 0;
  int steps_under_way_;           // at most
  std::optional<Step> under_way_; // a step whose rows nobody has read yet
  std::vector<Event> early_;      // what happened between two calls of `step`

  bool rows_invariant() const { return device_.own_kernels() || language_->batch_invariant(); }
  bool clips_invariant() const { return device_.own_kernels() || encoder_->batch_invariant(); }
  void forward(const LlamaBatch &batch) { language_->forward(clips_, kv_, batch); }
  double seconds_of_step(int64_t rows);
  void compute(std::vector<Event> &events, const std::function<void()> &work);
  void begin(Step &step);
  bool may_stay_under_way(const Step &step) const;
  void leave_under_way(Step step);
  void finish_step_under_way(std::vector<Event> &events);
  void settle();
  void finish(Step &step, std::vector<Event> &events);
  void sample(Step &step, std::vector<Event> &events);
  void request_distributions(std::vector<Draw> &draws, const Step &step);
  void distribute(std::vector<Draw> &draws, const Step &step);
  void advance(Request &request, Answer &answer, const Draw &draw, std::vector<Event> &events);
  void advance_given(Request &request, Answer &answer, const Draw &draw, std::vector<Event> &events);
  void follow_drafts(Step &step, const Draw &draw, size_t answer, std::vector<Draw> &next);
  void finish(Request &request, Answer &answer, const char *stop, std::vector<Event> &events);
  void finish_walks(std::vector<Event> &events);
  void fail(Request &request, const std::string &why, std::vector<Event> &events);
  void release(Request &request);
};

} // namespace ltu
