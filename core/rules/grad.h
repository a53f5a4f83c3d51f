// The gradient rule: from the cotangent of a node's result to those of its operands, as a graph of
// meta-operators, so gradients can be differentiated again.
//
// Where a function has no derivative:
// - maximum, minimum, reduce and scatter max/min: ties share the cotangent evenly; a NaN among the
//   operands shares it among all that are not beaten. So the gradient of maximum(x, 0) at 0 is 1/2;
//   relu is select(x > 0, x, 0), which has 0.
// - scan max/min: the whole cotangent goes to the latest element that attains the running value.
// - abs'(0) = 0; sign, floor, ceil, round and trunc have gradient zero; atan2 at (0, 0) has zero.
// - pow: by the base 0 where the exponent is 0; by the exponent 0 where the base is 0 and the
//   exponent is not negative.
// - prod (reduce, scan, scatter) is right where factors are zero.
// - scatter with `replace`: the winner of each element has its cotangent, the losers zero.
// For the half types rules of several steps compute in f32 and round once.
#pragma once

#include "core/graph/graph.h"

namespace plait {

// `cotangent` has the node's type. Gives one value per operand, of the operand's type; kNoValue
// where nothing flows (integers, booleans, indices, detach, piecewise constant functions).
std::vector<Value> grad(Graph& graph, Value node, Value cotangent);

}  // namespace plait
