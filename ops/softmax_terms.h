// The shifted exponentials behind softmax, logsumexp, cross-entropy and attention.
#pragma once

#include "ops/tensor.h"

namespace plait::detail {

// Of x along some axes, in x's dtype (f32 or f64); the axes kept with size 1:
//   m = detach(max(x));  shift = m == -inf ? 0 : m;  shifted = x - shift;
//   exponentials = exp(shifted);  s = sum(exponentials);  total = s == 0 ? 1 : s
// A row of -inf alone has s = 0: its softmax is 0 / 1 = 0 and its gradient 0, not NaN.
struct SoftmaxTerms {
  Tensor shift, shifted, exponentials, total;
  Tensor empty;  // s == 0
};
SoftmaxTerms softmax_terms(const Tensor& x, const std::vector<int64_t>& axes);

}  // namespace plait::detail
