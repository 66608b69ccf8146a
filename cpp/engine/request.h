#pragma once
#include "answer/walk.h"
#include "engine/query.h"
#include "file/model.h"
#include "tree/token_tree.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ltu {

// How far an answer or a walk is in the tree.
struct Cursor {
  Node *node = nullptr;           // the tree holds it for this cursor; null: nothing is held
  std::vector<int32_t> path;      // cells of the positions up to `node`
  std::unique_ptr<Node> own_root; // without a shared tree: where its own path begins
};

struct Answer {
  int64_t repeat = 0;
  std::vector<int32_t> history; // distinct ids that the repetition penalty sees
  Cursor cursor = {};
  std::vector<int32_t> tokens = {}; // drawn or given
  std::vector<Logprobs> logprobs = {};
  int32_t state = 0; // of the reading
  double logprob = 0;
  bool finished = false;
};

// A query that was accepted, and what its answers have come to.
class Request {
public:
  // Throws PromptError when the query can't be answered with this model and so many cells.
  Request(int64_t id, Query query, const LlamaConfig &llama, const std::vector<std::string> &token_bytes,
          ClipStore &clips, int64_t cells);

  int64_t id;
  uint64_t caller;
  std::vector<int32_t> ids; // as they were asked
  std::variant<Sample, Exact, Score> mode;
  int64_t max_new_tokens;
  std::vector<Label> labels; // one for each position of the prompt
  std::vector<ClipStore::Hold> clips;
  std::vector<int32_t> history; // distinct ids of the prompt
  RandomStream stream{0};
  std::vector<Answer> answers;
  bool under_way = false; // it has draws in a step that nobody has read yet: until then it stays as it is
  std::optional<int64_t> found; // positions of the prompt that were in the tree when it was first placed

  std::optional<Walk> walk; // of an exact request, until it is finished
  bool walking = false;     // its prompt is computed
  Cursor prompt;            // of its walk, until then

  const Sample *sample() const { return std::get_if<Sample>(&mode); }
  const Score *score() const { return std::get_if<Score>(&mode); }
  // Whether it advances a token at a time, so that drafts help.
  bool by_token() const { return sample() || (score() && score()->by_token); }
  const Sampling *sampling() const; // null: the model's own distribution
  int64_t unfinished() const;
  bool streaming() const; // somebody waits for its next token
  void restart_walk();    // what the tree held for it must be given back before

private:
  std::vector<int32_t> ends_; // tokens that end an answer
  const std::vector<std::string> *token_bytes_;
};

} // namespace ltu
