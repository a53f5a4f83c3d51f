#include "core/rules/accumulator.h"

#include <cmath>
#include <limits>

namespace plait {
namespace {

int width_of(DType dtype) {
  return dtype == DType::boolean ? 1 : static_cast<int>(dtype_size(dtype)) * 8;
}

int64_t smallest(DType dtype) {
  if (!is_signed(dtype)) return 0;
  return std::numeric_limits<int64_t>::min() >> (64 - width_of(dtype));
}

int64_t largest(DType dtype) {
  const int bits = width_of(dtype) - is_signed(dtype);
  return bits == 64 ? -1 : static_cast<int64_t>((uint64_t{1} << bits) - 1);
}

}  // namespace

Accumulator::Accumulator(ReduceOp op, DType dtype) : op_(op), dtype_(dtype) {
  constexpr long double kInfinity = std::numeric_limits<long double>::infinity();
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::any:
      break;
    case ReduceOp::prod:
    case ReduceOp::all:
      real_ = 1;
      integer_ = 1;
      break;
    case ReduceOp::max:
    case ReduceOp::argmax:
      real_ = -kInfinity;
      if (!is_float(dtype)) integer_ = smallest(dtype);
      break;
    case ReduceOp::min:
    case ReduceOp::argmin:
      real_ = kInfinity;
      if (!is_float(dtype)) integer_ = largest(dtype);
      break;
  }
}

// sum or prod of floats.
void Accumulator::combine(long double x) {
  if (empty_) {
    real_ = x;  // so that the sum of one -0.0 is -0.0
    return;
  }
  real_ = op_ == ReduceOp::sum ? real_ + x : real_ * x;
  if (dtype_ != DType::f64) real_ = static_cast<double>(real_);
}

// Whether x replaces the best so far; the first of equals stays, and the first NaN.
bool Accumulator::better(Number x) const {
  if (empty_) return true;
  const bool largest_wins = op_ == ReduceOp::max || op_ == ReduceOp::argmax;
  if (!is_float(dtype_)) {
    const Number best = integer(integer_);
    return apply(BinaryOp::lt, dtype_, largest_wins ? best : x, largest_wins ? x : best).i != 0;
  }
  if (std::isnan(real_)) return false;
  return std::isnan(x.f) || (largest_wins ? x.f > real_ : x.f < real_);
}

void Accumulator::add(Number x) {
  const bool floating = is_float(dtype_);
  const auto by = [&](BinaryOp op) {
    if (floating) {
      real_ = apply(op, DType::f64, real(static_cast<double>(real_)), x).f;
    } else {
      integer_ = apply(op, dtype_, integer(integer_), x).i;
    }
  };
  switch (op_) {
    case ReduceOp::sum:
    case ReduceOp::prod:
      if (floating) {
        combine(x.f);
      } else {
        by(op_ == ReduceOp::sum ? BinaryOp::add : BinaryOp::mul);
      }
      break;
    case ReduceOp::max:
      by(BinaryOp::maximum);
      break;
    case ReduceOp::min:
      by(BinaryOp::minimum);
      break;
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      if (better(x)) {
        if (floating) real_ = x.f;
        if (!floating) integer_ = x.i;
        position_ = seen_;
      }
      break;
    case ReduceOp::any:
      integer_ = integer_ || x.i;
      break;
    case ReduceOp::all:
      integer_ = integer_ && x.i;
      break;
  }
  empty_ = false;
  ++seen_;
}

Number Accumulator::result() const {
  if (op_ == ReduceOp::argmax || op_ == ReduceOp::argmin) return integer(position_);
  if (is_float(dtype_)) return real(round_to(dtype_, static_cast<double>(real_)));
  return integer(wrap_to(dtype_, integer_));
}

}  // namespace plait
