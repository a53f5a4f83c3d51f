// Gradient rules of the meta-operators that move, join or combine elements.
#include <algorithm>

#include "core/error.h"
#include "core/index/simplify.h"
#include "core/rules/grad_builder.h"

namespace plait {
namespace {

std::vector<Expr> identity_map(size_t rank) {
  std::vector<Expr> map;
  for (size_t i = 0; i < rank; ++i) map.push_back(Expr::variable(static_cast<uint32_t>(i)));
  return map;
}

std::vector<Value> index_operands(const Node& node, size_t first) {
  return {node.operands.begin() + static_cast<std::ptrdiff_t>(first), node.operands.end()};
}

// x[i + offset] along the axis, `fill` outside.
Value shifted(GradBuilder b, Value x, int64_t axis, Expr offset, double fill) {
  const Type type = b.type(x);
  std::vector<Expr> map = identity_map(type.rank());
  map[axis] = map[axis] + offset;
  return meta::reindex(b.g, x, type.shape, std::move(map), Scalar(type.dtype, fill));
}

// The product of all elements before each one (after it, if reverse).
Value exclusive_product(GradBuilder b, Value x, int64_t axis, bool reverse) {
  return shifted(b, meta::scan(b.g, ReduceOp::prod, x, axis, reverse), axis, reverse ? 1 : -1, 1);
}

// Several axes made one, the last; and back.
struct Flattening {
  Shape shape;                // of the tensor with its axes apart
  std::vector<int64_t> axes;  // sorted

  Value flatten(GradBuilder b, Value x) const {
    std::vector<Expr> map(shape.size());
    Shape flat;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (merged(i)) continue;
      map[i] = Expr::variable(static_cast<uint32_t>(flat.size()));
      flat.push_back(shape[i]);
    }
    const auto last = static_cast<uint32_t>(flat.size());
    Expr count = 1;
    for (int64_t axis : axes) count = count * shape[axis];
    flat.push_back(count);
    Ranges ranges;
    ranges.set(last, count);
    for (int64_t axis : axes) {
      const Expr quotient = floor_div(Expr::variable(last), stride_of(axis));
      map[axis] = simplify(mod(quotient, shape[axis]), ranges);
    }
    return meta::reindex(b.g, x, std::move(flat), std::move(map));
  }

  Value unflatten(GradBuilder b, Value x) const {
    std::vector<Expr> map;
    Expr flat = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      const Expr index = Expr::variable(static_cast<uint32_t>(i));
      if (merged(i)) {
        flat = flat + index * stride_of(static_cast<int64_t>(i));
      } else {
        map.push_back(index);
      }
    }
    map.push_back(flat);
    return meta::reindex(b.g, x, shape, std::move(map));
  }

 private:
  bool merged(size_t axis) const {
    return std::ranges::binary_search(axes, static_cast<int64_t>(axis));
  }
  Expr stride_of(int64_t axis) const {
    Expr stride = 1;
    for (int64_t other : axes) {
      if (other > axis) stride = stride * shape[other];
    }
    return stride;
  }
};

Value grad_product(GradBuilder b, const Node& node, Value g) {
  const Value x = node.operands[0];
  const Flattening axes{b.type(x).shape, node.attributes.axes};
  const bool several = node.attributes.axes.size() > 1;
  const Value line = several ? axes.flatten(b, b.wide(x)) : b.wide(x);
  const int64_t axis =
      several ? static_cast<int64_t>(b.type(line).rank()) - 1 : node.attributes.axes[0];
  Value others =
      b.mul(exclusive_product(b, line, axis, false), exclusive_product(b, line, axis, true));
  if (several) others = axes.unflatten(b, others);
  const Value restored = meta::restore_axes(b.g, b.wide(g), b.type(x).shape, node.attributes.axes);
  return b.narrow(b.mul(restored, others), node.type.dtype);
}

// Where x is not beaten by the extremum y of its set.
Value attains(GradBuilder b, bool largest, Value x, Value y) {
  return b.negated(largest ? b.lt(x, y) : b.lt(y, x));
}

