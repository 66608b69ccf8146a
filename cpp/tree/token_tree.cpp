#include "tree/token_tree.h"

namespace ltu {

Node *TokenTree::child(Node *parent, Label label) {
  std::unique_ptr<Node> &slot = parent->children[label];
  if (!slot) {
    slot = std::make_unique<Node>();
    slot->parent = parent;
    slot->label = label;
    slot->cell = cells_.take();
    slot->length = parent->length + 1;
  }
  return slot.get();
}

void TokenTree::release(Node *node) {
  --node->users;
  while (node->parent && node->users == 0 && node->children.empty()) {
    Node *parent = node->parent;
    cells_.give_back(node->cell);
    parent->children.erase(node->label);
    node = parent;
  }
}

void TokenTree::descend(Node *&node, Node *child) {
  hold(child);
  --node->users; // stays: it has a child
  node = child;
}

void TokenTree::clear(Node &root) {
  std::vector<std::map<Label, std::unique_ptr<Node>>> levels;
  levels.push_back(std::move(root.children));
  while (!levels.empty()) { // a loop, because a path may be longer than the stack is deep
    const auto children = std::move(levels.back());
    levels.pop_back();
    for (const auto &[label, node] : children) {
      cells_.give_back(node->cell);
      levels.push_back(std::move(node->children));
    }
  }
  root = {};
}

std::vector<int32_t> TokenTree::path(const Node *node) {
  std::vector<int32_t> cells(static_cast<size_t>(node->length));
  for (; node->parent; node = node->parent)
    cells[static_cast<size_t>(node->length - 1)] = node->cell;
  return cells;
}

} // namespace ltu
