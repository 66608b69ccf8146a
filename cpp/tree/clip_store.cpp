#include "tree/clip_store.h"

namespace ltu {

Label ClipStore::hold(const Clip &clip) {
  const auto [place, fresh] = by_hash_.try_emplace(clip.hash);
  Stored &stored = place->second;
  if (fresh) {
    stored.number = next_++;
    stored.embeddings = clip.embeddings;
    by_number_[stored.number] = &stored;
  }
  ++stored.users;
  return -1 - stored.number * embeddings_;
}

void ClipStore::release(const std::string &hash) {
  const auto place = by_hash_.find(hash);
  if (--place->second.users == 0) {
    by_number_.erase(place->second.number);
    by_hash_.erase(place);
  }
}

const float *ClipStore::embedding(Label label) const {
  const int64_t position = -1 - label;
  return by_number_.at(position / embeddings_)->embeddings.data() + position % embeddings_ * width_;
}

} // namespace ltu
