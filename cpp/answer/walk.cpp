#include "answer/walk.h"
#include <algorithm>

namespace ltu {

namespace {

// The last `count` tokens of a path.
std::vector<int32_t> drawn_tokens(const Node *node, int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (; count > 0; node = node->parent)
    tokens[static_cast<size_t>(--count)] = static_cast<int32_t>(node->label);
  return tokens;
}

} // namespace

std::vector<Walk::Item> Walk::take(int64_t room) {
  std::vector<Item> taken;
  std::erase_if(undecided_, [&](const Item &item) {
    const bool take = static_cast<int64_t>(taken.size()) < std::min(room, limits_.nodes - nodes_) &&
                      item.mass >= threshold_;
    if (take)
      taken.push_back(item);
    return take;
  });
  nodes_ += static_cast<int64_t>(taken.size());
  return taken;
}

int64_t Walk::ready() const {
  const auto heavy = [this](const Item &item) { return item.mass >= threshold_; };
  return std::min<int64_t>(std::count_if(undecided_.begin(), undecided_.end(), heavy),
                           limits_.nodes - nodes_);
}

void Walk::expand(TokenTree &tree, Node *node, int32_t state, int64_t drawn, double mass,
                  const std::vector<Candidate> &candidates) {
  for (const Candidate &candidate : candidates) {
    const double part = mass * static_cast<double>(candidate.probability);
    const bool eos = std::find(ends_.begin(), ends_.end(), candidate.token) != ends_.end();
    const bool end = eos || drawn + 1 == limits_.new_tokens;
    int32_t after = state;
    if (reading_) {
      Decision decision = undecided;
      if (!eos) {
        after = reading_->run(state, (*token_bytes_)[static_cast<size_t>(candidate.token)]);
        decision = reading_->decided(after);
      }
      if (decision == undecided && end)
        decision = reading_->at_end(after);
      if (decision != undecided) {
        decided_[static_cast<size_t>(decision)] += part;
        continue;
      }
    } else if (end) {
      std::vector<int32_t> tokens = drawn_tokens(node, drawn);
      if (!eos)
        tokens.push_back(candidate.token);
      answers_.emplace_back(std::move(tokens), part);
      continue;
    }
    tree.hold(node);
    undecided_.push_back({node, candidate.token, after, drawn + 1, part});
  }
}

double Walk::undecided_mass() const {
  double sum = 0;
  for (const Item &item : undecided_)
    sum += item.mass;
  return sum;
}

bool Walk::finished() {
  if (nodes_ >= limits_.nodes)
    return true;
  const auto heavy = [&](const Item &item) { return item.mass >= threshold_; };
  if (std::any_of(undecided_.begin(), undecided_.end(), heavy))
    return false; // in the middle of a round
  if (undecided_mass() < limits_.epsilon)
    return true;
  while (std::none_of(undecided_.begin(), undecided_.end(), heavy))
    threshold_ /= 2;
  return false;
}

void Walk::abandon(TokenTree &tree) {
  for (const Item &item : undecided_)
    tree.release(item.parent);
  undecided_.clear();
}

std::vector<double> Walk::masses() const {
  std::vector<double> masses = decided_;
  masses.push_back(undecided_mass());
  return masses;
}

} // namespace ltu
