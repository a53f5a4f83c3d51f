// What each value of a graph is to fusion, and what it costs to compute it again.
#pragma once

#include <optional>
#include <vector>

#include "core/graph/graph.h"
#include "passes/fusion/plan.h"

namespace plait::fusion {

enum class Role : uint8_t {
  dead,
  source,    // in memory from the start: input, parameter, constant of several elements
  view,      // never computed by itself: broadcast, reindex, iota, scalars, widening casts of
             // these, and values generated from them without reading memory
  computed,  // everything else
};

struct Roles {
  std::vector<Role> role;
  // The contractions: their product is no value of its own, unless something else uses it.
  std::vector<std::optional<Contraction>> contractions;
  // For computed values, the computed or source values read through views, and the same upwards.
  std::vector<std::vector<Value>> real_operands;
  std::vector<std::vector<Value>> real_users;
  // What it costs to compute an elementwise value again from its leaves, in about simple
  // operations per element; infinite where it must be kept (reductions, or too much to redo).
  std::vector<double> recompute_cost;
  std::vector<bool> is_root;  // output or operand of an assign
};

// `log` receives why sums of products are no contractions.
Roles analyze_roles(const Graph& graph, std::vector<std::string>& log);

// Outputs, and what contractions, scatters, scans and sorts read: these look for it in memory.
bool must_store(const Graph& graph, const Roles& roles, Value v);

// A rough number of elements, symbols at their upper bounds: only to compare sizes.
double estimated_elements(const Shape& shape);
// Simple operations per element of one elementwise node.
double operation_cost(const Node& node);

}  // namespace plait::fusion
