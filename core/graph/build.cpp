#include "core/graph/build.h"

#include <algorithm>

#include "core/error.h"
#include "core/slot.h"

namespace plait::meta {
namespace {

template <class Function>
Attributes function_attribute(Function function) {
  Attributes attributes;
  attributes.function = static_cast<uint8_t>(function);
  return attributes;
}

Attributes axis_attribute(int64_t axis) {
  Attributes attributes;
  attributes.axes = {axis};
  return attributes;
}

Value add_scatter(Graph& g, Attributes attributes, Value destination, Value updates,
                  std::vector<Expr> map, const std::vector<Value>& indices,
                  OutOfRange out_of_range) {
  attributes.map = std::move(map);
  attributes.out_of_range = out_of_range;
  std::vector<Value> operands = {destination, updates};
  operands.insert(operands.end(), indices.begin(), indices.end());
  return g.add(MetaOp::scatter, std::move(operands), std::move(attributes));
}

}  // namespace

Value input(Graph& g, std::string name, Type type) {
  Attributes attributes;
  attributes.name = std::move(name);
  return g.add(MetaOp::input, {}, std::move(attributes), std::move(type));
}

Value parameter(Graph& g, std::shared_ptr<Slot> slot) {
  Attributes attributes;
  attributes.slot = std::move(slot);
  return g.add(MetaOp::parameter, {}, std::move(attributes));
}

Value constant(Graph& g, Scalar value) {
  std::byte bytes[8] = {};
  value.store(bytes);
  return constant(g, {value.dtype(), {}}, std::span(bytes, dtype_size(value.dtype())));
}

Value constant(Graph& g, Type type, std::span<const std::byte> data) {
  Attributes attributes;
  attributes.data = std::make_shared<std::vector<std::byte>>(data.begin(), data.end());
  return g.add(MetaOp::constant, {}, std::move(attributes), std::move(type));
}

Value iota(Graph& g, DType dtype, Shape shape, int64_t axis) {
  return g.add(MetaOp::iota, {}, axis_attribute(axis), {dtype, std::move(shape)});
}

Value size(Graph& g, Expr size) {
  Attributes attributes;
  attributes.size = size;
  return g.add(MetaOp::size, {}, std::move(attributes));
}

Value random(Graph& g, Value key, Shape shape, uint64_t salt) {
  Attributes attributes;
  attributes.salt = salt;
  return g.add(MetaOp::random, {key}, std::move(attributes), {DType::u32, std::move(shape)});
}

Value unary(Graph& g, UnaryOp op, Value x) {
  return g.add(MetaOp::unary, {x}, function_attribute(op));
}

Value binary(Graph& g, BinaryOp op, Value a, Value b) {
  return g.add(MetaOp::binary, {a, b}, function_attribute(op));
}

Value fma(Graph& g, Value a, Value b, Value c) { return g.add(MetaOp::fma, {a, b, c}, {}); }

Value select(Graph& g, Value condition, Value yes, Value no) {
  return g.add(MetaOp::select, {condition, yes, no}, {});
}

Value cast(Graph& g, Value x, DType dtype) {
  if (g.type(x).dtype == dtype) return x;
  return g.add(MetaOp::cast, {x}, {}, {dtype, {}});
}

Value detach(Graph& g, Value x) { return g.add(MetaOp::detach, {x}, {}); }

Value broadcast(Graph& g, Value x, Shape shape, std::vector<int64_t> axes) {
  Attributes attributes;
  attributes.axes = std::move(axes);
  return g.add(MetaOp::broadcast, {x}, std::move(attributes), {g.type(x).dtype, std::move(shape)});
}

Value reduce(Graph& g, ReduceOp op, Value x, std::vector<int64_t> axes) {
  Attributes attributes = function_attribute(op);
  attributes.axes = std::move(axes);
  return g.add(MetaOp::reduce, {x}, std::move(attributes));
}

Value reindex(Graph& g, Value x, Shape shape, std::vector<Expr> map, Scalar fill,
              std::vector<Value> indices, OutOfRange out_of_range) {
  Attributes attributes;
  attributes.map = std::move(map);
  attributes.fill = fill.cast(g.type(x).dtype);
  attributes.out_of_range = out_of_range;
  std::vector<Value> operands = {x};
  operands.insert(operands.end(), indices.begin(), indices.end());
  return g.add(MetaOp::reindex, std::move(operands), std::move(attributes),
               {g.type(x).dtype, std::move(shape)});
}

Value scatter(Graph& g, ReduceOp op, Value destination, Value updates, std::vector<Expr> map,
              std::vector<Value> indices, OutOfRange out_of_range) {
  return add_scatter(g, function_attribute(op), destination, updates, std::move(map), indices,
                     out_of_range);
}

Value scatter_replace(Graph& g, Value destination, Value updates, std::vector<Expr> map,
                      std::vector<Value> indices, OutOfRange out_of_range) {
  Attributes attributes;
  attributes.replace = true;
  return add_scatter(g, std::move(attributes), destination, updates, std::move(map), indices,
                     out_of_range);
}

Value concat(Graph& g, std::vector<Value> parts, int64_t axis) {
  return g.add(MetaOp::concat, std::move(parts), axis_attribute(axis));
}

Value scan(Graph& g, ReduceOp op, Value x, int64_t axis, bool reverse) {
  Attributes attributes = function_attribute(op);
  attributes.axes = {axis};
  attributes.reverse = reverse;
  return g.add(MetaOp::scan, {x}, std::move(attributes));
}

Value sort(Graph& g, Value x, int64_t axis, bool descending) {
  Attributes attributes = axis_attribute(axis);
  attributes.reverse = descending;
  return g.add(MetaOp::sort, {x}, std::move(attributes));
}

Value assign(Graph& g, std::shared_ptr<Slot> slot, Value x) {
  Attributes attributes;
  attributes.slot = std::move(slot);
  return g.add(MetaOp::assign, {x}, std::move(attributes));
}

Value scalar_like(Graph& g, Value x, double value) {
  const Type type = g.type(x);
  return broadcast_scalar(g, constant(g, Scalar(type.dtype, value)), type.shape);
}

Value broadcast_scalar(Graph& g, Value scalar, Shape shape) {
  if (shape.empty()) return scalar;
  return broadcast(g, scalar, std::move(shape), {});
}

Value restore_axes(Graph& g, Value x, Shape shape, std::span<const int64_t> axes) {
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) kept.push_back(i);
  }
  if (kept.size() == shape.size()) return x;
  return broadcast(g, x, std::move(shape), std::move(kept));
}

Value transpose(Graph& g, Value x, std::span<const int64_t> permutation) {
  const Shape& from = g.type(x).shape;
  PLAIT_INTERNAL_CHECK(permutation.size() == from.size(), "permutation of {} axes for rank {}",
                       permutation.size(), from.size());
  Shape shape(from.size());
  std::vector<Expr> map(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    shape[i] = from[permutation[i]];
    map[permutation[i]] = Expr::variable(static_cast<uint32_t>(i));
  }
  return reindex(g, x, std::move(shape), std::move(map));
}

}  // namespace plait::meta
