// A kernel-IR value with operators, so that formulas read as formulas.
//
// A `double` beside a Number becomes a constant of the Number's dtype (rounded to it).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "jit/kernel/builder.h"

namespace plait::lower::math {

class Number {
 public:
  Number(kernel::Builder& builder, kernel::ValueId id) : builder_(&builder), id_(id) {}

  kernel::Builder& builder() const { return *builder_; }
  kernel::ValueId id() const { return id_; }
  DType dtype() const { return builder_->kernel().type(id_); }
  bool is_f64() const { return dtype() == DType::f64; }

  // A constant of this value's dtype.
  Number like(double value) const { return {*builder_, builder_->constant(dtype(), value)}; }
  Number like_integer(uint64_t value) const {
    return {*builder_, builder_->constant(Scalar(dtype(), static_cast<int64_t>(value)))};
  }

  Number unary(kernel::Op op) const { return {*builder_, builder_->unary(op, id_)}; }
  Number binary(kernel::Op op, Number other) const {
    return {*builder_, builder_->binary(op, id_, other.id_)};
  }
  Number cast(DType to) const { return {*builder_, builder_->cast(to, id_)}; }
  Number bitcast(DType to) const { return {*builder_, builder_->bitcast(to, id_)}; }

 private:
  kernel::Builder* builder_;
  kernel::ValueId id_;
};

inline Number operator-(Number a) { return a.unary(kernel::Op::neg); }
inline Number operator+(Number a, Number b) { return a.binary(kernel::Op::add, b); }
inline Number operator-(Number a, Number b) { return a.binary(kernel::Op::sub, b); }
inline Number operator*(Number a, Number b) { return a.binary(kernel::Op::mul, b); }
inline Number operator/(Number a, Number b) { return a.binary(kernel::Op::div, b); }
inline Number operator+(Number a, double b) { return a + a.like(b); }
inline Number operator-(Number a, double b) { return a - a.like(b); }
inline Number operator-(double a, Number b) { return b.like(a) - b; }
inline Number operator*(Number a, double b) { return a * a.like(b); }
inline Number operator/(double a, Number b) { return b.like(a) / b; }
inline Number operator&(Number a, Number b) { return a.binary(kernel::Op::bit_and, b); }
inline Number operator|(Number a, Number b) { return a.binary(kernel::Op::bit_or, b); }
inline Number operator^(Number a, Number b) { return a.binary(kernel::Op::bit_xor, b); }
inline Number operator<<(Number a, int bits) {
  return a.binary(kernel::Op::shift_left, a.like_integer(static_cast<uint64_t>(bits)));
}
inline Number operator>>(Number a, int bits) {
  return a.binary(kernel::Op::shift_right, a.like_integer(static_cast<uint64_t>(bits)));
}

// Comparisons as in C, except that `==` and `!=` build nodes too.
inline Number operator<(Number a, Number b) { return a.binary(kernel::Op::lt, b); }
inline Number operator<(Number a, double b) { return a < a.like(b); }
inline Number operator<(double a, Number b) { return b.like(a) < b; }
inline Number operator<=(Number a, Number b) { return a.binary(kernel::Op::le, b); }
inline Number operator==(Number a, Number b) { return a.binary(kernel::Op::eq, b); }
inline Number operator==(Number a, double b) { return a == a.like(b); }
inline Number operator!=(Number a, Number b) { return a.binary(kernel::Op::ne, b); }
inline Number is_nan(Number x) { return x != x; }

// a * b + c, rounded once.
inline Number fma(Number a, Number b, Number c) {
  return {a.builder(), a.builder().fma(a.id(), b.id(), c.id())};
}
inline Number fma(Number a, double b, Number c) { return fma(a, a.like(b), c); }
inline Number fma(Number a, Number b, double c) { return fma(a, b, a.like(c)); }
inline Number fma(Number a, double b, double c) {
  const Number factor = a.like(b);
  return fma(a, factor, c);
}

inline Number abs(Number x) { return x.unary(kernel::Op::abs); }
inline Number sqrt(Number x) { return x.unary(kernel::Op::sqrt); }
inline Number floor(Number x) { return x.unary(kernel::Op::floor); }
inline Number round(Number x) { return x.unary(kernel::Op::round); }
inline Number trunc(Number x) { return x.unary(kernel::Op::trunc); }

inline Number select(Number condition, Number yes, Number no) {
  return {yes.builder(), yes.builder().select(condition.id(), yes.id(), no.id())};
}
inline Number select(Number condition, double yes, Number no) {
  return select(condition, no.like(yes), no);
}
inline Number select(Number condition, Number yes, double no) {
  return select(condition, yes, yes.like(no));
}

// x limited to one side; NaN stays NaN.
inline Number at_most(Number x, double limit) {
  const Number bound = x.like(limit);
  return select(bound < x, bound, x);
}
inline Number at_least(Number x, double limit) {
  const Number bound = x.like(limit);
  return select(x < bound, bound, x);
}

// c[0] + c[1] x + c[2] x^2 + …, by Horner's rule.
inline Number polynomial(Number x, std::span<const double> c) {
  Number sum = x.like(c.back());
  for (size_t i = c.size() - 1; i-- > 0;) sum = fma(sum, x, c[i]);
  return sum;
}

// How a float dtype is laid out.
struct Format {
  DType bits;         // the unsigned integer of its size
  int mantissa_bits;  // stored
  int bias;
  double round_magic;  // 1.5 * 2^mantissa_bits: adding it rounds small numbers to integers
  uint64_t sign_mask;
};
inline constexpr Format kF32{DType::u32, 23, 127, 0x1.8p23, 0x80000000u};
inline constexpr Format kF64{DType::u64, 52, 1023, 0x1.8p52, 0x8000000000000000u};
inline const Format& format_of(Number x) { return x.is_f64() ? kF64 : kF32; }

inline Number bits_of(Number x) { return x.bitcast(format_of(x).bits); }

// The sign bit of x, as an integer with all other bits zero, and x with its sign flipped by one.
inline Number sign_of(Number x) {
  const Number bits = bits_of(x);
  return bits & bits.like_integer(format_of(x).sign_mask);
}
inline Number flip_sign(Number x, Number sign) { return (bits_of(x) ^ sign).bitcast(x.dtype()); }

}  // namespace plait::lower::math
