// Normalisation over the last axes.
#pragma once

#include <optional>

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
  Shape normalized_shape_;
  double eps_;
  std::shared_ptr<Slot> weight_, bias_;
};

// x / sqrt(mean of x² + eps) · weight over the last axes (Zhang and Sennrich, 2019).
class RMSNorm : public Module {
 public:
  // PyTorch's initial value: weight 1. Without `eps`: the machine epsilon of the input's dtype.
  explicit RMSNorm(std::vector<int64_t> normalized_shape, std::optional<double> eps = {},
                   bool affine = true);
  explicit RMSNorm(int64_t width) : RMSNorm(std::vector<int64_t>{width}) {}

  Tensor forward(const Tensor& input) override;

  const std::shared_ptr<Slot>& weight() const { return weight_; }  // or null

 private:
  Shape normalized_shape_;
  std::optional<double> eps_;
  std::shared_ptr<Slot> weight_;
};

}  // namespace plait::nn
