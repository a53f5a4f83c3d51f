// Reductions, scans, concatenations and scatters.
#include <algorithm>
#include <limits>

#include "core/error.h"
#include "core/index/inverse_map.h"
#include "passes/simplify/simplifier.h"

namespace plait {
namespace {

bool is_order_free(ReduceOp op, DType dtype) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::prod:
      return !is_float(dtype);
    case ReduceOp::max:
    case ReduceOp::min:
    case ReduceOp::any:
    case ReduceOp::all:
      return true;
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      return false;
  }
  PLAIT_UNREACHABLE("reduce {}", static_cast<int>(op));
}

bool is_idempotent(ReduceOp op) {
  return op == ReduceOp::max || op == ReduceOp::min || op == ReduceOp::any || op == ReduceOp::all;
}

bool is_position(ReduceOp op) { return op == ReduceOp::argmax || op == ReduceOp::argmin; }

// What leaves every value alone: the fill of positions that take no part.
Scalar identity_of(ReduceOp op, DType dtype) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::any:
      return Scalar(dtype, 0);
    case ReduceOp::prod:
    case ReduceOp::all:
      return Scalar(dtype, 1);
    case ReduceOp::max:
    case ReduceOp::min:
      break;
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      PLAIT_UNREACHABLE("{} has no identity", name_of(op));
  }
  const bool largest = op == ReduceOp::max;
  if (is_float(dtype)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return Scalar(dtype, largest ? -infinity : infinity);
  }
  const int bits = dtype == DType::boolean ? 1 : static_cast<int>(dtype_size(dtype)) * 8;
  const int64_t lowest = is_signed(dtype) ? std::numeric_limits<int64_t>::min() >> (64 - bits) : 0;
  const int64_t highest = is_signed(dtype)          ? ~lowest
                          : dtype == DType::boolean ? 1
                                                    : -1;  // wraps to all ones
  return Scalar(dtype, largest ? lowest : highest);
}

BinaryOp combiner_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return BinaryOp::add;
    case ReduceOp::prod:
      return BinaryOp::mul;
    case ReduceOp::max:
      return BinaryOp::maximum;
    case ReduceOp::min:
      return BinaryOp::minimum;
    case ReduceOp::any:
      return BinaryOp::bit_or;
    case ReduceOp::all:
      return BinaryOp::bit_and;
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      break;
  }
  PLAIT_UNREACHABLE("{} combines no two values", name_of(op));
}

std::vector<int64_t> without(const std::vector<int64_t>& axes, int64_t removed) {
  std::vector<int64_t> result;
  for (int64_t axis : axes) {
    if (axis != removed) result.push_back(axis - (axis > removed));
  }
  return result;
}

bool at_least_one(Expr extent) { return prove_less(0, extent, {}) == true; }

}  // namespace

Simplifier::Rule Simplifier::reduce_rule(Value x, const Attributes& a, const Type& type) {
  const auto op = static_cast<ReduceOp>(a.function);
  const Shape shape = type_of(x).shape;
  if (a.axes.empty()) return x;
  for (int64_t axis : a.axes) {
    if (shape[axis].is_constant(0) && !is_position(op)) {
      return uniform(identity_of(op, type.dtype), type.shape);
    }
  }
  for (int64_t axis : a.axes) {
    if (!shape[axis].is_constant(1)) continue;
    if (is_position(op)) return uniform(Scalar(DType::i64, 0), type.shape);
    return reduce_of_one(x, op, a.axes, axis);
  }
  if (is(x, MetaOp::reduce) && node(x).reduce() == op && is_order_free(op, type_of(x).dtype)) {
    const Value source = node(x).operands[0];
    std::vector<int64_t> axes = node(x).attributes.axes;
    std::vector<int64_t> left;  // axis k of x is axis left[k] of its operand
    for (int64_t i = 0; i < static_cast<int64_t>(type_of(source).rank()); ++i) {
      if (std::ranges::find(axes, i) == axes.end()) left.push_back(i);
    }
    for (int64_t axis : a.axes) axes.push_back(left[axis]);
    std::ranges::sort(axes);
    return reduce(op, source, std::move(axes));
  }
  if (op == ReduceOp::sum) {
    if (const Rule folded = fold_uniform_sum({x}, a, type)) return folded;
  }
  if (is_idempotent(op) && is(x, MetaOp::broadcast)) return reduce_of_broadcast(x, a, type);
  return std::nullopt;
}

