#pragma once
#include "device/device.h"
#include "file/model.h"
#include <vector>

namespace ltu {

struct AudioEmbeddings {
  std::vector<float> pooled;    // [clips, embeddings, encoder width]: before the division by 50
  std::vector<float> projected; // [clips, embeddings, LLaMA width]
};

// features: [clips, frames, mels], normalised log-mel (ltu.audio.features).
AudioEmbeddings audio_encode(const Model &model, Device &device, const float *features, int64_t clips);

} // namespace ltu
