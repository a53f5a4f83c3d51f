// The global norm of gradients, and scaling by it.
#pragma once

#include <span>
#include <vector>

#include "ops/tensor.h"

namespace plait::optim {

// Added to the norm before dividing, as PyTorch's clip_grad_norm_ does.
inline constexpr double kClipEpsilon = 1e-6;

// sqrt(sum of squares) over all elements of all tensors, in f32 (f64 if one of them is f64); rank
// 0. Undefined tensors count as zero. UserError unless one is defined.
Tensor global_norm(std::span<const Tensor> gradients);

// min(1, max_norm / (norm + kClipEpsilon)): torch.nn.utils.clip_grad_norm_'s factor.
Tensor clip_factor(const Tensor& norm, double max_norm);

// Whether the norm is neither infinite nor NaN; bool, rank 0.
Tensor is_finite_norm(const Tensor& norm);

}  // namespace plait::optim
