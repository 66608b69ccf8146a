#pragma once
#include "answer/reading.h"
#include "answer/sampler.h"
#include "tree/token_tree.h"
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ltu {

// The exact probability of each decision, or of each whole answer: walks the tree of all tokens that the
// sampler could draw, most probable parts first (docs/token-tree.md). What is expanded depends on the
// query alone: every undecided continuation of mass τ or more, in the order in which they came up; then τ is
// halved, until less than epsilon is undecided.
class Walk {
public:
  struct Item {   // a continuation that may be expanded
    Node *parent; // the tree holds it for this item
    int32_t token;
    int32_t state; // of the reading, after the token
    int64_t drawn; // tokens, this one included
    double mass;
  };
  struct Limits {
    double epsilon;
    int64_t nodes;      // at most so many are computed
    int64_t new_tokens; // in an answer
  };

  using WholeAnswer =
      std::pair<std::vector<int32_t>, double>; // tokens without the one that ends it, and probability

  // Without a reading only the end of an answer decides, and whole answers are kept.
  Walk(Reading *reading, const std::vector<std::string> &token_bytes, std::vector<int32_t> ends,
       Limits limits)
      : reading_(reading), token_bytes_(&token_bytes), ends_(std::move(ends)), limits_(limits),
        decided_(reading ? static_cast<size_t>(reading->decisions()) : 0) {}

  // The next items to compute, at most `room`; their mass is no longer undecided once `expand` was told of
  // them.
  std::vector<Item> take(int64_t room);
  int64_t ready() const; // so many could be taken
  // What can follow a computed node. Continuations that stay undecided hold it.
  void expand(TokenTree &tree, Node *node, int32_t state, int64_t drawn, double mass,
              const std::vector<Candidate> &candidates);
  bool finished(); // call when nothing that was taken is on its way
  void abandon(TokenTree &tree);

  std::vector<double> masses() const; // of each decision of the reading, then undecided
  int64_t nodes() const { return nodes_; }
  std::vector<WholeAnswer> &answers() { return answers_; }

private:
  Reading *reading_;
  const std::vector<std::string> *token_bytes_;
  std::vector<int32_t> ends_; // tokens that end an answer
  Limits limits_;
  double threshold_ = 0.5;
  std::vector<Item> undecided_;
  std::vector<double> decided_; // mass of each decision
  std::vector<WholeAnswer> answers_;
  int64_t nodes_ = 0;

  double undecided_mass() const;
};

} // namespace ltu
