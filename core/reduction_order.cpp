#include "core/reduction_order.h"

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

}  // namespace plait
