// Short names for the nodes that gradient rules are written with.
#pragma once

#include "core/graph/build.h"

namespace plait {

struct GradBuilder {
  Graph& g;

  const Type& type(Value x) const { return g.type(x); }
  Value add(Value a, Value b) const { return meta::binary(g, BinaryOp::add, a, b); }
  Value sub(Value a, Value b) const { return meta::binary(g, BinaryOp::sub, a, b); }
  Value mul(Value a, Value b) const { return meta::binary(g, BinaryOp::mul, a, b); }
  Value div(Value a, Value b) const { return meta::binary(g, BinaryOp::div, a, b); }
  Value eq(Value a, Value b) const { return meta::binary(g, BinaryOp::eq, a, b); }
  Value lt(Value a, Value b) const { return meta::binary(g, BinaryOp::lt, a, b); }
  Value le(Value a, Value b) const { return meta::binary(g, BinaryOp::le, a, b); }
  Value both(Value a, Value b) const { return meta::binary(g, BinaryOp::bit_and, a, b); }
  Value unary(UnaryOp op, Value x) const { return meta::unary(g, op, x); }
  Value neg(Value x) const { return unary(UnaryOp::neg, x); }
  Value negated(Value condition) const { return unary(UnaryOp::logical_not, condition); }
  Value select(Value c, Value yes, Value no) const { return meta::select(g, c, yes, no); }
  Value like(Value x, double value) const { return meta::scalar_like(g, x, value); }
  Value scaled(Value x, double factor) const { return mul(x, like(x, factor)); }
  Value sum(Value x, std::vector<int64_t> axes) const {
    return axes.empty() ? x : meta::reduce(g, ReduceOp::sum, x, std::move(axes));
  }
  // To and from the type in which values of x's dtype are computed.
  Value wide(Value x) const { return meta::cast(g, x, compute_type(type(x).dtype)); }
  Value narrow(Value x, DType dtype) const { return meta::cast(g, x, dtype); }
  // 1 where the condition holds, in the dtype.
  Value indicator(Value condition, DType dtype) const {
    const Shape shape = type(condition).shape;
    auto number = [&](double value) {
      return meta::broadcast_scalar(g, meta::constant(g, Scalar(dtype, value)), shape);
    };
    return meta::select(g, condition, number(1), number(0));
  }
};

// The rules with a structure (grad_structure.cpp); `node` is a copy, for the graph grows.
std::vector<Value> grad_reduce(GradBuilder b, const Node& node, Value result, Value cotangent);
std::vector<Value> grad_scan(GradBuilder b, const Node& node, Value result, Value cotangent);
std::vector<Value> grad_reindex(GradBuilder b, const Node& node, Value cotangent);
std::vector<Value> grad_scatter(GradBuilder b, const Node& node, Value result, Value cotangent);
std::vector<Value> grad_concat(GradBuilder b, const Node& node, Value cotangent);
std::vector<Value> grad_broadcast(GradBuilder b, const Node& node, Value cotangent);

}  // namespace plait