// A sum of one element starts at 0 as others do, which makes -0 a 0.
Value Simplifier::fold_of_one(ReduceOp op, Value x) {
  const Type type = type_of(x);
  if (op != ReduceOp::sum || !is_float(type.dtype)) return x;
  return binary(BinaryOp::add, x, uniform(Scalar(type.dtype, 0), type.shape));
}

// A reduced axis of one element just goes. The bits are those of a symbol that is 1: what is left
// of a sum of products is one.
Value Simplifier::reduce_of_one(Value x, ReduceOp op, const std::vector<int64_t>& axes,
                                int64_t axis) {
  const Type type = type_of(x);
  std::vector<Expr> map;
  Shape rest;
  for (int64_t i = 0; i < static_cast<int64_t>(type.rank()); ++i) {
    map.push_back(i == axis ? Expr(int64_t{0})
                            : Expr::variable(static_cast<uint32_t>(rest.size())));
    if (i != axis) rest.push_back(type.shape[i]);
  }
  const auto squeezed = [&](Value v) { return reindex({v}, rest, map, Scalar(type.dtype, 0)); };
  const bool float_sum = op == ReduceOp::sum && is_float(type.dtype);
  if (axes.size() == 1) return fold_of_one(op, squeezed(x));
  const Node node = this->node(x);
  const bool product = float_sum && node.op == MetaOp::binary && node.binary() == BinaryOp::mul;
  if (!product) return reduce(op, squeezed(x), without(axes, axis));
  const Value left = squeezed(node.operands[0]);
  const Value right = squeezed(node.operands[1]);
  return reduce(op, binary(BinaryOp::mul, left, right), without(axes, axis));
}

// The extremum of copies is that of one.
Simplifier::Rule Simplifier::reduce_of_broadcast(Value x, const Attributes& a, const Type&) {
  const Node copy = node(x);
  for (int64_t axis : a.axes) {
    const auto mapped = std::ranges::find(copy.attributes.axes, axis);
    if (mapped != copy.attributes.axes.end() || !at_least_one(copy.type.shape[axis])) continue;
    Shape shape = copy.type.shape;
    shape.erase(shape.begin() + axis);
    const Value smaller =
        broadcast(copy.operands[0], std::move(shape), without(copy.attributes.axes, axis));
    return reduce(static_cast<ReduceOp>(a.function), smaller, without(a.axes, axis));
  }
  return std::nullopt;
}

Simplifier::Rule Simplifier::scan_rule(Value x, const Attributes& a, const Type& type) {
  const auto op = static_cast<ReduceOp>(a.function);
  if (type.shape[a.axes[0]].is_constant(1)) return fold_of_one(op, x);
  if (op == ReduceOp::sum && is_uniform(x, 0)) return x;
  if (op == ReduceOp::prod && is_uniform(x, 1)) return x;
  if (is_idempotent(op) && uniform_of(x)) return x;
  return std::nullopt;
}

Simplifier::Rule Simplifier::sort_rule(Value x, const Attributes& a, const Type& type) {
  if (type.shape[a.axes[0]].is_constant(1)) return uniform(Scalar(DType::i64, 0), type.shape);
  if (uniform_of(x)) return meta::iota(g, DType::i64, type.shape, a.axes[0]);
  return std::nullopt;
}

