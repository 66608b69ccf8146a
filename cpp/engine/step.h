#pragma once
#include "answer/sampler.h"
#include "answer/walk.h"
#include "compute/language_model.h"
#include "engine/request.h"
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace ltu {

// Answers of one request that draw from the same row of logits, or a walk that goes on from it.
struct Draw {
  Request *request;
  Node *node;
  std::vector<int32_t> history; // distinct ids that the repetition penalty sees
  std::vector<size_t> answers = {};
  std::optional<Walk::Item> item = std::nullopt;
  std::vector<Candidate> candidates = {}; // once the row is there
  std::span<const float> logits = {};     // its row, where the CPU draws from it
  std::optional<RawLogprobs> raw = std::nullopt;
  std::string failure = {};
};

// The batch of one step, and who waits for which row.
struct Step {
  LlamaBatch batch;
  std::unordered_map<Node *, int32_t> rows;   // of the batch
  std::unordered_map<Node *, int32_t> logits; // rows of the logits
  std::vector<Draw> draws;
  std::vector<Node *> drafts;             // the tree holds them until the step is over
  std::deque<std::vector<int32_t>> paths; // of rows that no cursor's path covers
  int64_t prompt_positions = 0, answer_positions = 0, draft_positions = 0;
  bool drawn = false;  // the draws have their candidates
  bool behind = false; // another step has begun since: other rows than those of the draws are gone

  // Gives a node a row, unless it has one; `path` holds its cells from the root. True: the row is new.
  bool add(Node *node, const int32_t *path) {
    if (!rows.try_emplace(node, static_cast<int32_t>(batch.size())).second)
      return false;
    batch.labels.push_back(node->label);
    batch.depths.push_back(node->length - 1);
    batch.paths.push_back(path);
    return true;
  }
};

} // namespace ltu
