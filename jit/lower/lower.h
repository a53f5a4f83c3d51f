// FusionPlan -> kernel IR: one kernel per group.
#pragma once

#include <string>
#include <vector>

#include "core/target.h"
#include "jit/kernel/kir.h"
#include "passes/fusion/plan.h"

namespace plait::lower {

// What a launch passes for one kernel buffer: a graph value's memory, or fresh workspace.
struct Binding {
  Value value = kNoValue;  // kNoValue: workspace
  Expr bytes;              // workspace: how much, over graph symbols
};

struct LoweredGroup {
  kernel::Kernel kernel;           // verified
  std::vector<Binding> buffers;    // one per parameter and workspace of the kernel, in its order
  std::vector<Expr> sizes;         // one per kernel symbol, over graph symbols
  std::vector<Value> axis_owners;  // by error site: the node whose index went out of range
};

LoweredGroup lower_group(const Graph& graph, const fusion::FusionPlan& plan,
                         const fusion::Group& group, const Target& target);

}  // namespace plait::lower
