// Algebra of elementwise operations. Every rule keeps the bits of every result, but for the sign
// and payload of NaNs.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "passes/simplify/simplifier.h"

namespace plait {
namespace {

int significand_bits(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return 1;
    case DType::i8:
      return 7;
    case DType::u8:
    case DType::bf16:
      return 8;
    case DType::f16:
      return 11;
    case DType::i16:
      return 15;
    case DType::f32:
      return 24;
    case DType::i32:
      return 31;
    case DType::u32:
      return 32;
    case DType::f64:
      return 53;
    case DType::i64:
      return 63;
    case DType::u64:
      return 64;
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

// Whether every value of `from` is one of `to`.
bool is_widening(DType from, DType to) {
  if (from == to) return true;
  if (is_float(from)) {
    const bool half = from == DType::f16 || from == DType::bf16;
    return to == DType::f64 || (half && to == DType::f32);
  }
  if (significand_bits(from) > significand_bits(to)) return false;
  if (is_float(to)) return true;  // the exponents of all floats reach 2^11
  return to != DType::boolean && (is_signed(to) || !is_signed(from));
}

// 1/c, if it is exact and x * (1/c) is x / c for every x.
std::optional<Scalar> exact_reciprocal(Scalar c) {
  int exponent = 0;
  const double value = c.as_double();
  if (!std::isfinite(value) || std::fabs(std::frexp(value, &exponent)) != 0.5) return std::nullopt;
  const int limit = c.dtype() == DType::f16 ? 14 : c.dtype() == DType::f64 ? 1000 : 120;
  if (std::abs(exponent - 1) > limit) return std::nullopt;
  return Scalar(c.dtype(), 1 / value);
}

}  // namespace

// If every operand is broadcast along some axis, the operation is done before that broadcast.
Simplifier::Rule Simplifier::before_broadcast(MetaOp op, const std::vector<Value>& operands,
                                              const Attributes& a, const Type& type) {
  if (op != MetaOp::unary && op != MetaOp::binary && op != MetaOp::fma && op != MetaOp::select &&
      op != MetaOp::cast) {
    return std::nullopt;
  }
  std::vector<bool> present(type.rank(), false);  // some operand has this axis
  std::vector<bool> varies(type.rank(), false);   // some operand varies along it
  for (Value v : operands) {
    if (!is(v, MetaOp::broadcast)) return std::nullopt;
    const Shape& from = type_of(node(v).operands[0]).shape;
    const std::vector<int64_t>& axes = node(v).attributes.axes;
    for (size_t i = 0; i < axes.size(); ++i) {
      present[axes[i]] = true;
      if (!from[i].is_constant(1)) varies[axes[i]] = true;
    }
  }
  Shape shape;
  std::vector<int64_t> kept;
  std::vector<int64_t> place(type.rank(), -1);
  bool smaller = false;
  for (size_t i = 0; i < type.rank(); ++i) {
    if (present[i]) {
      place[i] = static_cast<int64_t>(kept.size());
      kept.push_back(static_cast<int64_t>(i));
      shape.push_back(varies[i] ? type.shape[i] : Expr(int64_t{1}));
    }
    smaller = smaller || !present[i] || (!varies[i] && !type.shape[i].is_constant(1));
  }
  if (!smaller) return std::nullopt;
  std::vector<Value> inner;
  for (Value v : operands) {
    std::vector<int64_t> axes;
    for (int64_t axis : node(v).attributes.axes) axes.push_back(place[axis]);
    inner.push_back(broadcast(node(v).operands[0], shape, std::move(axes)));
  }
  const Value result = make(op, std::move(inner), a, {type.dtype, shape});
  return broadcast(result, type.shape, std::move(kept));
}

Simplifier::Rule Simplifier::unary_rule(UnaryOp op, Value x) {
  const DType dtype = type_of(x).dtype;
  switch (op) {
    case UnaryOp::neg:
      if (is_unary(x, UnaryOp::neg)) return node(x).operands[0];
      return std::nullopt;
    case UnaryOp::abs:
      if (is_unary(x, UnaryOp::neg) && is_signed(dtype)) {
        return unary(UnaryOp::abs, node(x).operands[0]);
      }
      if (is_unary(x, UnaryOp::abs)) return x;
      return std::nullopt;
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc:
      if (is_unary(x, UnaryOp::floor) || is_unary(x, UnaryOp::ceil) ||
          is_unary(x, UnaryOp::round) || is_unary(x, UnaryOp::trunc)) {
        return x;
      }
      return std::nullopt;
    case UnaryOp::logical_not:
      if (is_unary(x, UnaryOp::logical_not)) return node(x).operands[0];
      if (is(x, MetaOp::binary)) {
        const BinaryOp compare = node(x).binary();
        const Value a = node(x).operands[0];
        const Value b = node(x).operands[1];
        if (compare == BinaryOp::eq) return binary(BinaryOp::ne, a, b);
        if (compare == BinaryOp::ne) return binary(BinaryOp::eq, a, b);
        // The order of floats has no complement: NaN is neither below nor above.
        if (is_float(type_of(a).dtype)) return std::nullopt;
        if (compare == BinaryOp::lt) return binary(BinaryOp::le, b, a);
        if (compare == BinaryOp::le) return binary(BinaryOp::lt, b, a);
      }
      return std::nullopt;
    case UnaryOp::bitwise_not:
      if (is_unary(x, UnaryOp::bitwise_not)) return node(x).operands[0];
      return std::nullopt;
    case UnaryOp::is_nan:
      if (!is_float(dtype)) return uniform(Scalar(DType::boolean, 0), type_of(x).shape);
      return std::nullopt;
    case UnaryOp::sign:
    case UnaryOp::sqrt:
    case UnaryOp::rsqrt:
    case UnaryOp::exp:
    case UnaryOp::expm1:
    case UnaryOp::log:
    case UnaryOp::log1p:
    case UnaryOp::log2:
    case UnaryOp::sin:
    case UnaryOp::cos:
    case UnaryOp::tanh:
    case UnaryOp::erf:
      return std::nullopt;
  }
  PLAIT_UNREACHABLE("unary {}", static_cast<int>(op));
}

Simplifier::Rule Simplifier::binary_rule(BinaryOp op, Value a, Value b) {
  // Constants stand on the right, else the older value on the left.
  if (is_commutative(op)) {
    const bool left = uniform_of(a).has_value();
    const bool right = uniform_of(b).has_value();
    if (left != right ? left : b < a) return binary(op, b, a);
  }
  if (a == b && (op == BinaryOp::maximum || op == BinaryOp::minimum || op == BinaryOp::bit_and ||
                 op == BinaryOp::bit_or)) {
    return a;
  }
  if (a == b && op == BinaryOp::lt) return uniform(Scalar(DType::boolean, 0), type_of(a).shape);
  if (is_float(type_of(a).dtype)) return arithmetic_rule(op, a, b);
  if (const Rule rule = integer_rule(op, a, b)) return rule;
  return arithmetic_rule(op, a, b);
}

// Rules for floats, which hold for integers too.
Simplifier::Rule Simplifier::arithmetic_rule(BinaryOp op, Value a, Value b) {
  const auto negated = [&](Value v) { return node(v).operands[0]; };
  switch (op) {
    case BinaryOp::add:
      if (is_uniform(b, -0.0)) return a;
      if (is_unary(b, UnaryOp::neg)) return binary(BinaryOp::sub, a, negated(b));
      if (is_unary(a, UnaryOp::neg)) return binary(BinaryOp::sub, b, negated(a));
      return std::nullopt;
    case BinaryOp::sub:
      if (is_uniform(b, 0.0)) return a;
      if (is_unary(b, UnaryOp::neg)) return binary(BinaryOp::add, a, negated(b));
      return std::nullopt;
    case BinaryOp::mul:
      if (is_uniform(b, 1)) return a;
      if (is_uniform(b, -1) && is_signed(type_of(a).dtype)) return unary(UnaryOp::neg, a);
      if (is_unary(a, UnaryOp::neg) && uniform_of(b)) {
        return binary(BinaryOp::mul, negated(a), unary(UnaryOp::neg, b));
      }
      if (is_unary(a, UnaryOp::neg) && is_unary(b, UnaryOp::neg)) {
        return binary(BinaryOp::mul, negated(a), negated(b));
      }
      return std::nullopt;
    case BinaryOp::div: {
      if (is_uniform(b, 1)) return a;
      if (!is_float(type_of(a).dtype)) return std::nullopt;
      const std::optional<Scalar> divisor = uniform_of(b);
      if (!divisor) return std::nullopt;
      const std::optional<Scalar> factor = exact_reciprocal(*divisor);
      if (!factor) return std::nullopt;
      return binary(BinaryOp::mul, a, uniform(*factor, type_of(a).shape));
    }
    case BinaryOp::pow:
      if (is_uniform(b, 0) || is_uniform(b, -0.0) || is_uniform(a, 1)) {
        return uniform(Scalar(type_of(a).dtype, 1), type_of(a).shape);
      }
      if (is_uniform(b, 1)) return a;
      if (is_uniform(b, 2)) return binary(BinaryOp::mul, a, a);
      if (is_uniform(b, -1)) {
        return binary(BinaryOp::div, uniform(Scalar(type_of(a).dtype, 1), type_of(a).shape), a);
      }
      return std::nullopt;
    case BinaryOp::mod:
    case BinaryOp::maximum:
    case BinaryOp::minimum:
    case BinaryOp::atan2:
    case BinaryOp::eq:
    case BinaryOp::ne:
    case BinaryOp::lt:
    case BinaryOp::le:
    case BinaryOp::bit_and:
    case BinaryOp::bit_or:
    case BinaryOp::bit_xor:
    case BinaryOp::shift_left:
    case BinaryOp::shift_right:
      return std::nullopt;
  }
  PLAIT_UNREACHABLE("binary {}", static_cast<int>(op));
}

// Rules that hold for integers and booleans only.
Simplifier::Rule Simplifier::integer_rule(BinaryOp op, Value a, Value b) {
  const DType dtype = type_of(a).dtype;
  const Shape shape = type_of(a).shape;
  const auto all = [&](int64_t value) { return uniform(Scalar(dtype, value), shape); };
  const auto truth = [&](bool value) { return uniform(Scalar(DType::boolean, value), shape); };
  const bool zero = is_uniform(b, 0);
  const Scalar every_bit(dtype, dtype == DType::boolean ? 1 : -1);
  const bool ones = uniform_of(b) == every_bit;
  switch (op) {
    case BinaryOp::add:
    case BinaryOp::shift_left:
    case BinaryOp::shift_right:
      if (zero) return a;
      return std::nullopt;
    case BinaryOp::sub:
      if (a == b) return all(0);
      return std::nullopt;
    case BinaryOp::mul:
    case BinaryOp::bit_and:
      if (zero) return all(0);
      if (op == BinaryOp::bit_and && ones) return a;
      return std::nullopt;
    case BinaryOp::div:
      if (zero) return all(0);  // by definition
      return std::nullopt;
    case BinaryOp::mod:
      if (zero || is_uniform(b, 1) || a == b) return all(0);
      return std::nullopt;
    case BinaryOp::bit_or:
      if (zero) return a;
      if (ones) return all(-1);
      return std::nullopt;
    case BinaryOp::bit_xor:
      if (zero) return a;
      if (a == b) return all(0);
      return std::nullopt;
    case BinaryOp::eq:
    case BinaryOp::le:
      if (a == b) return truth(true);
      return std::nullopt;
    case BinaryOp::ne:
      if (a == b) return truth(false);
      return std::nullopt;
    case BinaryOp::lt:
    case BinaryOp::maximum:
    case BinaryOp::minimum:
    case BinaryOp::pow:
    case BinaryOp::atan2:
      return std::nullopt;
  }
  PLAIT_UNREACHABLE("binary {}", static_cast<int>(op));
}

Simplifier::Rule Simplifier::select_rule(Value condition, Value yes, Value no) {
  if (yes == no) return yes;
  if (const auto known = uniform_of(condition)) return known->as_int() ? yes : no;
  if (is_unary(condition, UnaryOp::logical_not)) {
    return select(node(condition).operands[0], no, yes);
  }
  if (is(yes, MetaOp::select) && node(yes).operands[0] == condition) {
    return select(condition, node(yes).operands[1], no);
  }
  if (is(no, MetaOp::select) && node(no).operands[0] == condition) {
    return select(condition, yes, node(no).operands[2]);
  }
  if (type_of(yes).dtype == DType::boolean && is_uniform(yes, 1) && is_uniform(no, 0)) {
    return condition;
  }
  return std::nullopt;
}

// cast(cast(x)) in one step where the first step loses nothing.
Simplifier::Rule Simplifier::cast_rule(Value x, DType to) {
  if (type_of(x).dtype == to) return x;
  if (!is(x, MetaOp::cast)) return std::nullopt;
  const Value source = node(x).operands[0];
  const DType from = type_of(source).dtype;
  const DType between = type_of(x).dtype;
  if (!is_widening(from, between)) return std::nullopt;
  // Out of range, float to integer need not do as integer to integer does.
  const bool to_other_category = is_float(between) && !is_float(from) && !is_float(to);
  if (to_other_category && !is_widening(from, to)) return std::nullopt;
  return cast(source, to);
}

Simplifier::Rule Simplifier::fma_rule(Value a, Value b, Value c) {
  if (is_uniform(b, 1)) return binary(BinaryOp::add, a, c);
  if (is_uniform(a, 1)) return binary(BinaryOp::add, b, c);
  return std::nullopt;
}

}  // namespace plait
