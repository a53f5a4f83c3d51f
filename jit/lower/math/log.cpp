// log, log1p and log2.
//
// x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)). In f32 log(1 + f) = f + f^2 (f P(f) - 1/2).
// In f64, with s = f/(2 + f), log(1 + f) = 2 atanh(s) = 2s + s z P(z), z = s^2, arranged as
// f - (f^2/2 - s (f^2/2 + z P(z))), where the leading term is exact (W. J. Cody and W. Waite 1980;
// the form of FreeBSD's msun). P is minimax (tools/gen_math_coefficients.py).
#include "jit/lower/math/constants.h"
#include "jit/lower/math/functions.h"

namespace plait::lower::math {
namespace {

constexpr double kLogF32[] = {-0.5,        0.333333313,  -0.250008196, 0.200012267,  -0.166233584,
                              0.142017543, -0.131601706, 0.127615854,  -0.0763453394};
constexpr double kLogF64[] = {0.66666666666667351, 0.39999999999413133, 0.28571428742765714,
                              0.2222219853114836,  0.18183566668807213, 0.15313986786026387,
                              0.14796624269675035};

// log(1 + f) - f.
Number log_tail(Number f) {
  if (!f.is_f64()) return f * f * polynomial(f, kLogF32);
  const Number s = f / (f + 2.0);
  const Number z = s * s;
  const Number half_square = f * f * 0.5;
  return fma(s, fma(z, polynomial(z, kLogF64), half_square), -half_square);
}

// exponent ln 2 + (f + tail).
Number combine(Number exponent, Number f, Number tail) {
  const ConstantPair& ln2 = f.is_f64() ? kLn2F64 : kLn2F32;
  return fma(exponent, ln2.high, f + fma(exponent, ln2.low, tail));
}

// `result`, but the right values where x is not positive and finite.
Number with_special_cases(Number result, Number x) {
  const Number pole_or_nan = select(x == 0.0, x.like(-kInfinity), kNaN);
  return select(0.0 < x, select(x < kInfinity, result, x), pole_or_nan);
}

// decompose() for all positive x: subnormals are scaled up first.
Decomposed decompose_any(Number x) {
  const bool f64 = x.is_f64();
  const Number tiny = x < (f64 ? 0x1p-1022 : 0x1p-126);
  const Decomposed d = decompose(select(tiny, x * (f64 ? 0x1p54 : 0x1p25), x));
  const Number correction = select(tiny, x.like(f64 ? -54 : -25), 0.0);
  return {d.exponent + correction, d.f};
}

}  // namespace

// Adding the distance of 1 from sqrt(1/2) to the bits makes their exponent field that of 2^e.
Decomposed decompose(Number x) {
  const bool f64 = x.is_f64();
  const Format& format = format_of(x);
  const uint64_t one = f64 ? 0x3ff0000000000000 : 0x3f800000;
  const uint64_t root_half = f64 ? 0x3fe6a09e667f3bcd : 0x3f3504f3;
  const uint64_t integer_magic = f64 ? 0x4330000000000000 : 0x4b000000;  // the bits of 2^p
  const Number bits = bits_of(x);
  const Number shifted = bits + bits.like_integer(one - root_half);
  const Number field = (shifted >> format.mantissa_bits) | bits.like_integer(integer_magic);
  const Number mantissa = shifted & bits.like_integer((uint64_t{1} << format.mantissa_bits) - 1);
  const Number m = (mantissa + bits.like_integer(root_half)).bitcast(x.dtype());
  const double two_p = f64 ? 0x1p52 : 0x1p23;
  return {field.bitcast(x.dtype()) - (two_p + format.bias), m - 1.0};
}

Number log(Number x) {
  const Decomposed d = decompose_any(x);
  return with_special_cases(combine(d.exponent, d.f, log_tail(d.f)), x);
}

// log2(e) (f + tail) + exponent; exact at powers of two, where f is 0.
Number log2(Number x) {
  const ConstantPair& log2e = x.is_f64() ? kLog2EF64 : kLog2EF32;
  const Decomposed d = decompose_any(x);
  const Number low = fma(d.f, log2e.low, log_tail(d.f) * log2e.high);
  return with_special_cases(d.exponent + fma(d.f, log2e.high, low), x);
}

// The logarithm of u = 1 + x plus its rounding error c, which is scaled by 2^-e and added to f.
Number log1p(Number x) {
  const bool f64 = x.is_f64();
  const Number u = x + 1.0;
  const Decomposed d = decompose(u);
  const Number error = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x));
  // 2^(1-e) from the exponent field of the bits of -e: e = 128 gives 0, where the error is nothing.
  const Number field = (format_of(x).bias + 1.0) - d.exponent;
  const Number magic_bits = bits_of(field + (f64 ? 0x1p52 : 0x1p23));
  const Number scale = (magic_bits << format_of(x).mantissa_bits).bitcast(x.dtype());
  const Number scaled = error * 0.5 * scale;
  const Number f = d.f + scaled;
  const Number f_low = scaled - (f - d.f);
  const Number result = combine(d.exponent, f, log_tail(f) + f_low);
  return select(abs(x) < (f64 ? 0x1p-54 : 0x1p-25), x, with_special_cases(result, u));
}

}  // namespace plait::lower::math
