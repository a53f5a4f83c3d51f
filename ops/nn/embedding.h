// A table of vectors looked up by integers.
#pragma once

#include "ops/nn/module.h"

namespace plait::nn {

class Embedding : public Module {
 public:
  // PyTorch's initial values: normal(0, 1).
  Embedding(int64_t num_embeddings, int64_t embedding_dim);

  // Integers [...] -> [..., embedding_dim]. An index outside the table fails the run (and names op,
  // position and value); no slot changes then.
  Tensor forward(const Tensor& input) override;

  const std::shared_ptr<Slot>& weight() const { return weight_; }

 private:
  std::shared_ptr<Slot> weight_;  // [num_embeddings, embedding_dim]
};

}  // namespace plait::nn
