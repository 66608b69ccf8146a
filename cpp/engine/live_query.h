#pragma once
#include "answer/walk.h"
#include "compute/llama.h"
#include "engine/query.h"
#include "tree/token_tree.h"
#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace ltu {

// How far an answer or a walk is in the tree.
struct Cursor {
  Node *node = nullptr;           // the tree holds it for this cursor; null: nothing is held
  std::vector<int32_t> path;      // cells of the positions up to `node`
  std::unique_ptr<Node> own_root; // without a tree: where its own path begins
};

struct Answer {
  int64_t repeat = 0;
  std::vector<int32_t> history; // distinct ids that the repetition penalty sees
  Cursor cursor = {};
  std::vector<int32_t> tokens = {}; // drawn or given
  int32_t state = 0;                // of the reading
  double logprob = 0;
  bool finished = false;
};

struct LiveQuery {
  int64_t id = 0;
  Query query; // as it was asked, without what the next three hold
  std::vector<Label> labels;
  std::vector<std::string> clip_hashes;
  std::vector<int32_t> history;
  RandomStream stream{0};
  std::vector<Answer> answers;
  std::optional<Walk> walk; // mode exact, until it is finished
  bool walking = false;     // the prompt is computed
  Cursor prompt;            // of the walk, until then

  int64_t unfinished() const {
    return walk ? 1
                : std::count_if(answers.begin(), answers.end(), [](const Answer &a) { return !a.finished; });
  }
};

// One step's batch, and who waits for which row.
struct Step {
  struct Draw { // answers of one query that draw from the same row, or a walk that goes on from it
    LiveQuery *query;
    Node *node;
    std::vector<int32_t> history; // distinct ids that the repetition penalty sees
    std::vector<size_t> answers = {};
    std::optional<Walk::Item> item = std::nullopt;
    std::vector<Candidate> candidates = {};
  };
  LlamaBatch batch;
  std::unordered_map<Node *, int32_t> rows;   // of the batch
  std::unordered_map<Node *, int32_t> logits; // rows of the logits
  std::vector<Draw> draws;
  std::vector<Node *> drafts;             // the tree holds them until the step is over
  std::deque<std::vector<int32_t>> paths; // of rows that no cursor's path covers
  int64_t prompt_positions = 0, answer_positions = 0, draft_positions = 0;
};

} // namespace ltu
