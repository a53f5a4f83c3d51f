#include "jit/lower/digits.h"

#include <algorithm>

#include "core/error.h"
#include "passes/fusion/instance.h"

namespace plait::lower {
namespace {

// Values that a read walks through: packed factors are views of memory, rarely more.
constexpr size_t kMostVisits = 64;

size_t divisions(Expr e) {
  size_t count = e.kind() == ExprKind::floor_div || e.kind() == ExprKind::mod ? 1 : 0;
  for (Expr operand : e.operands()) count += divisions(operand);
  return count;
}

}  // namespace

Expr bind_index(Values& values, Expr e, Expr extent) {
  e = values.simplified(e);
  if (e.constant() || e.kind() == ExprKind::variable) return e;
  return values.bind(values.builder().index(e), extent);
}

std::vector<Expr> bind_digits(Values& values, const Digits& digits, Expr index) {
  std::vector<Expr> at(digits.axes.size());
  for (size_t i = at.size(); i-- > 1;) {
    const Expr extent = digits.axes[i].extent;
    at[i] = bind_index(values, mod(index, extent), extent);
    index = floor_div(index, extent);
  }
  if (!at.empty()) at[0] = bind_index(values, index, digits.axes[0].extent);
  return at;
}

std::optional<Reads> reads_of(const Graph& graph, const fusion::FusionPlan& plan, Value value,
                              const Tuple& tuple, const Ranges& ranges) {
  Reads reads;
  std::vector<std::pair<Value, Tuple>> open = {{value, tuple}};
  for (size_t visits = 0; !open.empty(); ++visits) {
    if (visits == kMostVisits) return std::nullopt;
    const auto [v, at] = std::move(open.back());
    open.pop_back();
    const Node& node = graph.node(v);
    if (plan.in_memory[v]) {
      reads.addresses.push_back(simplify(linear_index(node.type.shape, at), ranges));
      continue;
    }
    if (node.op == MetaOp::constant) continue;
    if (node.op == MetaOp::iota) {
      reads.addresses.push_back(simplify(at[node.attributes.axes[0]], ranges));
      continue;
    }
    const bool follows =
        is_elementwise(node.op) || node.op == MetaOp::broadcast || node.op == MetaOp::reindex;
    if (!follows || fusion::is_data_indexed(node)) return std::nullopt;
    const size_t count = node.op == MetaOp::reindex ? 1 : node.operands.size();
    for (size_t i = 0; i < count; ++i) {
      Tuple below = fusion::operand_tuple(graph, node, at, i);
      const Shape& shape = graph.type(node.operands[i]).shape;
      for (size_t k = 0; k < below.size(); ++k) {
        below[k] = simplify(below[k], ranges);
        const Interval interval = bounds(below[k], ranges);
        const bool inside =
            interval.lo && *interval.lo >= 0 && prove_less(below[k], shape[k], ranges) == true;
        const IndexGuard guard{below[k], shape[k]};
        const bool known =
            std::find(reads.guards.begin(), reads.guards.end(), guard) != reads.guards.end();
        if (!inside && !known) reads.guards.push_back(guard);
      }
      open.emplace_back(node.operands[i], std::move(below));
    }
  }
  return reads;
}

namespace {

// The distance of neighbours of the flat index over `axes` where it is the same everywhere.
std::optional<Expr> flat_stride(Expr address, const std::vector<uint32_t>& axes,
                                const std::vector<Expr>& extents) {
  std::optional<Expr> stride;
  Expr inner = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    if (extents[axes[i]].is_constant(1)) continue;
    const auto linear = linear_in(address, axes[i]);
    if (!linear || !variables_of(linear->coefficient).empty()) return std::nullopt;
    if (!stride) stride = linear->coefficient;
    if (!(linear->coefficient == *stride * inner)) return std::nullopt;
    inner = inner * extents[axes[i]];
  }
  return stride.value_or(Expr(1));
}

std::optional<FactorLayout::Rows> rows_of(Value source, Expr address,
                                          const std::vector<uint32_t>& own,
                                          const std::vector<uint32_t>& k,
                                          const std::vector<Expr>& extents) {
  const std::optional<Expr> pitch = flat_stride(address, own, extents);
  const std::optional<Expr> step = flat_stride(address, k, extents);
  if (!pitch || !step || !step->is_constant(1)) return std::nullopt;
  Substitution start;
  for (uint32_t axis : own) start.emplace(axis, 0);
  for (uint32_t axis : k) start.emplace(axis, 0);
  return FactorLayout::Rows{source, substitute(address, start), *pitch};
}

}  // namespace

