// Broadcasts and reindexes: moving elements without changing them.
#include <algorithm>
#include <unordered_set>

#include "passes/simplify/simplifier.h"

namespace plait {
namespace {

// Substitution may square the size of maps; larger ones stay apart.
constexpr size_t kLargestMapEntry = 64;

size_t size_of(Expr e) {
  std::unordered_set<Expr> seen;
  std::vector<Expr> stack = {e};
  while (!stack.empty()) {
    const Expr top = stack.back();
    stack.pop_back();
    if (!seen.insert(top).second) continue;
    for (Expr operand : top.operands()) stack.push_back(operand);
  }
  return seen.size();
}

bool reads_tensors(const std::vector<Expr>& map) {
  return std::ranges::any_of(map, [](Expr e) { return contains_element(e); });
}

Substitution substitution_of(const std::vector<Expr>& map) {
  Substitution result;
  for (uint32_t i = 0; i < map.size(); ++i) result.emplace(i, map[i]);
  return result;
}

// The index tensors that the map reads, renumbered in the order of their operands.
void drop_unread(std::vector<Value>& operands, std::vector<Expr>& map) {
  std::vector<bool> read(operands.size() - 1, false);
  for (Expr e : map) {
    replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
      read[tensor] = true;
      return Expr::element(tensor, {indices.begin(), indices.end()});
    });
  }
  std::vector<uint32_t> number(read.size(), 0);
  std::vector<Value> kept = {operands[0]};
  for (size_t t = 0; t < read.size(); ++t) {
    if (!read[t]) continue;
    // The same tensor given twice is one.
    const auto found = std::find(kept.begin() + 1, kept.end(), operands[t + 1]);
    number[t] = static_cast<uint32_t>(found - kept.begin() - 1);
    if (found == kept.end()) kept.push_back(operands[t + 1]);
  }
  for (Expr& e : map) {
    e = replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
      return Expr::element(number[tensor], {indices.begin(), indices.end()});
    });
  }
  operands = std::move(kept);
}

// The map with every entry simple. An index along an axis of one element is 0, except where it is
// an axis of one element itself: then the operand has that axis, which decides whether a sum of
// products is a contraction, just as if the size were a symbol.
std::vector<Expr> canonical_map(const std::vector<Expr>& map, const Shape& over,
                                const Shape& extents) {
  const Ranges ranges = ranges_of(over);
  Substitution trivial;
  for (uint32_t i = 0; i < over.size(); ++i) {
    if (over[i].is_constant(1)) trivial.emplace(i, int64_t{0});
  }
  std::vector<Expr> result;
  for (size_t k = 0; k < map.size(); ++k) {
    const bool named = extents[k].is_constant(1) && map[k].kind() == ExprKind::variable &&
                       over[map[k].id()].is_constant(1);
    result.push_back(named ? map[k] : plait::simplify(substitute(map[k], trivial), ranges));
  }
  const std::vector<bool> inside = entries_inside(result, extents, ranges);
  for (size_t k = 0; k < result.size(); ++k) {
    const bool named = result[k].kind() == ExprKind::variable;
    if (inside[k] && extents[k].is_constant(1) && !named) result[k] = 0;
  }
  return result;
}

// The result axes of a map that only repeats its operand: rising axes of the operand's extents.
std::optional<std::vector<int64_t>> as_broadcast(const std::vector<Expr>& map, const Shape& extents,
                                                 const Shape& shape) {
  std::vector<int64_t> axes;
  for (size_t k = 0; k < map.size(); ++k) {
    if (map[k].kind() != ExprKind::variable) return std::nullopt;
    const int64_t axis = map[k].id();
    if (!axes.empty() && axis <= axes.back()) return std::nullopt;
    if (shape[axis] != extents[k]) return std::nullopt;
    axes.push_back(axis);
  }
  return axes;
}

