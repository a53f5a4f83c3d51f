// Normalisation over the last axes.
#pragma once

#include "ops/nn/module.h"

namespace plait::nn {

// (x - mean) / sqrt(variance + eps) · weight + bias, statistics over the last axes.
class LayerNorm : public Module {
 public:
  // PyTorch's initial values: weight 1, bias 0. Without `affine` there is neither.
  explicit LayerNorm(std::vector<int64_t> normalized_shape, double eps = 1e-5, bool affine = true,
                     bool bias = true);
  explicit LayerNorm(int64_t width) : LayerNorm(std::vector<int64_t>{width}) {}

  Tensor forward(const Tensor& input) override;  // [..., *normalized_shape], shape kept

  const std::shared_ptr<Slot>& weight() const { return weight_; }  // or null
  const std::shared_ptr<Slot>& bias() const { return bias_; }      // or null

 private:
  std::vector<int64_t> normalized_shape_;
  double eps_;
  std::shared_ptr<Slot> weight_, bias_;
};

}  // namespace plait::nn
