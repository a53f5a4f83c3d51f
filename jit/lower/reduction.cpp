#include "jit/lower/reduction.h"

#include <limits>

#include "core/error.h"
#include "jit/lower/math/number.h"

namespace plait::lower {

using kernel::Op;
using math::Number;

namespace {

Scalar extreme(DType dtype, bool highest) {
  const double sign = highest ? 1 : -1;
  if (is_float(dtype)) return {dtype, sign * std::numeric_limits<double>::infinity()};
  if (dtype == DType::boolean) return {dtype, int64_t{highest}};
  const int bits = static_cast<int>(dtype_size(dtype)) * 8;
  if (!is_signed(dtype)) return {dtype, highest ? int64_t{-1} : int64_t{0}};
  const auto largest = static_cast<int64_t>((uint64_t{1} << (bits - 1)) - 1);
  return {dtype, highest ? largest : -largest - 1};
}

// A float's bits, as integers in the order of the numbers: NaNs lie beyond both infinities. It is
// its own inverse.
Number ordered(Number bits) {
  const Number word = bits.bitcast(DType::i32);
  return (word ^ ((word >> 31) & word.like_integer(0x7fffffff))).bitcast(DType::u32);
}
constexpr uint32_t kOrderedInfinity = 0x7f800000, kOrderedMinusInfinity = 0x807fffff;

}  // namespace

Scalar lowest_value(DType dtype) { return extreme(dtype, false); }
Scalar highest_value(DType dtype) { return extreme(dtype, true); }

Reducer::Reducer(kernel::Builder& builder, ReduceOp op, DType operand, Accumulate accumulate)
    : builder_(builder), op_(op), dtypes_{compute_type(operand)} {
  has_keys_ = accumulate == Accumulate::keys && dtypes_[0] == DType::f32 &&
              (op == ReduceOp::max || op == ReduceOp::min);
  if (has_keys_) dtypes_[0] = DType::u32;
  const bool logical = op == ReduceOp::any || op == ReduceOp::all;
  if (operand == DType::boolean && !logical) dtypes_[0] = DType::u8;  // ordered as 0 and 1
  if (is_arg()) dtypes_.push_back(DType::i64);
}

// Of the ordered integers. They continue from the last to the first, and there are the NaNs:
// counted from -inf on they come last, counted from the one after inf on they come first.
uint32_t Reducer::key_of_smallest() const {
  return op_ == ReduceOp::max ? kOrderedMinusInfinity : kOrderedInfinity + 1;
}

Parts Reducer::identity() {
  const DType dtype = dtypes_[0];
  switch (op_) {
    case ReduceOp::sum:
    case ReduceOp::any:
      return {builder_.constant(Scalar(dtype, int64_t{0}))};
    case ReduceOp::prod:
    case ReduceOp::all:
      return {builder_.constant(Scalar(dtype, int64_t{1}))};
    case ReduceOp::max:  // for keys 0, which is -inf
      return {builder_.constant(lowest_value(dtype))};
    case ReduceOp::min:
      return {builder_.constant(highest_value(dtype))};
    case ReduceOp::argmax:
    case ReduceOp::argmin: {
      // A real element beats the identity: its index is smaller.
      const Scalar worst = op_ == ReduceOp::argmax ? lowest_value(dtype) : highest_value(dtype);
      return {builder_.constant(worst),
              builder_.constant(Scalar(DType::i64, std::numeric_limits<int64_t>::max()))};
    }
  }
  PLAIT_UNREACHABLE("reduction {}", static_cast<int>(op_));
}

Parts Reducer::combine(const Parts& a, const Parts& b) {
  switch (op_) {
    case ReduceOp::sum:
      return {builder_.add(a[0], b[0])};
    case ReduceOp::prod:
      return {builder_.mul(a[0], b[0])};
    case ReduceOp::any:
      return {builder_.binary(Op::bit_or, a[0], b[0])};
    case ReduceOp::all:
      return {builder_.binary(Op::bit_and, a[0], b[0])};
    case ReduceOp::max:
      return {builder_.binary(Op::maximum, a[0], b[0])};
    case ReduceOp::min:
      return {builder_.binary(Op::minimum, a[0], b[0])};
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      break;
  }
  // b wins if it is better, or equal with the smaller index; NaN is better than any number.
  auto either = [&](ValueId x, ValueId y) { return builder_.binary(Op::bit_or, x, y); };
  auto both = [&](ValueId x, ValueId y) { return builder_.binary(Op::bit_and, x, y); };
  ValueId better = op_ == ReduceOp::argmax ? builder_.binary(Op::lt, a[0], b[0])
                                           : builder_.binary(Op::lt, b[0], a[0]);
  ValueId equal = builder_.binary(Op::eq, a[0], b[0]);
  if (is_float(dtypes_[0])) {
    const ValueId a_nan = builder_.binary(Op::ne, a[0], a[0]);
    const ValueId b_nan = builder_.binary(Op::ne, b[0], b[0]);
    better = either(better, both(b_nan, builder_.unary(Op::bit_not, a_nan)));
    equal = either(equal, both(a_nan, b_nan));
  }
  const ValueId wins = either(better, both(equal, builder_.binary(Op::lt, b[1], a[1])));
  return {builder_.select(wins, b[0], a[0]), builder_.select(wins, b[1], a[1])};
}

Parts Reducer::element(ValueId value, Expr position) {
  if (has_keys_) {
    const Number key = ordered({builder_, builder_.cast(DType::f32, value)});
    return {(key - key.like_integer(key_of_smallest())).id()};
  }
  value = builder_.cast(dtypes_[0], value);
  if (is_arg()) return {value, builder_.index(position)};
  return {value};
}

ValueId Reducer::result(const Parts& parts, DType dtype) {
  ValueId result = parts.back();
  if (has_keys_) {
    const Number key(builder_, result);
    result = ordered(key + key.like_integer(key_of_smallest())).bitcast(DType::f32).id();
  }
  return builder_.cast(dtype, result);
}

}  // namespace plait::lower
