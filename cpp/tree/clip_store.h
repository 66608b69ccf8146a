#pragma once
#include "tree/token_tree.h"
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ltu {

struct Clip {
  std::string hash;                  // of its content
  std::span<const float> embeddings; // [embeddings, width]; they stay where they are until the clip is held
};

// The embeddings of the clips that requests ask about, each clip once, as long as somebody holds it.
class ClipStore {
  struct Stored {
    int64_t number;
    std::vector<float> embeddings;
    int64_t users = 0;
  };
  using ByHash = std::map<std::string, Stored>;

public:
  class Hold { // one user of a clip
  public:
    Hold(const Hold &other) : store_(other.store_), place_(other.place_) { ++place_->second.users; }
    Hold(Hold &&other) noexcept : store_(std::exchange(other.store_, nullptr)), place_(other.place_) {}
    Hold &operator=(Hold other) noexcept {
      std::swap(store_, other.store_);
      std::swap(place_, other.place_);
      return *this;
    }
    ~Hold() {
      if (store_)
        store_->release(place_);
    }
    // Of the clip's position i: a negative number, whose order is the positions' downwards.
    Label label(int64_t i) const { return -1 - place_->second.number * store_->embeddings() - i; }

  private:
    friend class ClipStore;
    Hold(ClipStore &store, ByHash::iterator place) : store_(&store), place_(place) { ++place->second.users; }
    ClipStore *store_;
    ByHash::iterator place_;
  };

  ClipStore(int64_t embeddings, int64_t width) : embeddings_(embeddings), width_(width) {}

  int64_t embeddings() const { return embeddings_; } // positions that a clip takes
  int64_t width() const { return width_; }
  void check(const Clip &clip) const; // throws PromptError when its embeddings don't fit
  Hold hold(const Clip &clip);
  const float *embedding(Label label) const; // [width]

private:
  int64_t embeddings_, width_, next_ = 0;
  ByHash by_hash_;
  std::map<int64_t, const Stored *> by_number_;

  void release(ByHash::iterator place);
};

} // namespace ltu
