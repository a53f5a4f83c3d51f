#include "ops/nn/norm.h"

#include "ops/functions.h"
#include "ops/nn/init.h"

namespace plait::nn {
namespace {

std::optional<Tensor> optional_parameter(const std::shared_ptr<Slot>& slot) {
  return slot ? std::optional(parameter(slot)) : std::nullopt;
}

}  // namespace

LayerNorm::LayerNorm(std::vector<int64_t> normalized_shape, double eps, bool affine, bool bias)
    : normalized_shape_(normalized_shape.begin(), normalized_shape.end()), eps_(eps) {
  if (affine) weight_ = add_parameter("weight", init::ones(normalized_shape));
  if (affine && bias) bias_ = add_parameter("bias", init::zeros(normalized_shape));
}

Tensor LayerNorm::forward(const Tensor& input) {
  return layer_norm(input, normalized_shape_, optional_parameter(weight_),
                    optional_parameter(bias_), eps_);
}

RMSNorm::RMSNorm(std::vector<int64_t> normalized_shape, std::optional<double> eps, bool affine)
    : normalized_shape_(normalized_shape.begin(), normalized_shape.end()), eps_(eps) {
  if (affine) weight_ = add_parameter("weight", init::ones(normalized_shape));
}

Tensor RMSNorm::forward(const Tensor& input) {
  return rms_norm(input, normalized_shape_, optional_parameter(weight_), eps_);
}

}  // namespace plait::nn
