#include "ops/optim/clip.h"

#include <limits>
#include <numeric>

#include "core/error.h"
#include "ops/compose.h"

namespace plait::optim {

Tensor global_norm(std::span<const Tensor> gradients) {
  OpScope op("global_norm");
  DType dtype = DType::f32;
  for (const Tensor& gradient : gradients) {
    if (gradient.defined() && gradient.dtype() == DType::f64) dtype = DType::f64;
  }
  std::vector<Tensor> sums;
  for (const Tensor& gradient : gradients) {
    if (!gradient.defined()) continue;
    const Tensor x = detail::cast_to(gradient, dtype);
    std::vector<int64_t> axes(x.rank());
    std::iota(axes.begin(), axes.end(), 0);
    sums.push_back(axes.empty() ? x * x : detail::reduce(ReduceOp::sum, x * x, axes, false));
  }
  PLAIT_CHECK(!sums.empty(), "global_norm", "needs at least one gradient");
  // Pairwise, so that depth and error grow with the logarithm of the count.
  while (sums.size() > 1) {
    std::vector<Tensor> halved;
    for (size_t i = 0; i + 1 < sums.size(); i += 2) halved.push_back(sums[i] + sums[i + 1]);
    if (sums.size() % 2 == 1) halved.push_back(sums.back());
    sums = std::move(halved);
  }
  return detail::unary(UnaryOp::sqrt, sums[0]);
}

Tensor clip_factor(const Tensor& norm, double max_norm) {
  OpScope op("clip_factor");
  PLAIT_CHECK(max_norm >= 0, "clip_factor", "max_norm must not be negative; got {}", max_norm);
  return detail::binary(BinaryOp::minimum, max_norm / (norm + kClipEpsilon), 1.0);
}

Tensor is_finite_norm(const Tensor& norm) {
  OpScope op("is_finite_norm");
  return detail::binary(BinaryOp::lt, norm, std::numeric_limits<double>::infinity());
}

}  // namespace plait::optim
