// The shifted exponentials behind softmax, logsumexp, cross-entropy and attention.
#pragma once

#include "ops/tensor.h"

namespace plait::detail {

// Of x along one axis, in x's dtype (f32 or f64); sizes with the axis kept as 1:
//   m = detach(max(x));  shift = m == -inf ? 0 : m;  shifted = x - shift;
//   exponentials = exp(shifted);  s = sum(exponentials);  total = s == 0 ? 1 : s
// A row of -inf alone has s = 0: its softmax is 0 / 1 = 0 and its gradient 0, not NaN.
struct SoftmaxTerms {
  Tensor shift, shifted, exponentials, total;
  Tensor empty;  // s == 0
};
SoftmaxTerms softmax_terms(const Tensor& x, int64_t axis);

}  // namespace plait::detail
