// exp, expm1 and tanh.
//
// x = k ln 2 + r with |r| <= ln(2)/2: k comes from adding 1.5 * 2^p, which rounds to an integer and
// leaves it in the low bits (Cody and Waite, "Software Manual for the Elementary Functions", 1980);
// e^r = 1 + r + r^2 Q(r) with a minimax Q (tools/gen_math_coefficients.py).
#include "jit/lower/math/constants.h"
#include "jit/lower/math/functions.h"

namespace plait::lower::math {
namespace {

constexpr double kExpF32[] = {0.49999997, 0.166665435, 0.0416672006, 0.00836651959, 0.00138825434};
constexpr double kExpF64[] = {
    0.5,
    0.16666666666666677,
    0.041666666666666512,
    0.0083333333333216915,
    0.001388888888896234,
    0.000198412698859662,
    2.4801587172592847e-5,
    2.7557244373776223e-6,
    2.7557402599128548e-7,
    2.5108979046345219e-8,
    2.0875342864900365e-9,
};

struct Reduced {
  Number k;       // an integer, as a float
  Number k_bits;  // k + offset in the low bits, rubbish above
  Number near_r;  // x - k (ln 2 without its low part), exactly
  Number r;       // x - k ln 2, rounded
};

const ConstantPair& ln2_for(Number x) { return x.is_f64() ? kLn2F64 : kLn2F32; }

// `offset` is a small integer that k_bits carries in addition.
Reduced reduce(Number x, int offset) {
  const double magic = format_of(x).round_magic + offset;
  const Number shifted = fma(x, kLog2EF64.high, magic);
  const Number k = shifted - magic;
  const Number near_r = fma(k, -ln2_for(x).high, x);
  return {k, bits_of(shifted), near_r, fma(k, -ln2_for(x).low, near_r)};
}

// x - k ln 2 - r: what the rounding of r lost.
Number lost_of(const Reduced& reduced) {
  return fma(reduced.k, -ln2_for(reduced.k).low, reduced.near_r - reduced.r);
}

Number exp_polynomial(Number r) { return fma(fma(exp_tail(r), r, 1.0), r, 1.0); }

// 2^(low bits of `exponent`), which hold a biased exponent.
Number power_of_two(Number exponent, DType dtype) {
  return (exponent << (dtype == DType::f64 ? 52 : 23)).bitcast(dtype);
}

// tanh by its continued fraction x/(1 + z/(3 + z/(5 + ...))), z = x^2, cut after z/15 (Lambert
// 1768; error below 2^-57 for |x| <= 0.625): (numerator - denominator) / z, and the denominator.
constexpr double kTanhNumerator[] = {-675675, -45045, -594, -1};
constexpr double kTanhDenominator[] = {2027025, 945945, 51975, 630, 1};

constexpr double kTanhF32[] = {-0.333332837, 0.133314908, -0.053743504, 0.0206506029,
                               -0.00571706193};

}  // namespace

Number exp_tail(Number r) { return r.is_f64() ? polynomial(r, kExpF64) : polynomial(r, kExpF32); }

ScaledExp scaled_exp(Number x) {
  const Reduced reduced = reduce(x, format_of(x).bias);
  return {exp_polynomial(reduced.r), power_of_two(reduced.k_bits, x.dtype())};
}

// Subnormal results round once, and those too large become infinity. Results that round to 0 are
// selected, not computed: subnormal products take some hundred cycles where the scale is applied as
// factors, and masked attention scores are all of that kind.
Number exp(Number x) {
  const bool f64 = x.is_f64();
  const Number stays = (x < (f64 ? -746.0 : -104.0)).unary(kernel::Op::bit_not);
  const Reduced reduced = reduce(select(stays, at_most(x, f64 ? 710.0 : 89.0), 0.0), 0);
  const Number p = exp_polynomial(reduced.r);
  return select(stays, p.binary(kernel::Op::ldexp, reduced.k), 0.0);
}

// 2^k (r + r^2 Q) + (2^k - 1), where the largest terms are added first. It is computed at half its
// size because 2^128 is no f32.
Number expm1(Number x) {
  const bool f64 = x.is_f64();
  const Number limited = at_most(at_least(x, f64 ? -38.0 : -18.0), f64 ? 710.0 : 89.0);
  const Reduced reduced = reduce(limited, format_of(x).bias - 1);
  const Number half_scale = power_of_two(reduced.k_bits, x.dtype());
  const Number head = fma(half_scale, reduced.r, half_scale - 0.5);
  const Number tail = fma(reduced.r * reduced.r, exp_tail(reduced.r), lost_of(reduced));
  const Number half = fma(half_scale, tail, head);
  return select(abs(x) < (f64 ? 0x1p-54 : 0x1p-25), x, half + half);
}

// Small arguments by a polynomial or fraction, others as 1 - 2 / (e^2|x| + 1).
Number tanh(Number x) {
  const bool f64 = x.is_f64();
  const Number a = abs(x);
  const Number z = x * x;
  const ScaledExp e = scaled_exp(at_most(a + a, f64 ? 40.0 : 20.0));
  const Number denominator = fma(e.p, e.scale, 1.0);
  const Number is_small = a < 0.625;
  const Number sign = sign_of(x);
  if (!f64) {
    const Number small = fma(a * z, polynomial(z, kTanhF32), a);
    return flip_sign(select(is_small, small, 1.0 - 2.0 / denominator), sign);
  }
  const Number numerator = select(is_small, a * z * polynomial(z, kTanhNumerator), -2.0);
  const Number quotient =
      numerator / select(is_small, polynomial(z, kTanhDenominator), denominator);
  return flip_sign(select(is_small, a, 1.0) + quotient, sign);
}

}  // namespace plait::lower::math
