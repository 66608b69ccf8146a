#pragma once
#include "device/device.h"
#include "file/model.h"
#include <memory>
#include <vector>

namespace ltu {

struct AudioEmbeddings {
  std::vector<float> pooled;    // [clips, embeddings, encoder width]: before the division by 50
  std::vector<float> projected; // [clips, embeddings, LLaMA width]
};

// The audio encoder and the projector on one device.
class AudioEncoder {
public:
  static constexpr int64_t clips_at_once = 32; // that fill a large card's multiprocessors
  virtual ~AudioEncoder() = default;

  // features: [clips, frames, mels], normalised log-mel (ltu.audio.features).
  virtual AudioEmbeddings encode(const float *features, int64_t clips) = 0;
  // Whether a clip's embeddings have the same bits whatever is encoded beside it.
  virtual bool batch_invariant() const { return false; }
  virtual size_t bytes() const { return 0; } // of weights that it holds beside the model's
};

// As a graph of ggml: on CPU with our kernels, elsewhere with the back end's. `model` and `device` must
// outlive it.
std::unique_ptr<AudioEncoder> audio_graph(const Model &model, Device &device);

} // namespace ltu
