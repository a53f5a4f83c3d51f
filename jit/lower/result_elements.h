// What the end of a product reads and writes beside the product itself: lines that can be fetched
// while the product is computed.
#pragma once

#include <vector>

#include "passes/fusion/instance.h"
#include "passes/fusion/plan.h"

namespace plait::lower {

struct ResultElement {
  Value value;
  fusion::Tuple tuple;  // over group axes
  bool written;
};

// Of values in memory: what `nest` stores, and what these are computed from by elementwise ops.
std::vector<ResultElement> result_elements(const Graph& graph, const fusion::FusionPlan& plan,
                                           const fusion::Nest& nest);

}  // namespace plait::lower