// Whether an index outside the middle tensor on axis `a` always leads outside the inner one: some
// entry of the inner map is c * a + d with c > 0, negative below 0 and too large from S on.
bool outside_stays_outside(const std::vector<Expr>& inner, const Shape& inner_extents, uint32_t a,
                           Expr middle_extent) {
  for (size_t k = 0; k < inner.size(); ++k) {
    const std::optional<Linear> linear = linear_in(inner[k], a);
    if (!linear || !variables_of(linear->rest).empty()) continue;
    const auto step = linear->coefficient.constant();
    if (!step || *step < 1) continue;
    const Expr below = linear->rest - *step;
    const Expr above = *step * middle_extent + linear->rest;
    if (prove_less(below, 0, {}) == true && prove_less(inner_extents[k] - 1, above, {}) == true) {
      return true;
    }
  }
  return false;
}

}  // namespace

Simplifier::Rule Simplifier::broadcast_rule(Value x, const Attributes& a, const Type& type) {
  if (type_of(x).shape == type.shape) return x;  // rising axes of one rank are the identity
  if (is(x, MetaOp::broadcast)) {
    std::vector<int64_t> axes;
    for (int64_t axis : node(x).attributes.axes) axes.push_back(a.axes[axis]);
    return broadcast(node(x).operands[0], type.shape, std::move(axes));
  }
  return std::nullopt;
}

Simplifier::Rule Simplifier::reindex_rule(const std::vector<Value>& operands, const Attributes& a,
                                          const Type& type) {
  const Shape extents = type_of(operands[0]).shape;
  std::vector<Value> fresh = operands;
  std::vector<Expr> map = canonical_map(a.map, type.shape, extents);
  drop_unread(fresh, map);
  const Ranges ranges = ranges_of(type.shape);
  const std::vector<bool> inside = entries_inside(map, extents, ranges);
  Scalar fill = a.fill;
  OutOfRange policy = a.out_of_range;
  if (all_of(inside)) {
    fill = Scalar(type.dtype, 0);
    policy = OutOfRange::fill;
  }
  if (map != a.map || fresh != operands || fill != a.fill || policy != a.out_of_range) {
    return reindex(std::move(fresh), type.shape, std::move(map), fill, policy);
  }
  if (const auto axes = as_broadcast(map, extents, type.shape)) {
    return broadcast(operands[0], type.shape, *axes);
  }
  if (policy == OutOfRange::fill) {
    for (size_t k = 0; k < map.size(); ++k) {
      if (prove_less(map[k], 0, ranges) == true ||
          prove_less(extents[k] - 1, map[k], ranges) == true) {
        return uniform(fill, type.shape);
      }
    }
    const std::optional<Scalar> value = uniform_of(operands[0]);
    if (value && (all_of(inside) || *value == fill)) return uniform(*value, type.shape);
  }
  return reindex_source_rule(operands, a, type, inside);
}

Simplifier::Rule Simplifier::reindex_source_rule(const std::vector<Value>& operands,
                                                 const Attributes& a, const Type& type,
                                                 const std::vector<bool>& inside) {
  const MetaOp source = node(operands[0]).op;
  if (source == MetaOp::reindex) return reindex_of_reindex(operands, a, type, inside);
  if (source == MetaOp::broadcast) return reindex_of_broadcast(operands, a, type, inside);
  if (source == MetaOp::concat) return reindex_of_concat(operands, a, type, inside);
  if (source == MetaOp::iota) return reindex_of_iota(operands[0], a, type, inside);
  return std::nullopt;
}

