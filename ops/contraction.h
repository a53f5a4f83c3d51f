// The one form of all products that are summed: matmul, linear, einsum, convolution, attention.
#pragma once

#include "ops/tensor.h"

namespace plait::detail {

// Σ a·b over the last `reduced` axes of the index space `space`; axis i of a is axis a_axes[i]
// (rising) of the space, and so for b; axes of size 1 stretch. a and b have one dtype. Halves widen
// before the product; the result stays in the compute type, so that epilogues come before the one
// rounding. UserError for bools.
Tensor contract(const Tensor& a, std::vector<int64_t> a_axes, const Tensor& b,
                std::vector<int64_t> b_axes, const Shape& space, int64_t reduced);

}  // namespace plait::detail
