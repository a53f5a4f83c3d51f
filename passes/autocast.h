// Mixed precision: products of f32 multiply factors rounded to bf16, and sum in f32.
//
// A sum of products that is a contraction (passes/fusion/contraction.h) gets factors that are cast
// to bf16 and back where they are computed or read, below what only moves them; all else, master
// weights, norms, softmax, losses, plain sums and updates included, stays in f32. Gradients are
// nodes like others by now, so their products round their factors, too.
#pragma once

#include "core/graph/graph.h"
#include "core/options.h"

namespace plait {

// Does nothing unless options.autocast says so; products in scopes that options.autocast_keep names
// stay as they are.
Graph autocast(const Graph& graph, const Options& options);

}  // namespace plait
