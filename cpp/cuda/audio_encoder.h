#pragma once
#include "compute/audio_encoder.h"
#include <memory>

namespace ltu::cuda {

class Card;

// The audio encoder on our kernels and cuBLAS, in float16 with sums in float32; many clips at once. A clip's
// embeddings don't depend on the clips beside it. `model` and `device` must outlive it.
std::unique_ptr<AudioEncoder> audio_encoder(const Model &model, Device &device, std::unique_ptr<Card> card);

} // namespace ltu::cuda