Simplifier::Rule Simplifier::reindex_of_reindex(const std::vector<Value>& operands,
                                                const Attributes& a, const Type& type,
                                                const std::vector<bool>& inside) {
  const Node inner = node(operands[0]);  // a copy: the graph grows
  // An index error of the inner one names its op, and a position in its own result.
  if (inner.attributes.out_of_range == OutOfRange::error) return std::nullopt;
  const Shape extents = type_of(inner.operands[0]).shape;
  if (!all_of(inside)) {
    if (a.out_of_range == OutOfRange::error || inner.attributes.fill != a.fill ||
        reads_tensors(inner.attributes.map)) {
      return std::nullopt;
    }
    for (uint32_t k = 0; k < inside.size(); ++k) {
      if (!inside[k] &&
          !outside_stays_outside(inner.attributes.map, extents, k, inner.type.shape[k])) {
        return std::nullopt;
      }
    }
  }
  const auto inner_tensors = static_cast<uint32_t>(inner.operands.size() - 1);
  std::vector<Expr> outer;
  for (Expr e : a.map) outer.push_back(renumber_elements(e, inner_tensors));
  const Substitution substitution = substitution_of(outer);
  const Ranges ranges = ranges_of(type.shape);
  std::vector<Expr> map;
  for (Expr e : inner.attributes.map) {
    const Expr entry = substitute(e, substitution);
    // A lone variable stays, see canonical_map.
    map.push_back(entry.kind() == ExprKind::variable ? entry : plait::simplify(entry, ranges));
    if (size_of(map.back()) > kLargestMapEntry) return std::nullopt;
  }
  std::vector<Value> fresh = inner.operands;
  fresh.insert(fresh.end(), operands.begin() + 1, operands.end());
  return reindex(std::move(fresh), type.shape, std::move(map), inner.attributes.fill,
                 inner.attributes.out_of_range);
}

Simplifier::Rule Simplifier::reindex_of_broadcast(const std::vector<Value>& operands,
                                                  const Attributes& a, const Type& type,
                                                  const std::vector<bool>& inside) {
  const Node inner = node(operands[0]);
  const Shape from = type_of(inner.operands[0]).shape;
  std::vector<Expr> map;
  std::vector<bool> guarded(inside.size(), false);
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t axis = inner.attributes.axes[i];
    if (from[i] == inner.type.shape[axis]) {
      guarded[axis] = true;  // its range is still checked
      map.push_back(a.map[axis]);
    } else if (from[i].is_constant(1)) {
      map.push_back(0);
    } else {
      return std::nullopt;  // equal by a guard only
    }
  }
  for (size_t axis = 0; axis < inside.size(); ++axis) {
    if (!guarded[axis] && !inside[axis]) return std::nullopt;
  }
  std::vector<Value> fresh = operands;
  fresh[0] = inner.operands[0];
  return reindex(std::move(fresh), type.shape, std::move(map), a.fill, a.out_of_range);
}

// A part alone, if the index stays in it.
Simplifier::Rule Simplifier::reindex_of_concat(const std::vector<Value>& operands,
                                               const Attributes& a, const Type& type,
                                               const std::vector<bool>& inside) {
  const Node inner = node(operands[0]);
  const int64_t axis = inner.attributes.axes[0];
  if (!inside[axis]) return std::nullopt;
  const Ranges ranges = ranges_of(type.shape);
  Expr begin = 0;
  for (Value part : inner.operands) {
    const Expr end = begin + type_of(part).shape[axis];
    if (prove_less(begin - 1, a.map[axis], ranges) == true &&
        prove_less(a.map[axis], end, ranges) == true) {
      std::vector<Value> fresh = operands;
      fresh[0] = part;
      std::vector<Expr> map = a.map;
      map[axis] = map[axis] - begin;
      return reindex(std::move(fresh), type.shape, std::move(map), a.fill, a.out_of_range);
    }
    begin = end;
  }
  return std::nullopt;
}

Simplifier::Rule Simplifier::reindex_of_iota(Value x, const Attributes& a, const Type& type,
                                             const std::vector<bool>& inside) {
  if (!all_of(inside)) return std::nullopt;
  const Expr e = a.map[node(x).attributes.axes[0]];
  if (e.kind() == ExprKind::variable) return meta::iota(g, type.dtype, type.shape, e.id());
  if (const auto value = e.constant()) return uniform(Scalar(type.dtype, *value), type.shape);
  return std::nullopt;
}

}  // namespace plait