Value grad_extremum_reduce(GradBuilder b, const Node& node, Value result, Value g) {
  const Value x = node.operands[0];
  const Shape shape = b.type(x).shape;
  const std::vector<int64_t>& axes = node.attributes.axes;
  const Value mask =
      attains(b, node.reduce() == ReduceOp::max, x, meta::restore_axes(b.g, result, shape, axes));
  const Value count = b.sum(b.indicator(mask, compute_type(node.type.dtype)), axes);
  const Value share = b.narrow(b.div(b.wide(g), count), node.type.dtype);
  const Value restored = meta::restore_axes(b.g, share, shape, axes);
  return b.select(mask, restored, b.like(restored, 0));
}

// y_k = x_0 ... x_k. Up to the first zero the quotient (sum of g y from here on) / x is right; at
// the first zero the same sum with that factor left out; after it nothing flows.
Value grad_scan_product(GradBuilder b, const Node& node, Value result, Value cotangent) {
  const int64_t axis = node.attributes.axes[0];
  const bool reverse = node.attributes.reverse;
  const Value x = b.wide(node.operands[0]);
  const Value g = b.wide(cotangent);
  const Value zero = b.like(x, 0);
  const Value one = b.like(x, 1);
  auto later_sum = [&](Value v) { return meta::scan(b.g, ReduceOp::sum, v, axis, !reverse); };
  const Value is_zero = b.eq(x, zero);
  const Value seen =
      meta::scan(b.g, ReduceOp::sum, b.indicator(is_zero, DType::i64), axis, reverse);
  const Value before = b.eq(seen, b.like(seen, 0));
  const Value first = b.both(is_zero, b.eq(seen, b.like(seen, 1)));
  const Value y = b.type(x).dtype == node.type.dtype
                      ? result
                      : meta::scan(b.g, ReduceOp::prod, x, axis, reverse);
  const Value without = meta::scan(b.g, ReduceOp::prod, b.select(first, one, x), axis, reverse);
  const Value up_to_zero = b.div(later_sum(b.mul(g, y)), x);
  const Value at_zero = later_sum(b.select(before, zero, b.mul(g, without)));
  const Value total = b.select(before, up_to_zero, b.select(first, at_zero, zero));
  return b.narrow(total, node.type.dtype);
}

Value grad_scan_extremum(GradBuilder b, const Node& node, Value result, Value g) {
  const int64_t axis = node.attributes.axes[0];
  const bool reverse = node.attributes.reverse;
  const Value x = node.operands[0];
  const Type type = b.type(x);
  const Value attained = attains(b, node.reduce() == ReduceOp::max, x, result);
  const Value position = meta::iota(b.g, DType::i64, type.shape, axis);
  const Value extent = meta::size(b.g, type.shape[axis]);
  const Value none =
      reverse ? meta::broadcast_scalar(b.g, extent, type.shape) : b.like(position, -1);
  // The latest position, in scan order, that attains the running value.
  const Value source = meta::scan(b.g, reverse ? ReduceOp::min : ReduceOp::max,
                                  b.select(attained, position, none), axis, reverse);
  std::vector<Expr> map = identity_map(type.rank());
  map[axis] = Expr::element(0, identity_map(type.rank()));
  return meta::scatter(b.g, ReduceOp::sum, b.like(x, 0), g, std::move(map), {source});
}

std::vector<Value> grad_replace(GradBuilder b, const Node& node, Value g) {
  const Type destination = b.type(node.operands[0]);
  const Type updates = b.type(node.operands[1]);
  const std::vector<Value> indices = index_operands(node, 2);
  const std::vector<Expr>& map = node.attributes.map;
  const OutOfRange policy = node.attributes.out_of_range;
  // Each update's number, written the way the updates were: what is found again has won.
  const Value flat = meta::iota(b.g, DType::i64, {element_count(updates.shape)}, 0);
  const std::vector<Expr> here = identity_map(updates.rank());
  const Value number = meta::reindex(b.g, flat, updates.shape, {linear_index(updates.shape, here)});
  const Value nobody =
      meta::broadcast_scalar(b.g, meta::constant(b.g, Scalar(DType::i64, -1)), destination.shape);
  const Value winner = meta::scatter_replace(b.g, nobody, number, map, indices, policy);
  const Value found =
      meta::reindex(b.g, winner, updates.shape, map, Scalar(DType::i64, -1), indices, policy);
  const Value arrived =
      meta::reindex(b.g, g, updates.shape, map, Scalar(updates.dtype, 0.0), indices, policy);
  const Value kept = b.lt(winner, b.like(winner, 0));
  return {b.select(kept, g, b.like(g, 0)),
          b.select(b.eq(found, number), arrived, b.like(arrived, 0))};
}

