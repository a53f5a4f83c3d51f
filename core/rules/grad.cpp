#include "core/rules/grad.h"

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/rules/grad_builder.h"

namespace plait {
namespace {

// x, y = f(x) and the cotangent are of one float dtype, f32 or f64.
Value grad_unary_wide(GradBuilder b, UnaryOp op, Value x, Value y, Value g) {
  switch (op) {
    case UnaryOp::neg:
      return b.neg(g);
    case UnaryOp::abs:
      return b.mul(g, b.unary(UnaryOp::sign, x));
    case UnaryOp::sqrt:
      return b.div(b.scaled(g, 0.5), y);
    case UnaryOp::rsqrt:
      return b.mul(b.mul(b.scaled(g, -0.5), y), b.mul(y, y));
    case UnaryOp::exp:
      return b.mul(g, y);
    case UnaryOp::expm1:
      return b.mul(g, b.unary(UnaryOp::exp, x));  // y + 1 cancels for negative x
    case UnaryOp::log:
      return b.div(g, x);
    case UnaryOp::log1p:
      return b.div(g, b.add(x, b.like(x, 1)));
    case UnaryOp::log2:
      return b.div(b.scaled(g, std::numbers::log2e), x);
    case UnaryOp::sin:
      return b.mul(g, b.unary(UnaryOp::cos, x));
    case UnaryOp::cos:
      return b.neg(b.mul(g, b.unary(UnaryOp::sin, x)));
    case UnaryOp::tanh:
      return b.mul(g, b.mul(b.sub(b.like(y, 1), y), b.add(b.like(y, 1), y)));
    case UnaryOp::erf: {
      const Value slope = b.unary(UnaryOp::exp, b.neg(b.mul(x, x)));
      return b.mul(g, b.scaled(slope, 2 * std::numbers::inv_sqrtpi));
    }
    case UnaryOp::sign:
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc:
    case UnaryOp::logical_not:
    case UnaryOp::bitwise_not:
    case UnaryOp::is_nan:
      return kNoValue;
  }
  PLAIT_UNREACHABLE("unary {}", static_cast<int>(op));
}

std::vector<Value> grad_unary(GradBuilder b, const Node& node, Value result, Value cotangent) {
  const Value x = node.operands[0];
  const Value g = grad_unary_wide(b, node.unary(), b.wide(x), b.wide(result), b.wide(cotangent));
  return {g == kNoValue ? g : b.narrow(g, node.type.dtype)};
}

std::vector<Value> grad_pow(GradBuilder b, Value x, Value e, Value y, Value g) {
  const Value zero = b.like(x, 0);
  const Value lower = meta::binary(b.g, BinaryOp::pow, x, b.sub(e, b.like(e, 1)));
  const Value by_base = b.select(b.eq(e, zero), zero, b.mul(g, b.mul(e, lower)));
  const Value flat = b.both(b.eq(x, zero), b.le(zero, e));
  const Value by_exponent = b.select(flat, zero, b.mul(g, b.mul(y, b.unary(UnaryOp::log, x))));
  return {by_base, by_exponent};
}

std::vector<Value> grad_atan2(GradBuilder b, Value y, Value x, Value g) {
  const Value zero = b.like(x, 0);
  const Value square = b.add(b.mul(x, x), b.mul(y, y));
  const Value origin = b.both(b.eq(x, zero), b.eq(y, zero));
  const Value scale = b.select(origin, zero, b.div(g, square));
  return {b.mul(scale, x), b.neg(b.mul(scale, y))};
}

// Each operand has the cotangent where it is not beaten, half of it at ties.
std::vector<Value> grad_extremum(GradBuilder b, bool largest, Value x, Value y, Value g) {
  const Value half = b.scaled(g, 0.5);
  const Value zero = b.like(g, 0);
  const Value tie = b.eq(x, y);
  auto share = [&](Value mine, Value other) {
    const Value beaten = largest ? b.lt(mine, other) : b.lt(other, mine);
    return b.select(tie, half, b.select(beaten, zero, g));
  };
  return {share(x, y), share(y, x)};
}

std::vector<Value> grad_binary_wide(GradBuilder b, BinaryOp op, Value x, Value y, Value result,
                                    Value g) {
  switch (op) {
    case BinaryOp::add:
      return {g, g};
    case BinaryOp::sub:
      return {g, b.neg(g)};
    case BinaryOp::mul:
      return {b.mul(g, y), b.mul(g, x)};
    case BinaryOp::div: {
      const Value by_x = b.div(g, y);
      return {by_x, b.neg(b.mul(by_x, result))};
    }
    case BinaryOp::mod:
      return {g, b.neg(b.mul(g, b.unary(UnaryOp::floor, b.div(x, y))))};
    case BinaryOp::pow:
      return grad_pow(b, x, y, result, g);
    case BinaryOp::maximum:
    case BinaryOp::minimum:
      return grad_extremum(b, op == BinaryOp::maximum, x, y, g);
    case BinaryOp::atan2:
      return grad_atan2(b, x, y, g);
    case BinaryOp::eq:
    case BinaryOp::ne:
    case BinaryOp::lt:
    case BinaryOp::le:
    case BinaryOp::bit_and:
    case BinaryOp::bit_or:
    case BinaryOp::bit_xor:
    case BinaryOp::shift_left:
    case BinaryOp::shift_right:
      return {kNoValue, kNoValue};
  }
  PLAIT_UNREACHABLE("binary {}", static_cast<int>(op));
}

// The rules of one exact or once rounded step need no widening.
bool is_one_step(BinaryOp op) {
  return op == BinaryOp::add || op == BinaryOp::sub || op == BinaryOp::mul ||
         op == BinaryOp::maximum || op == BinaryOp::minimum;
}

std::vector<Value> grad_binary(GradBuilder b, const Node& node, Value result, Value cotangent) {
  const Value x = node.operands[0];
  const Value y = node.operands[1];
  if (is_one_step(node.binary())) {
    return grad_binary_wide(b, node.binary(), x, y, result, cotangent);
  }
  std::vector<Value> wide =
      grad_binary_wide(b, node.binary(), b.wide(x), b.wide(y), b.wide(result), b.wide(cotangent));
  for (Value& v : wide) {
    if (v != kNoValue) v = b.narrow(v, node.type.dtype);
  }
  return wide;
}

std::vector<Value> grad_float(GradBuilder b, const Node& node, Value result, Value g) {
  const std::vector<Value>& operands = node.operands;
  switch (node.op) {
    case MetaOp::unary:
      return grad_unary(b, node, result, g);
    case MetaOp::binary:
      return grad_binary(b, node, result, g);
    case MetaOp::fma:
      return {b.mul(g, operands[1]), b.mul(g, operands[0]), g};
    case MetaOp::select: {
      const Value zero = b.like(g, 0);
      return {kNoValue, b.select(operands[0], g, zero), b.select(operands[0], zero, g)};
    }
    case MetaOp::cast:
      return {b.narrow(g, b.type(operands[0]).dtype)};
    case MetaOp::broadcast:
      return grad_broadcast(b, node, g);
    case MetaOp::reduce:
      return grad_reduce(b, node, result, g);
    case MetaOp::reindex:
      return grad_reindex(b, node, g);
    case MetaOp::scatter:
      return grad_scatter(b, node, result, g);
    case MetaOp::concat:
      return grad_concat(b, node, g);
    case MetaOp::scan:
      return grad_scan(b, node, result, g);
    case MetaOp::input:
    case MetaOp::parameter:
    case MetaOp::constant:
    case MetaOp::iota:
    case MetaOp::size:
    case MetaOp::random:
    case MetaOp::detach:
    case MetaOp::sort:
    case MetaOp::assign:
      return std::vector<Value>(operands.size(), kNoValue);
  }
  PLAIT_UNREACHABLE("meta-op {}", static_cast<int>(node.op));
}

}  // namespace

std::vector<Value> grad(Graph& graph, Value node, Value cotangent) {
  const Node copy = graph.node(node);
  PLAIT_INTERNAL_CHECK(graph.type(cotangent).dtype == copy.type.dtype &&
                           graph.type(cotangent).rank() == copy.type.rank(),
                       "cotangent {} of a node {}", to_string(graph.type(cotangent)),
                       to_string(copy.type));
  if (!is_float(copy.type.dtype)) return std::vector<Value>(copy.operands.size(), kNoValue);
  std::vector<Value> result = grad_float({graph}, copy, node, cotangent);
  for (size_t i = 0; i < result.size(); ++i) {
    if (!is_float(graph.type(copy.operands[i]).dtype)) result[i] = kNoValue;
  }
  return result;
}

}  // namespace plait
