#include "jit/lower/math.h"

#include "core/error.h"
#include "jit/lower/math/functions.h"

namespace plait::lower {

using kernel::Builder;
using kernel::Op;
using kernel::ValueId;
using math::Number;

namespace {

// -1, 0 or 1; NaN stays NaN.
Number sign(Number x) {
  const bool is_float_type = is_float(x.dtype());
  auto number = [&](double value) {
    return is_float_type ? x.like(value) : x.like_integer(static_cast<uint64_t>(int64_t(value)));
  };
  const Number zero = number(0);
  const Number one = number(1);
  if (!is_signed(x.dtype())) return select(x == zero, zero, one);
  const Number not_positive = select(x < zero, number(-1), is_float_type ? x + zero : zero);
  return select(zero < x, one, not_positive);
}

Number float_unary(UnaryOp op, Number x) {
  switch (op) {
    case UnaryOp::neg:
      return -x;
    case UnaryOp::abs:
      return abs(x);
    case UnaryOp::sign:
      return sign(x);
    case UnaryOp::floor:
      return floor(x);
    case UnaryOp::ceil:
      return x.unary(Op::ceil);
    case UnaryOp::round:
      return round(x);
    case UnaryOp::trunc:
      return trunc(x);
    case UnaryOp::sqrt:
      return sqrt(x);
    case UnaryOp::rsqrt:
      return 1.0 / sqrt(x);
    case UnaryOp::exp:
      return exp(x);
    case UnaryOp::expm1:
      return expm1(x);
    case UnaryOp::log:
      return log(x);
    case UnaryOp::log1p:
      return log1p(x);
    case UnaryOp::log2:
      return log2(x);
    case UnaryOp::sin:
      return sin(x);
    case UnaryOp::cos:
      return cos(x);
    case UnaryOp::tanh:
      return tanh(x);
    case UnaryOp::erf:
      return erf(x);
    case UnaryOp::is_nan:
      return is_nan(x);
    case UnaryOp::logical_not:
    case UnaryOp::bitwise_not:
      break;
  }
  PLAIT_UNREACHABLE("{} of {}", name_of(op), dtype_name(x.dtype()));
}

Number integer_unary(UnaryOp op, Number x) {
  switch (op) {
    case UnaryOp::neg:
      return -x;
    case UnaryOp::abs:
      return is_signed(x.dtype()) ? abs(x) : x;
    case UnaryOp::sign:
      return sign(x);
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc:
      return x;
    case UnaryOp::logical_not:
    case UnaryOp::bitwise_not:
      return x.unary(Op::bit_not);
    case UnaryOp::is_nan:
      return {x.builder(), x.builder().constant(Scalar(DType::boolean, 0))};
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
      break;
  }
  PLAIT_UNREACHABLE("{} of {}", name_of(op), dtype_name(x.dtype()));
}

void check_compute_type(const char* op, DType dtype) {
  PLAIT_INTERNAL_CHECK(dtype == compute_type(dtype), "{} of {}", op, dtype_name(dtype));
}

}  // namespace

ValueId emit_unary(Builder& builder, UnaryOp op, ValueId x) {
  const Number value(builder, x);
  check_compute_type(name_of(op), value.dtype());
  return (is_float(value.dtype()) ? float_unary(op, value) : integer_unary(op, value)).id();
}

ValueId emit_binary(Builder& builder, BinaryOp op, ValueId a, ValueId b) {
  const Number x(builder, a);
  const Number y(builder, b);
  check_compute_type(name_of(op), x.dtype());
  PLAIT_INTERNAL_CHECK(x.dtype() == y.dtype(), "{} of {} and {}", name_of(op),
                       dtype_name(x.dtype()), dtype_name(y.dtype()));
  const bool is_boolean = x.dtype() == DType::boolean;
  auto node = [&](Op primitive) { return builder.binary(primitive, a, b); };
  switch (op) {
    case BinaryOp::add:
      return node(Op::add);
    case BinaryOp::sub:
      return node(Op::sub);
    case BinaryOp::mul:
      return node(Op::mul);
    case BinaryOp::div:
      return node(Op::div);
    case BinaryOp::mod:
      return node(Op::mod);
    case BinaryOp::maximum:
      return node(is_boolean ? Op::bit_or : Op::maximum);
    case BinaryOp::minimum:
      return node(is_boolean ? Op::bit_and : Op::minimum);
    case BinaryOp::eq:
      return node(Op::eq);
    case BinaryOp::ne:
      return node(Op::ne);
    case BinaryOp::lt:
      return node(Op::lt);
    case BinaryOp::le:
      return node(Op::le);
    case BinaryOp::bit_and:
      return node(Op::bit_and);
    case BinaryOp::bit_or:
      return node(Op::bit_or);
    case BinaryOp::bit_xor:
      return node(Op::bit_xor);
    case BinaryOp::shift_left:
      return node(Op::shift_left);
    case BinaryOp::shift_right:
      return node(Op::shift_right);
    case BinaryOp::pow:
      PLAIT_INTERNAL_CHECK(is_float(x.dtype()), "pow of {}", dtype_name(x.dtype()));
      return pow(x, y).id();
    case BinaryOp::atan2:
      PLAIT_INTERNAL_CHECK(is_float(x.dtype()), "atan2 of {}", dtype_name(x.dtype()));
      return atan2(x, y).id();
  }
  PLAIT_UNREACHABLE("binary {}", static_cast<int>(op));
}

}  // namespace plait::lower
