// One update per row becomes a mask over the row.
//
// `scatter(sum, D, u)` that sends u[i…] to D[i…, t[i…]] meets each element of D at most once, so it
// is select(iota == t, D + u, D): elementwise, fused with whatever surrounds it. It is the gradient
// of picking one element per row (cross-entropy), and would else be a kernel of its own over all of
// D. Runs after simplify, which leaves only data-indexed scatters.
#pragma once

#include "core/graph/graph.h"
#include "core/options.h"

namespace plait {

// Where bad indices are errors, only if a reindex by the same indices reports them.
Graph densify_scatter(const Graph& graph, const Options& options = {});

}  // namespace plait
