#include "ops/nn/dropout.h"

#include "core/error.h"
#include "ops/functions.h"

namespace plait::nn {

Dropout::Dropout(double p) : p_(p) {
  PLAIT_CHECK(p >= 0 && p <= 1, "Dropout", "p must lie in [0, 1]; got {}", p);
}

Tensor Dropout::forward(const Tensor& input) { return dropout(input, p_, training()); }

}  // namespace plait::nn
