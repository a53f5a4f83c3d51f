#include "passes/fusion/axis_roles.h"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace plait::fusion {
namespace {

// Of the member's tuple, and those of one element that are not reduced.
std::vector<uint32_t> axes_in(const Member& member, const std::vector<Expr>& extents) {
  std::set<uint32_t> axes;
  for (uint32_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis].is_constant(1)) axes.insert(axis);
  }
  for (uint32_t axis : member.reduced) axes.erase(axis);
  for (Expr e : member.tuple) {
    for (uint32_t id : variables_of(e)) axes.insert(id);
  }
  return {axes.begin(), axes.end()};
}

std::vector<uint32_t> complement(const std::vector<uint32_t>& axes, size_t count) {
  std::vector<uint32_t> rest;
  for (uint32_t axis = 0; axis < count; ++axis) {
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) rest.push_back(axis);
  }
  return rest;
}

using Runs = std::vector<std::vector<uint32_t>>;

// Ascending axes, cut where they are no neighbours: what loops merge.
Runs runs_of(const std::vector<uint32_t>& axes) {
  Runs runs;
  for (uint32_t axis : axes) {
    if (runs.empty() || runs.back().back() + 1 != axis) runs.emplace_back();
    runs.back().push_back(axis);
  }
  return runs;
}

// A member as the division sees it. The order of a reduction's additions (core/reduction_order.h)
// follows from its operand's shape: runs of neighbouring reduced axes, as group axes, and whether
// the operand ends with the last of them.
struct AxisUse {
  std::vector<uint32_t> kept;  // group axes of the tuple
  bool read_inside = false;    // by another member: must be complete inside the nest
  bool reduces = false;
  bool is_indexed = false;  // argmax, argmin
  Runs runs;
  bool ends_contiguous = false;
};

AxisUse axis_use(const Graph& graph, const Member& member, const std::vector<Expr>& extents) {
  AxisUse use;
  use.kept = axes_in(member, extents);
  const Node& node = graph.node(member.value);
  if (node.op != MetaOp::reduce) return use;
  use.reduces = true;
  use.is_indexed = node.reduce() == ReduceOp::argmax || node.reduce() == ReduceOp::argmin;
  const std::vector<int64_t>& axes = node.attributes.axes;
  const Shape& shape = graph.type(node.operands[0]).shape;
  size_t next = 0;  // of the reduced axes
  for (size_t k = 0; k < shape.size(); ++k) {
    if (next < axes.size() && axes[next] == static_cast<int64_t>(k)) {
      if (!use.ends_contiguous) use.runs.emplace_back();
      use.runs.back().push_back(member.reduced[next++]);
      use.ends_contiguous = true;
    } else {
      use.ends_contiguous = false;
    }
  }
  return use;
}

// Along each row: the inner loops run through the operand's elements in its own order.
bool folds_along(const AxisUse& use, const AxisRoles& roles, bool inner_is_last) {
  // Something per row read back over the row needs rows to run in parallel.
  if (use.read_inside && roles.outer.empty() && !roles.inner.empty()) return false;
  return use.kept == roles.outer && use.runs == runs_of(roles.inner) &&
         use.ends_contiguous == (inner_is_last || roles.inner.empty());
}

// Over the rows themselves, in their order: accumulates across them, so only a later nest can read
// it, and the operand must run over the contiguous inner axes.
bool folds_across(const AxisUse& use, const AxisRoles& roles, bool inner_is_last) {
  return !use.is_indexed && !use.read_inside && use.kept == roles.inner && inner_is_last &&
         !use.ends_contiguous && use.runs == Runs{roles.outer};
}

// Every member must be full, per row, or a reduction along or across the rows.
bool accepts(const std::vector<AxisUse>& uses, const AxisRoles& roles, size_t axes) {
  const bool inner_is_last = !roles.inner.empty() && roles.inner.back() + 1 == axes;
  return std::all_of(uses.begin(), uses.end(), [&](const AxisUse& use) {
    if (!use.reduces) return use.kept.size() == axes || use.kept == roles.outer;
    return folds_along(use, roles, inner_is_last) || folds_across(use, roles, inner_is_last);
  });
}

}  // namespace

std::optional<AxisRoles> divide_axes(const Graph& graph, const Roles& roles,
                                     const std::vector<Member>& members,
                                     const std::vector<Expr>& extents) {
  const size_t axes = extents.size();
  std::unordered_map<Value, size_t> position;
  std::vector<AxisUse> uses;
  for (const Member& member : members) {
    position.emplace(member.value, uses.size());
    uses.push_back(axis_use(graph, member, extents));
  }
  for (const Member& member : members) {
    for (Value operand : roles.real_operands[member.value]) {
      const auto it = position.find(operand);
      if (it != position.end()) uses[it->second].read_inside = true;
    }
  }
  // Members below full rank propose the outer axes: first those that something reads inside.
  std::vector<std::vector<uint32_t>> proposals;
  for (const bool read : {true, false}) {
    for (const AxisUse& use : uses) {
      const bool below = use.kept.size() < axes || use.reduces;
      const bool known = std::find(proposals.begin(), proposals.end(), use.kept) != proposals.end();
      if (below && use.read_inside == read && !known) proposals.push_back(use.kept);
    }
  }
  if (proposals.empty()) proposals.push_back(complement({}, axes));
  for (const std::vector<uint32_t>& outer : proposals) {
    const AxisRoles result{outer, complement(outer, axes)};
    if (accepts(uses, result, axes)) return result;
  }
  return std::nullopt;
}

}  // namespace plait::fusion
