#pragma once
#include "tree/cells.h"
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace ltu {

// What stands at a position: a token id, or one of a clip's embeddings as a negative number.
using Label = int64_t;

struct Node {
  Node *parent = nullptr; // null for the root
  Label label = 0;
  int32_t cell = -1;
  int32_t length = 0; // positions from the root to this one, itself included
  int32_t users = 0;  // answers and prompts that end or go on here
  std::map<Label, std::unique_ptr<Node>> children;
};

// The prefix tree of every position that the live queries need. A node is computed once, whoever shares it;
// it and its cell are gone as soon as nobody uses it or anything below it.
class TokenTree {
public:
  explicit TokenTree(Cells &cells) : cells_(cells) {}

  Node *root() { return &root_; }
  // The child with this label; a new one takes a cell (the caller has checked that one is there).
  Node *child(Node *parent, Label label);
  void hold(Node *node) { ++node->users; }
  void release(Node *node);
  // Moves a user from a node to its child.
  void descend(Node *&node, Node *child);
  void clear(Node &root);                             // every node below it, whoever uses it
  static std::vector<int32_t> path(const Node *node); // cells, root first

private:
  Cells &cells_;
  Node root_;
};

} // namespace ltu
