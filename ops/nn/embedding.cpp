#include "ops/nn/embedding.h"

#include "core/error.h"
#include "ops/functions.h"
#include "ops/nn/init.h"

namespace plait::nn {

Embedding::Embedding(int64_t num_embeddings, int64_t embedding_dim) {
  PLAIT_CHECK(num_embeddings >= 0 && embedding_dim >= 0, "Embedding",
              "sizes must not be negative; got num_embeddings: {}, embedding_dim: {}",
              num_embeddings, embedding_dim);
  weight_ = add_parameter("weight", init::normal({num_embeddings, embedding_dim}, 0, 1));
}

Tensor Embedding::forward(const Tensor& input) { return embedding(input, parameter(weight_)); }

}  // namespace plait::nn
