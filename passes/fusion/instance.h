// Instances: what a value at an index tuple demands of its operands.
#pragma once

#include <vector>

#include "core/graph/graph.h"

namespace plait::fusion {

using Tuple = std::vector<Expr>;

// The tuple at which `node` at `tuple` reads operand `operand`. `reduced` gives the index of each
// reduced axis (reduce only). An integer tensor read by a reindex map appears as
// Expr::element(its value, tuple). For concat the tuple is that of the part, valid where
// the part's axis lies in range. Not for scatter, scan and sort, which are roots of nests.
Tuple operand_tuple(const Graph& graph, const Node& node, const Tuple& tuple, size_t operand,
                    const std::vector<Expr>& reduced = {});

// The map of a reindex (first_index 1) or scatter (2) at an index tuple over the map's axes.
Tuple mapped_tuple(const Node& node, const Tuple& tuple, size_t first_index);

// The map reads integer tensors.
bool is_data_indexed(const Node& node);

// The ranges (variables) that any leaf below `value` at `tuple` depends on.
// Walks views and elementwise values; stops at others.
std::vector<uint32_t> ranges_of(const Graph& graph, Value value, const Tuple& tuple);

}  // namespace plait::fusion
