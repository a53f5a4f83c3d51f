// How the axes of a nest divide: rows, and what runs along them.
#pragma once

#include <optional>
#include <vector>

#include "core/graph/graph.h"
#include "passes/fusion/plan.h"
#include "passes/fusion/roles.h"

namespace plait::fusion {

// The axes that a nest's row-level members have (outer) and the others (inner); empty optional if
// the members do not agree on such a division, or a reduction is read where it is incomplete. Axes
// of one element are outer: every member has them, and they part reduced axes as others do.
struct AxisRoles {
  std::vector<uint32_t> outer, inner;
};
std::optional<AxisRoles> divide_axes(const Graph& graph, const Roles& roles,
                                     const std::vector<Member>& members,
                                     const std::vector<Expr>& extents);

}  // namespace plait::fusion