FactorLayout layout_of(const Graph& graph, const fusion::FusionPlan& plan, Value value,
                       const Tuple& tuple, const std::vector<Expr>& extents,
                       const std::vector<uint32_t>& own, const std::vector<uint32_t>& k) {
  Ranges ranges;
  for (uint32_t axis = 0; axis < extents.size(); ++axis) ranges.set(axis, extents[axis]);
  FactorLayout result;
  bool casts = false, in_range = true;
  Value v = value;
  Tuple at = tuple;
  while (!plan.in_memory[v]) {
    const Node& node = graph.node(v);
    const bool follows = node.op == MetaOp::broadcast || node.op == MetaOp::reindex ||
                         node.op == MetaOp::cast || node.op == MetaOp::detach;
    if (!follows || fusion::is_data_indexed(node)) return {false, false, false, false, {}};
    at = fusion::operand_tuple(graph, node, at, 0);
    if (node.op == MetaOp::cast) casts = true;
    const Shape& shape = graph.type(node.operands[0]).shape;
    for (size_t axis = 0; axis < at.size(); ++axis) {
      at[axis] = simplify(at[axis], ranges);
      const Interval interval = bounds(at[axis], ranges);
      const bool inside =
          interval.lo && *interval.lo >= 0 && prove_less(at[axis], shape[axis], ranges) == true;
      in_range = in_range && inside;
    }
    v = node.operands[0];
  }
  const Expr address = simplify(linear_index(graph.type(v).shape, at), ranges);
  auto contiguous = [&](const std::vector<uint32_t>& axes) {
    if (axes.empty()) return false;
    const auto linear = linear_in(address, axes.back());
    return linear && linear->coefficient.is_constant(1);
  };
  result.plain = in_range && !casts;
  if (in_range) result.rows = rows_of(v, address, own, k, extents);
  result.own_contiguous = contiguous(own);
  result.k_contiguous = contiguous(k);
  return result;
}

Expr Digits::extent() const {
  Expr result = 1;
  for (const LoopAxis& axis : axes) result = result * axis.extent;
  return result;
}

Expr Digits::inner() const {
  Expr result = 1;
  for (size_t i = 1; i < axes.size(); ++i) result = result * axes[i].extent;
  return result;
}

bool Digits::fixed() const {
  return std::all_of(axes.begin() + (axes.empty() ? 0 : 1), axes.end(),
                     [](const LoopAxis& axis) { return axis.extent.constant().value_or(0) > 0; });
}

Digits digits_of(const std::vector<uint32_t>& axes, const std::vector<Expr>& extents,
                 const Reads& reads) {
  std::vector<Expr> all = reads.addresses;
  for (const IndexGuard& guard : reads.guards) all.push_back(guard.index);
  const auto fresh = static_cast<uint32_t>(extents.size());
  auto stays_linear = [&](const LoopAxis& merged) {
    Ranges ranges;
    std::vector<Expr> indices;
    for (uint32_t axis = 0; axis < fresh; ++axis) {
      indices.push_back(Expr::variable(axis));
      ranges.set(axis, extents[axis]);
    }
    ranges.set(fresh, merged.extent);
    expand_axis(merged, Expr::variable(fresh), extents, indices);
    Substitution substitution;
    for (uint32_t axis = 0; axis < fresh; ++axis) substitution.emplace(axis, indices[axis]);
    return std::all_of(all.begin(), all.end(), [&](Expr e) {
      return divisions(simplify(substitute(e, substitution), ranges)) <= divisions(e);
    });
  };
  Digits result;
  for (uint32_t axis : axes) {
    if (!result.axes.empty()) {
      LoopAxis merged = result.axes.back();
      merged.group_axes.push_back(axis);
      merged.extent = merged.extent * extents[axis];
      if (stays_linear(merged)) {
        result.axes.back() = std::move(merged);
        continue;
      }
    }
    result.axes.push_back({{axis}, extents[axis], false});
  }
  return result;
}

Digits digits_of_results(const Graph& graph, const fusion::FusionPlan& plan,
                         const fusion::Nest& nest, Value contraction, const LoopAxis& axis,
                         const std::vector<Expr>& extents) {
  Ranges ranges;
  for (uint32_t k = 0; k < extents.size(); ++k) ranges.set(k, extents[k]);
  Reads reads;
  for (const fusion::Member& member : nest.members) {
    const Node& node = graph.node(member.value);
    if (plan.in_memory[member.value]) {
      reads.addresses.push_back(simplify(linear_index(node.type.shape, member.tuple), ranges));
    }
    if (member.value == contraction) continue;
    for (Value operand : node.operands) {
      const auto found = reads_of(graph, plan, operand, member.tuple, ranges);
      if (!found) continue;
      reads.addresses.insert(reads.addresses.end(), found->addresses.begin(),
                             found->addresses.end());
      reads.guards.insert(reads.guards.end(), found->guards.begin(), found->guards.end());
    }
  }
  Digits digits = digits_of(axis.group_axes, extents, reads);
  return digits.fixed() ? std::move(digits) : Digits();
}

