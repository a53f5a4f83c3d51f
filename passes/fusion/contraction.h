// Recognition of contractions, by structure and on the graph alone: whether a sum is a contraction
// decides the order of its additions, so it may not depend on how anything is fused.
#pragma once

#include <optional>
#include <string>

#include "core/graph/graph.h"
#include "passes/fusion/plan.h"

namespace plait::fusion {

// A sum over the product of two factors where some kept axis belongs to the left one only (m) and
// some to the right one only (n). Group axes are the result's axes; k variables follow them.
// `why`, if given, receives the reason when a sum of products is not one.
std::optional<Contraction> match_contraction(const Graph& graph, Value reduce,
                                             std::string* why = nullptr);

}  // namespace plait::fusion