std::vector<Value> grad_scatter_extremum(GradBuilder b, const Node& node, Value result, Value g) {
  const bool largest = node.reduce() == ReduceOp::max;
  const DType wide = compute_type(node.type.dtype);
  const Value destination = node.operands[0];
  const Value updates = node.operands[1];
  const Shape shape = b.type(updates).shape;
  const std::vector<Value> indices = index_operands(node, 2);
  const std::vector<Expr>& map = node.attributes.map;
  const OutOfRange policy = node.attributes.out_of_range;
  auto gather = [&](Value x) {
    return meta::reindex(b.g, x, shape, map, Scalar(b.type(x).dtype, 0.0), indices, policy);
  };
  const Value old_attains = attains(b, largest, destination, result);
  const Value update_attains = attains(b, largest, updates, gather(result));
  const Value count = meta::scatter(b.g, ReduceOp::sum, b.indicator(old_attains, wide),
                                    b.indicator(update_attains, wide), map, indices, policy);
  const Value share = b.narrow(b.div(b.wide(g), count), node.type.dtype);
  const Value arrived = gather(share);
  return {b.select(old_attains, share, b.like(share, 0)),
          b.select(update_attains, arrived, b.like(arrived, 0))};
}

// The product of the other factors of an element: P / u without zeros among them, P (the product
// of the nonzero ones) for the only zero, else 0.
std::vector<Value> grad_scatter_product(GradBuilder b, const Node& node, Value g) {
  const Value destination = b.wide(node.operands[0]);
  const Value updates = b.wide(node.operands[1]);
  const Shape shape = b.type(updates).shape;
  const std::vector<Value> indices = index_operands(node, 2);
  const std::vector<Expr>& map = node.attributes.map;
  const OutOfRange policy = node.attributes.out_of_range;
  auto is_zero = [&](Value x) { return b.eq(x, b.like(x, 0)); };
  auto nonzero = [&](Value x) { return b.select(is_zero(x), b.like(x, 1), x); };
  const Value product = meta::scatter(b.g, ReduceOp::prod, nonzero(destination), nonzero(updates),
                                      map, indices, policy);
  const Value zeros =
      meta::scatter(b.g, ReduceOp::sum, b.indicator(is_zero(destination), DType::i64),
                    b.indicator(is_zero(updates), DType::i64), map, indices, policy);
  auto gather = [&](Value x) {
    return meta::reindex(b.g, x, shape, map, Scalar(b.type(x).dtype, 0.0), indices, policy);
  };
  auto rule = [&](Value u, Value p, Value z, Value cotangent) {
    const Value zero = b.like(u, 0);
    const Value among_nonzero = b.select(b.eq(z, b.like(z, 0)), b.div(p, u), zero);
    const Value only_zero = b.select(b.eq(z, b.like(z, 1)), p, zero);
    const Value others = b.select(is_zero(u), only_zero, among_nonzero);
    return b.narrow(b.mul(cotangent, others), node.type.dtype);
  };
  const Value wide = b.wide(g);
  return {rule(destination, product, zeros, wide),
          rule(updates, gather(product), gather(zeros), gather(wide))};
}

}  // namespace

