// Cells, the token tree and the clips that it is about.
#include "check.h"
#include "support/error.h"
#include "tree/cells.h"
#include "tree/clip_store.h"
#include "tree/token_tree.h"
#include <random>
#include <set>

using namespace ltu;

namespace {

void cells_are_taken_once_and_lowest_first_after_sorting() {
  Cells cells(4);
  std::set<int32_t> taken;
  for (int i = 0; i < 4; ++i)
    taken.insert(cells.take());
  CHECK(taken == (std::set<int32_t>{0, 1, 2, 3}));
  CHECK(cells.available() == 0);
  for (const int32_t cell : {2, 0, 3})
    cells.give_back(cell);
  CHECK(cells.available() == 3);
  cells.sort_free();
  CHECK(cells.take() == 0);
  CHECK(cells.take() == 2);
  CHECK(cells.used_end() == 4);
}

void shared_beginnings_take_one_cell_a_position() {
  Cells cells(10);
  TokenTree tree(cells);
  Node *a = tree.child(tree.root(), 7);
  tree.hold(a);
  Node *b = tree.child(a, 8), *c = tree.child(a, 9);
  tree.hold(b);
  tree.hold(c);
  CHECK(tree.child(tree.root(), 7) == a);
  CHECK(cells.available() == 7);
  CHECK(TokenTree::path(b) == (std::vector<int32_t>{a->cell, b->cell}));
  tree.release(a); // stays: two children
  CHECK(cells.available() == 7);
  tree.release(b);
  CHECK(cells.available() == 8);
  tree.release(c); // takes its parent along
  CHECK(cells.available() == 10);
  CHECK(tree.root()->children.empty());
}

// Any order of holding, descending and releasing gives every cell back.
void random_users_leave_nothing_behind() {
  std::mt19937 random(3);
  Cells cells(1000);
  TokenTree tree(cells);
  std::vector<Node *> users;
  for (int i = 0; i < 20'000; ++i) {
    const bool grow = users.empty() || (users.size() < 50 && random() % 3 != 0);
    if (grow && cells.available() > 0) {
      Node *from = users.empty() || random() % 4 == 0 ? tree.root() : users[random() % users.size()];
      Node *node = tree.child(from, static_cast<Label>(random() % 5) - 2);
      tree.hold(node);
      users.push_back(node);
    } else if (!users.empty() && random() % 2 && cells.available() > 0) {
      Node *&user = users[random() % users.size()];
      tree.descend(user, tree.child(user, static_cast<Label>(random() % 5)));
    } else if (!users.empty()) {
      const size_t which = random() % users.size();
      tree.release(users[which]);
      users.erase(users.begin() + static_cast<ptrdiff_t>(which));
    }
  }
  for (Node *user : users)
    tree.release(user);
  CHECK(cells.available() == 1000);
}

void clearing_a_long_path_does_not_recurse() {
  constexpr int64_t length = 1'000'000;
  Cells cells(length);
  TokenTree tree(cells);
  Node *node = tree.root();
  for (int64_t i = 0; i < length; ++i)
    node = tree.child(node, 1);
  tree.clear(*tree.root());
  CHECK(cells.available() == length);
}

void clips_are_kept_once_as_long_as_somebody_holds_them() {
  ClipStore store(2, 3);
  const std::vector<float> dog_embeddings{1, 2, 3, 4, 5, 6}, cat_embeddings{7, 8, 9, 10, 11, 12},
      one_value{1};
  const Clip dog{"dog", dog_embeddings}, cat{"cat", cat_embeddings};
  CHECK_THROWS(store.check({"short", one_value}), PromptError);
  ClipStore::Hold one = store.hold(dog), other = store.hold(cat);
  {
    const ClipStore::Hold again = store.hold(dog);
    CHECK(again.label(0) == one.label(0));
  }
  CHECK(one.label(0) != other.label(0));
  CHECK(store.embedding(one.label(1))[0] == 4);
  CHECK(store.embedding(other.label(0))[2] == 9);
  const ClipStore::Hold copy = one;
  one = std::move(other); // the dog has one holder left
  CHECK(store.embedding(copy.label(0))[0] == 1);
  CHECK(store.embedding(one.label(0))[0] == 7);
}

} // namespace

int main() {
  cells_are_taken_once_and_lowest_first_after_sorting();
  shared_beginnings_take_one_cell_a_position();
  random_users_leave_nothing_behind();
  clearing_a_long_path_does_not_recurse();
  clips_are_kept_once_as_long_as_somebody_holds_them();
}
