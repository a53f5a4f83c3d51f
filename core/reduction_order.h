// The order in which a plain (not contracted) reduction combines its elements. Half of the bit
// contract: a function of shape alone, so no fusion, schedule, thread count or ISA changes a bit.
//
// Reduced axes that are neighbours in the operand merge to one (row-major). Of the merged axes
// a1 … ak, with `lanes` = 32 when ak is the operand's last axis and 1 otherwise:
//   acc[lane]   folds the steps of one block: `block / lanes` consecutive groups of `lanes`
//               elements along ak
//   sum[lane]   folds the blocks of a chunk, in row-major order
//   chunk value folds the lanes as a tree: l with l+16, then +8, +4, +2, +1
//   result      folds the chunks of a1 in order
// Every fold starts at the identity; lanes past the end of ak hold the identity. A fold over one
// part is that part bit for bit, so statically single blocks and chunks need no code.
// f16 and bf16 fold in f32 and round once at the end.
#pragma once

#include <cstdint>
#include <span>

#include "core/index/expr.h"

namespace plait {

struct ReductionOrder {
  uint32_t lanes;
  int64_t block;  // elements of ak
  Expr chunk;     // elements of a1
};

ReductionOrder reduction_order(std::span<const Expr> merged_extents, bool ends_contiguous);

// The other half: a contraction folds k (all reduced axes, row-major) in one fused multiply-add
// chain per leaf, starting at 0, and adds the leaves in order. All of k up to kLongestLeaf is one,
// else leaves are equal blocks (the last may be shorter).
//
// Where both factors are widened from bf16, k folds in pairs: of each kPairBlock elements, those of
// even and those of odd index (the first is even) make a chain of fused multiply-adds from 0 each;
// the sum of the two is added to the leaf's, which starts at 0. In these additions and
// multiply-adds, operands and results below 2^-126 count as zeros. It is the order in which matrix
// registers add (Intel SDM, TDPBF16PS) and dot products of pairs can, and costs others little.
// Leaves are whole blocks; past the end of k there are zeros, which make a chain's -0 a +0.
enum class ContractionOrder : uint8_t { chain, pairs };
inline constexpr int64_t kLongestLeaf = 1024;
inline constexpr int64_t kPairBlock = 32;
Expr contraction_leaf(Expr k, ContractionOrder order = ContractionOrder::chain);

// f32 addition and multiply-add without subnormals: operands and results below 2^-126 count as
// zeros of their sign. A result is tiny as x86 sees it: rounded to 24 bits, whatever its exponent.
float flushed_add(float a, float b);
float flushed_fma(float a, float b, float c);
// The product of the upper halves, as bf16, added to the sum, then that of the lower.
float flushed_pair_dot(uint32_t a, uint32_t b, float sum);

}  // namespace plait