Simplifier::Rule Simplifier::concat_rule(const std::vector<Value>& parts, const Attributes& a,
                                         const Type& type) {
  // An element asks each part whether it lies there: many parts are joined as a tree.
  constexpr size_t kMostParts = 16;
  const int64_t axis = a.axes[0];
  std::vector<Value> some, flat;
  for (Value part : parts) {
    if (type_of(part).shape[axis].is_constant(0)) continue;
    some.push_back(part);
    const bool nested = is(part, MetaOp::concat) && node(part).attributes.axes[0] == axis;
    if (nested) {
      const std::vector<Value>& inner = node(part).operands;
      flat.insert(flat.end(), inner.begin(), inner.end());
    } else {
      flat.push_back(part);
    }
  }
  if (some.empty()) return parts[0];
  if (flat.size() > kMostParts) flat = std::move(some);
  while (flat.size() > kMostParts) {
    std::vector<Value> joined;
    for (size_t first = 0; first < flat.size(); first += kMostParts) {
      const auto begin = flat.begin() + static_cast<std::ptrdiff_t>(first);
      const size_t count = std::min(kMostParts, flat.size() - first);
      std::vector<Value> group(begin, begin + static_cast<std::ptrdiff_t>(count));
      joined.push_back(count == 1 ? group[0] : meta::concat(g, std::move(group), axis));
    }
    flat = std::move(joined);
  }
  if (flat.size() == 1) return flat[0];
  if (flat != parts) return make(MetaOp::concat, std::move(flat), a, type);
  const std::optional<Scalar> first = uniform_of(parts[0]);
  if (first && std::ranges::all_of(parts, [&](Value v) { return uniform_of(v) == first; })) {
    return uniform(*first, type.shape);
  }
  return std::nullopt;
}

Simplifier::Rule Simplifier::scatter_rule(const std::vector<Value>& operands, const Attributes& a,
                                          const Type& type) {
  const Shape from = type_of(operands[1]).shape;
  if (a.out_of_range == OutOfRange::error) {
    const bool safe = all_of(entries_inside(a.map, type.shape, ranges_of(from)));
    if (!safe) return std::nullopt;
    Attributes unchecked = a;
    unchecked.out_of_range = OutOfRange::fill;
    return make(MetaOp::scatter, operands, std::move(unchecked), type);
  }
  if (element_count(from).is_constant(0)) return operands[0];
  const std::optional<InverseMap> inverse = invert_map(a.map, from, type.shape);
  if (!inverse || (a.replace && !inverse->windows.empty())) return std::nullopt;
  return inverse_scatter(operands, a, *inverse);
}

// Each destination element asks for its sources, one per window position.
Value Simplifier::inverse_scatter(const std::vector<Value>& operands, const Attributes& a,
                                  const InverseMap& inverse) {
  const Value destination = operands[0];
  const Type type = type_of(destination);
  const Shape from = type_of(operands[1]).shape;
  const auto op = static_cast<ReduceOp>(a.function);

  // The windows come before the last axis, along which the sums of neighbours are computed
  // together.
  const size_t rank = type.shape.size();
  const size_t before = rank == 0 ? 0 : rank - 1;
  Shape shape(type.shape.begin(), type.shape.begin() + static_cast<std::ptrdiff_t>(before));
  std::vector<int64_t> window_axes;
  for (Expr extent : inverse.windows) {
    window_axes.push_back(static_cast<int64_t>(shape.size()));
    shape.push_back(extent);
  }
  if (rank > 0) shape.push_back(type.shape.back());
  Substitution places;
  if (rank > 0) {
    places.emplace(static_cast<uint32_t>(before),
                   Expr::variable(static_cast<uint32_t>(shape.size() - 1)));
  }
  for (size_t j = 0; j < inverse.windows.size(); ++j) {
    places.emplace(static_cast<uint32_t>(rank + j),
                   Expr::variable(static_cast<uint32_t>(window_axes[j])));
  }
  // A guard is one more axis, of extent 1, whose index is in range when the guard is 0.
  Shape guarded = from;
  std::vector<int64_t> source_axes;
  for (size_t i = 0; i < from.size(); ++i) source_axes.push_back(static_cast<int64_t>(i));
  std::vector<Expr> map;
  for (Expr e : inverse.index) map.push_back(substitute(e, places));
  for (Expr guard : inverse.guards) {
    guarded.push_back(1);
    map.push_back(substitute(guard, places));
  }
  const auto pulled = [&](Value source, Scalar fill) {
    return reindex({broadcast(source, guarded, source_axes)}, shape, map, fill);
  };
  if (a.replace) {
    const Value written =
        pulled(uniform(Scalar(DType::boolean, 1), from), Scalar(DType::boolean, 0));
    return select(written, pulled(operands[1], Scalar(type.dtype, 0)), destination);
  }
  Value result = pulled(operands[1], identity_of(op, type.dtype));
  if (!window_axes.empty()) result = reduce(op, result, std::move(window_axes));
  if (uniform_of(destination) == identity_of(op, type.dtype)) return result;
  return binary(combiner_of(op), destination, result);
}

}  // namespace plait
