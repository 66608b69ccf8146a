#include "tree/clip_store.h"
#include "support/error.h"

namespace ltu {

void ClipStore::check(const Clip &clip) const {
  if (std::ssize(clip.embeddings) != embeddings_ * width_)
    throw PromptError("a clip's embeddings have the wrong size for this model");
}

ClipStore::Hold ClipStore::hold(const Clip &clip) {
  const auto [place, fresh] = by_hash_.try_emplace(clip.hash);
  if (fresh) {
    place->second.number = next_++;
    place->second.embeddings.assign(clip.embeddings.begin(), clip.embeddings.end());
    by_number_[place->second.number] = &place->second;
  }
  return {*this, place};
}

void ClipStore::release(ByHash::iterator place) {
  if (--place->second.users > 0)
    return;
  by_number_.erase(place->second.number);
  by_hash_.erase(place);
}

const float *ClipStore::embedding(Label label) const {
  const int64_t position = -1 - label;
  return by_number_.at(position / embeddings_)->embeddings.data() + position % embeddings_ * width_;
}

} // namespace ltu
