// The pass `simplify`: algebra, folding of small constants, index algebra and the adjoint rules.
//
// Runs after `gradients` (it removes `detach`) and before fusion.
// - Elementwise algebra keeps every bit (NaNs stay NaNs): x * 1, x + -0.0 and x - x of integers
//   fold; x + 0.0, x * 0 and x / x of floats do not.
// - Constants of up to 64 elements fold where the result is exact (IEEE arithmetic, integers,
//   moves); broadcasts are never expanded.
// - An operation on values that are all broadcast along an axis is done before the broadcast.
// - Reindexes of reindexes, broadcasts, concatenations and constants become one, size-capped.
// - Adjoint rules: a scatter whose map has an inverse becomes a reindex, that of windows a reduce
//   of a reindex; sums of disjoint pads become a concat; a sum with a scatter into zeros scatters
//   into the other term. These add the same float terms, in another order, and may give -0.0 for
//   0.0.
// Repeating it changes nothing. Linear in the size of the graph for a bounded number of rounds.
#pragma once

#include "core/graph/graph.h"
#include "core/options.h"

namespace plait {

Graph simplify(const Graph& graph, const Options& options = {});

}  // namespace plait
