// A group of a fusion plan as a graph of its own: what its kernel depends on and nothing else.
// Groups of equal extracts (12 equal layers) have one kernel, and are lowered once.
#pragma once

#include "passes/fusion/plan.h"

namespace plait::fusion {

struct Extract {
  Graph graph;                // what the group reads from memory is an input
  FusionPlan plan;            // of the one group
  std::vector<Value> values;  // by value of `graph`: that of the whole graph

  const Group& group() const { return plan.groups.front(); }
  size_t hash() const;
  // The same computation; the values of the whole graph may differ.
  friend bool operator==(const Extract& a, const Extract& b);
};

Extract extract_group(const Graph& graph, const FusionPlan& plan, const Group& group);

}  // namespace plait::fusion
