// The type rule: what a meta-operator accepts and what it gives.
#pragma once

#include "core/graph/graph.h"

namespace plait {

// Called by Graph::add. `result` is the type asked for, for ops whose type does not follow from the
// operands. Equalities of sizes that can't be decided are appended to `guards`.
// UserError, prefixed by the current op name, when a rule is broken.
Type infer(MetaOp op, std::span<const Type> operands, const Attributes& attributes,
           const Type& result, std::vector<SizeGuard>& guards);

}  // namespace plait