std::vector<Value> grad_broadcast(GradBuilder b, const Node& node, Value cotangent) {
  const Shape from = b.type(node.operands[0]).shape;
  const std::vector<int64_t>& axes = node.attributes.axes;
  std::vector<int64_t> summed;
  std::vector<int64_t> kept;  // operand axes that the sum leaves
  size_t next = 0;
  for (int64_t axis = 0; axis < static_cast<int64_t>(node.type.rank()); ++axis) {
    const bool mapped = next < axes.size() && axes[next] == axis;
    if (!mapped || (from[next].is_constant(1) && !node.type.shape[axis].is_constant(1))) {
      summed.push_back(axis);
    } else {
      kept.push_back(static_cast<int64_t>(next));
    }
    next += mapped;
  }
  const Value total = b.sum(cotangent, std::move(summed));
  if (kept.size() == from.size()) return {total};
  return {meta::broadcast(b.g, total, from, std::move(kept))};
}

std::vector<Value> grad_reduce(GradBuilder b, const Node& node, Value result, Value cotangent) {
  switch (node.reduce()) {
    case ReduceOp::sum:
      return {
          meta::restore_axes(b.g, cotangent, b.type(node.operands[0]).shape, node.attributes.axes)};
    case ReduceOp::prod:
      if (node.attributes.axes.empty()) return {cotangent};
      return {grad_product(b, node, cotangent)};
    case ReduceOp::max:
    case ReduceOp::min:
      return {grad_extremum_reduce(b, node, result, cotangent)};
    case ReduceOp::any:
    case ReduceOp::all:
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      return {kNoValue};
  }
  PLAIT_UNREACHABLE("reduce {}", node.attributes.function);
}

std::vector<Value> grad_scan(GradBuilder b, const Node& node, Value result, Value cotangent) {
  switch (node.reduce()) {
    case ReduceOp::sum:
      return {meta::scan(b.g, ReduceOp::sum, cotangent, node.attributes.axes[0],
                         !node.attributes.reverse)};
    case ReduceOp::prod:
      return {grad_scan_product(b, node, result, cotangent)};
    case ReduceOp::max:
    case ReduceOp::min:
      return {grad_scan_extremum(b, node, result, cotangent)};
    case ReduceOp::any:
    case ReduceOp::all:
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      return {kNoValue};
  }
  PLAIT_UNREACHABLE("scan {}", node.attributes.function);
}

std::vector<Value> grad_reindex(GradBuilder b, const Node& node, Value cotangent) {
  std::vector<Value> result(node.operands.size(), kNoValue);
  result[0] =
      meta::scatter(b.g, ReduceOp::sum, b.like(node.operands[0], 0), cotangent, node.attributes.map,
                    index_operands(node, 1), node.attributes.out_of_range);
  return result;
}

std::vector<Value> grad_scatter(GradBuilder b, const Node& node, Value result, Value cotangent) {
  std::vector<Value> cotangents;
  if (node.attributes.replace) {
    cotangents = grad_replace(b, node, cotangent);
  } else {
    switch (node.reduce()) {
      case ReduceOp::sum:
        cotangents = {cotangent,
                      meta::reindex(b.g, cotangent, b.type(node.operands[1]).shape,
                                    node.attributes.map, Scalar(node.type.dtype, 0.0),
                                    index_operands(node, 2), node.attributes.out_of_range)};
        break;
      case ReduceOp::prod:
        cotangents = grad_scatter_product(b, node, cotangent);
        break;
      case ReduceOp::max:
      case ReduceOp::min:
        cotangents = grad_scatter_extremum(b, node, result, cotangent);
        break;
      case ReduceOp::any:
      case ReduceOp::all:
      case ReduceOp::argmax:
      case ReduceOp::argmin:
        break;
    }
  }
  cotangents.resize(node.operands.size(), kNoValue);
  return cotangents;
}

std::vector<Value> grad_concat(GradBuilder b, const Node& node, Value cotangent) {
  const int64_t axis = node.attributes.axes[0];
  std::vector<Value> result;
  Expr offset = 0;
  for (Value part : node.operands) {
    const Shape shape = b.type(part).shape;
    std::vector<Expr> map = identity_map(shape.size());
    map[axis] = map[axis] + offset;
    result.push_back(
        meta::reindex(b.g, cotangent, shape, std::move(map), Scalar(node.type.dtype, 0.0)));
    offset = offset + shape[axis];
  }
  return result;
}

}  // namespace plait
