// y = x · weightᵀ + bias.
#pragma once

#include "ops/nn/module.h"

namespace plait::nn {

class Linear : public Module {
 public:
  // PyTorch's initial values: uniform in ±1/sqrt(in_features), weight first, then bias.
  Linear(int64_t in_features, int64_t out_features, bool bias = true);

  // [..., in_features] -> [..., out_features]
  Tensor forward(const Tensor& input) override;

  const std::shared_ptr<Slot>& weight() const { return weight_; }  // [out_features, in_features]
  const std::shared_ptr<Slot>& bias() const { return bias_; }      // [out_features], or null

 private:
  std::shared_ptr<Slot> weight_, bias_;
};

}  // namespace plait::nn
