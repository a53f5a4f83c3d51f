// Zeroes elements at random while training.
#pragma once

#include "ops/nn/module.h"

namespace plait::nn {

class Dropout : public Module {
 public:
  explicit Dropout(double p = 0.5);

  // input / (1 - p) with probability 1 - p, else 0; input itself after eval().
  Tensor forward(const Tensor& input) override;

 private:
  double p_;
};

}  // namespace plait::nn
