#include "ops/nn/linear.h"

#include <cmath>

#include "core/error.h"
#include "ops/functions.h"
#include "ops/nn/init.h"

namespace plait::nn {

Linear::Linear(int64_t in_features, int64_t out_features, bool bias) {
  PLAIT_CHECK(in_features >= 0 && out_features >= 0, "Linear",
              "sizes must not be negative; got in_features: {}, out_features: {}", in_features,
              out_features);
  const double bound = in_features > 0 ? 1 / std::sqrt(static_cast<double>(in_features)) : 0;
  weight_ = add_parameter("weight", init::uniform({out_features, in_features}, -bound, bound));
  if (bias) bias_ = add_parameter("bias", init::uniform({out_features}, -bound, bound));
}

Tensor Linear::forward(const Tensor& input) {
  if (!bias_) return linear(input, parameter(weight_));
  return linear(input, parameter(weight_), parameter(bias_));
}

}  // namespace plait::nn
