// The graph's invariants, checked after every pass in debug and CI builds.
#pragma once

#include "core/graph/graph.h"

namespace plait {

// InternalError naming the node if an operand does not come before its user, a node's type is not
// what the type rule gives, attributes that the op does not use are set, or a root is not a node.
void verify(const Graph& graph);

}  // namespace plait
