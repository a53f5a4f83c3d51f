#include "core/reduction_order.h"

#include <bit>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace plait {

ReductionOrder reduction_order(std::span<const Expr> merged_extents, bool ends_contiguous) {
  PLAIT_INTERNAL_CHECK(!merged_extents.empty(), "a reduction without axes");
  const uint32_t lanes = ends_contiguous ? 32 : 1;
  const int64_t block = 128 * lanes;
  const int64_t most_chunks = ends_contiguous ? 1024 : 256;
  const Expr first = merged_extents.front();
  if (merged_extents.size() == 1) {
    return {lanes, block, max(Expr(block), block * ceil_div(first, block * most_chunks))};
  }
  const Expr inner = max(Expr(1), product(merged_extents.subspan(1)));
  return {lanes, block, max(ceil_div(Expr(block), inner), ceil_div(first, most_chunks))};
}

Expr contraction_leaf(Expr k, ContractionOrder order) {
  const int64_t step = order == ContractionOrder::pairs ? kPairBlock : 1;
  const Expr leaf = ceil_div(k, max(Expr(1), ceil_div(k, kLongestLeaf)));
  return max(Expr(step), step * ceil_div(leaf, step));
}

namespace {

constexpr float kLeastNormal = std::numeric_limits<float>::min();

float without_subnormal(float a) {
  return std::fabs(a) < kLeastNormal ? std::copysign(0.0f, a) : a;
}

}  // namespace

float flushed_add(float a, float b) {
  return without_subnormal(without_subnormal(a) + without_subnormal(b));  // tiny sums are exact
}

float flushed_fma(float a, float b, float c) {
  a = without_subnormal(a);
  b = without_subnormal(b);
  c = without_subnormal(c);
  const float result = std::fma(a, b, c);
  if (std::fabs(result) != kLeastNormal) return without_subnormal(result);
  // It may have been rounded up from what 24 bits still hold below: less than half a step away. The
  // product is exact in f64, and so is what its sum with c leaves over.
  const double product = static_cast<double>(a) * b, addend = c;
  const double sum = product + addend;
  const double addend_part = sum - product;
  const double rest = (product - (sum - addend_part)) + (addend - addend_part);
  const double sign = result < 0 ? -1 : 1;
  const double half_step = std::ldexp(1.0, -25);
  const bool tiny = (sign * sum - kLeastNormal * (1 - half_step)) + sign * rest < 0;
  return tiny ? std::copysign(0.0f, result) : result;
}

float flushed_pair_dot(uint32_t a, uint32_t b, float sum) {
  for (const int shift : {0, 16}) {
    const uint32_t x = a << shift & 0xffff0000, y = b << shift & 0xffff0000;
    sum = flushed_fma(std::bit_cast<float>(x), std::bit_cast<float>(y), sum);
  }
  return sum;
}

}  // namespace plait
