#pragma once
#include "compute/language_model.h"
#include <memory>

namespace ltu::cuda {

class Card;

// The language model on our kernels and cuBLAS, in float16 with sums in float32; attention goes along paths,
// and rows are drawn from on the card. Steps so narrow that reading the weights is all they do go to
// `narrow`, if it is given: the back end's graph over the same KV cells, whose quantised weights are smaller.
// `model` and `device` must outlive it.
std::unique_ptr<LanguageModel> llama(const Model &model, Device &device, std::unique_ptr<Card> card,
                                     std::unique_ptr<LanguageModel> narrow);

} // namespace ltu::cuda
