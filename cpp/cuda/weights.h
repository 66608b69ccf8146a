#pragma once
#include "cuda/card.h"
#include "device/thread_pool.h"
#include "file/model.h"
#include <vector>

namespace ltu::cuda {

// LLaMA's weights on a card: matrices in float16 whatever the file has, those side by side that are
// multiplied with the same rows. Norms stay where the model has them.
class LlamaWeights {
public:
  struct Block {
    CardArray<Half> qkv, out, gate_up,
        down; // [q + 2 kv, width], [width, q], [2 feed_forward, width], [width, feed_forward]
    CardArray<float> qkv_bias; // [q + 2 kv] or none
  };

  // Throws ModelFileError for a weight beyond float16's range.
  LlamaWeights(const Model &model, Card &card, ThreadPool &pool);

  size_t bytes() const; // of its matrices
  const std::vector<Block> &blocks() const { return blocks_; }
  const Half *token_table() const { return token_table_.data(); } // [vocabulary, width]
  const Half *output() const { return tied_ ? token_table_.data() : output_.data(); }

private:
  std::vector<Block> blocks_;
  CardArray<Half> token_table_, output_;
  bool tied_;
};

// The encoder's and the projector's, likewise. Norms and biases stay where the model has them.
class AudioWeights {
public:
  struct Block {
    CardArray<Half> qkv, out, up, down; // as in file/table.h
  };

  AudioWeights(const Model &model, Card &card, ThreadPool &pool);

  size_t bytes() const;
  const std::vector<Block> &blocks() const { return blocks_; }
  const Half *patch() const { return patch_.data(); }         // [width, patch²]
  const Half *projector() const { return projector_.data(); } // [LLaMA width, width]

private:
  std::vector<Block> blocks_;
  CardArray<Half> patch_, projector_;
};

} // namespace ltu::cuda
