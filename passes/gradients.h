// Reverse-mode differentiation: appends the backward graph to the forward one.
#pragma once

#include "core/graph/graph.h"

namespace plait {

// The gradient of `loss` by each of `wrt`, of its type. Cotangents of a value with several users
// are added in the order of its users, last first, so the result does not depend on anything but
// the graph. A value that the loss does not depend on gets zeros (a broadcast constant).
// `seed` is the cotangent of the loss: 1 if absent, else of the loss's type; with a seed the loss
// may have any shape. Backward nodes carry the scope and the line of the node they come from.
// UserError: the loss is not a float scalar (any float tensor with a seed), the seed has another
// type, or a `wrt` is not a float.
std::vector<Value> gradients(Graph& graph, Value loss, std::span<const Value> wrt,
                             Value seed = kNoValue);

}  // namespace plait
