#include "ops/nn/norm.h"

#include <optional>

#include "ops/functions.h"
#include "ops/nn/init.h"

namespace plait::nn {
namespace {

std::optional<Tensor> optional_parameter(const std::shared_ptr<Slot>& slot) {
  return slot ? std::optional(parameter(slot)) : std::nullopt;
}

}  // namespace

LayerNorm::LayerNorm(std::vector<int64_t> normalized_shape, double eps, bool affine, bool bias)
    : normalized_shape_(std::move(normalized_shape)), eps_(eps) {
  if (affine) weight_ = add_parameter("weight", init::ones(normalized_shape_));
  if (affine && bias) bias_ = add_parameter("bias", init::zeros(normalized_shape_));
}

Tensor LayerNorm::forward(const Tensor& input) {
  return layer_norm(input, normalized_shape_, optional_parameter(weight_),
                    optional_parameter(bias_), eps_);
}

}  // namespace plait::nn
