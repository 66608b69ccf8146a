#pragma once
#include "tree/token_tree.h"
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ltu {

struct Clip {
  std::string hash;              // of its content
  std::vector<float> embeddings; // [embeddings, width]
};

// The embeddings of the clips that live queries ask about, each clip once.
class ClipStore {
public:
  ClipStore(int64_t embeddings, int64_t width) : embeddings_(embeddings), width_(width) {}

  int64_t embeddings() const { return embeddings_; } // positions that a clip takes
  int64_t width() const { return width_; }
  // Adds a user of the clip; returns the label of its first position. The others follow downwards.
  Label hold(const Clip &clip);
  void release(const std::string &hash);
  const float *embedding(Label label) const; // [width]

private:
  struct Stored {
    int64_t number;
    std::vector<float> embeddings;
    int64_t users = 0;
  };
  int64_t embeddings_, width_, next_ = 0;
  std::map<std::string, Stored> by_hash_;
  std::map<int64_t, const Stored *> by_number_;
};

} // namespace ltu