bool results_end_left(const fusion::Nest& nest) {
  auto has = [](const std::vector<uint32_t>& axes, uint32_t axis) {
    return std::find(axes.begin(), axes.end(), axis) != axes.end();
  };
  // 1, or -1 for the right one, or 0 for neither.
  auto vote = [&](const Tuple& tuple) {
    for (size_t i = tuple.size(); i-- > 0;) {
      for (uint32_t axis : variables_of(tuple[i])) {
        if (has(nest.contraction->n, axis)) return -1;
        if (has(nest.contraction->m, axis)) return 1;
      }
    }
    return 0;
  };
  int votes = 0;
  for (const fusion::Member& member : nest.members) {
    if (std::find(nest.stores.begin(), nest.stores.end(), member.value) != nest.stores.end()) {
      votes += vote(member.tuple);
    }
  }
  return votes > 0;
}

Cut cut_lanes(Values& values, const Digits& digits, Expr first, int64_t lanes) {
  const std::vector<LoopAxis>& axes = digits.axes;
  if (axes.size() < 2) return {{{{}, Expr()}}, first, digits.extent(), 1, lanes};
  const int64_t run = *axes.back().extent.constant();
  // Vectors start at multiples of a number that divides the runs, so fewer pieces may do.
  int64_t step = 1;
  while (step < lanes && run % (2 * step) == 0 && is_multiple_of(first, 2 * step)) step *= 2;
  const int64_t count = (run - step + lanes - 1) / run + 1;

  Cut cut;
  cut.lanes = lanes;
  cut.run = run;
  cut.rows = values.simplified(floor_div(digits.extent(), run));
  cut.head = step * bind_index(values, floor_div(mod(first, run), step), run / step);
  for (int64_t j = 0; j < count; ++j) {
    Cut::Piece piece;
    piece.row = values.simplified(floor_div(first, run) + j);
    if (j > 0 && prove_less(piece.row, cut.rows, values.ranges()) == false) break;  // past the end
    piece.outer.resize(axes.size() - 1);
    Expr rest = piece.row;
    for (size_t i = axes.size() - 1; i-- > 1;) {
      piece.outer[i] = bind_index(values, mod(rest, axes[i].extent), axes[i].extent);
      rest = floor_div(rest, axes[i].extent);
    }
    piece.outer[0] = bind_index(values, min(rest, axes[0].extent - 1), axes[0].extent);
    cut.pieces.push_back(std::move(piece));
  }
  return cut;
}

void each_piece(Values& values, const Cut& cut, Expr lane,
                const std::function<void(const std::vector<Expr>& digits)>& body) {
  for (size_t j = 0; j < cut.pieces.size(); ++j) {
    std::vector<Expr> digits = cut.pieces[j].outer;
    digits.push_back(values.simplified(cut.last_digit(j, lane)));
    values.branch_in_range({{cut.pieces[j].row, cut.rows}, {digits.back(), cut.run}},
                           [&] { body(digits); }, {});
  }
}

void each_index(Values& values, const Digits& digits, Innermost innermost, Expr start, Expr length,
                const std::function<void(const std::vector<Expr>& digits, Expr step)>& body) {
  if (digits.axes.empty()) {
    values.loop(LoopKind::serial, length, [&](Expr step) { body({}, step); });
    return;
  }
  if (digits.axes.size() == 1) {
    values.loop(LoopKind::serial, length,
                [&](Expr step) { body({values.simplified(start + step)}, step); });
    return;
  }
  const Expr inner = digits.inner();
  const int64_t size = *inner.constant();
  const Expr limit = digits.axes[0].extent;
  std::vector<Expr> at(digits.axes.size());
  // The digits after the first, then what stands inside with their flat index.
  const std::function<void(size_t, Expr, const std::function<void(Expr)>&)> lower_digits =
      [&](size_t digit, Expr flat, const std::function<void(Expr)>& inside) {
        if (digit == digits.axes.size()) return inside(flat);
        const Expr extent = digits.axes[digit].extent;
        values.loop(LoopKind::serial, extent, [&](Expr index) {
          at[digit] = index;
          lower_digits(digit + 1, flat * extent + index, inside);
        });
      };
  auto first_digit = [&](Expr from, Expr to, const std::function<void(Expr)>& inside) {
    values.loop(LoopKind::serial, values.simplified(to - from), [&](Expr c) {
      at[0] = bind_index(values, min(from + c, limit - 1), limit);
      inside(values.simplified(from + c));
    });
  };
  const bool whole = is_multiple_of(start, size) && is_multiple_of(length, size);
  if (innermost == Innermost::first_digit) {
    lower_digits(1, 0, [&](Expr low) {
      const Expr from = whole ? floor_div(start, inner) : ceil_div(start - low, inner);
      const Expr to =
          whole ? from + floor_div(length, inner) : ceil_div(start + length - low, inner);
      first_digit(from, to, [&](Expr c) { body(at, values.simplified(c * inner + low - start)); });
    });
    return;
  }
  const Expr from = floor_div(start, inner);
  first_digit(from, ceil_div(start + length, inner), [&](Expr c) {
    lower_digits(1, 0, [&](Expr low) {
      const Expr step = values.simplified(c * inner + low - start);
      if (whole) return body(at, step);
      values.branch_in_range({{step, length}}, [&] { body(at, step); }, {});
    });
  });
}

}  // namespace plait::lower
