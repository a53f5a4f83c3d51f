// pow: 2^(y log2|x|), then the special cases of IEEE 754 (pow(x, 0) and pow(1, y) are 1).
//
// f32 computes in f64, whose 53 bits are more than enough. f64 needs log2|x| to about 68 bits: it
// is a double-double. With s = f/(2 + f), log(1 + f) / 2 = atanh(s) = s + s z (1/3 + z P(z)),
// z = s^2, where only z P is small enough for one f64.
#include "jit/lower/math/double_double.h"
#include "jit/lower/math/functions.h"

namespace plait::lower::math {
namespace {

// For f32: log2(1 + f) / f in f, and 2^r in r.
constexpr double kLog2[] = {1.4426950409393509,  -0.72134752521363166, 0.48089832072690092,
                            -0.3606728005149093, 0.28854064370374932,  -0.24050417478361533,
                            0.20609625252007965, -0.17904694579495967, 0.15900154780065093,
                            -0.1569823264666334, 0.15485726314997714,  -0.086345564748413178};
constexpr double kExp2[] = {0.99999999996168543,    0.6931471807284475,    0.2402265119812772,
                            0.05550410353444632,    0.0096180272571783961, 0.0013333922565331024,
                            0.00015469290148227433, 1.5201921186257622e-5};

// For f64: (atanh(s)/s - 1 - z/3)/z^2 in z = s^2.
constexpr double kAtanh[] = {0.1999999999999999,   0.14285714285722576,  0.11111111108763494,
                             0.090909094357388642, 0.076922783957777796, 0.06668160240293744,
                             0.058373781183887821, 0.059947664330518603};
constexpr ConstantPair kThird{0x1.5555555555555p-2, 0x1.5555555555555p-56};
constexpr ConstantPair kTwoLog2E{0x1.71547652b82fep+1, 0x1.777d0ffda0d24p-55};

// |x|^y as f32, for |x| neither 0 nor infinite.
Number power_f32(Number size, Number y) {
  const Decomposed d = decompose(size.cast(DType::f64));
  const Number log2 = fma(d.f, polynomial(d.f, kLog2), d.exponent);
  const Number product = y.cast(DType::f64) * log2;
  const Number v = at_most(at_least(select(log2 == 0.0, log2, product), -200.0), 200.0);
  const double magic = kF64.round_magic + kF64.bias;
  const Number shifted = v + magic;
  const Number rest = v - (shifted - magic);
  const Number scale = (bits_of(shifted) << kF64.mantissa_bits).bitcast(DType::f64);
  return (polynomial(rest, kExp2) * scale).cast(DType::f32);
}

// Subnormal sizes are scaled up first.
DoubleDouble log2_f64(Number size) {
  const Number tiny = size < 0x1p-1022;
  const Decomposed d = decompose(select(tiny, size * 0x1p54, size));
  const Number exponent = d.exponent + select(tiny, d.exponent.like(-54), 0.0);

  // s = f / (2 + f), with the remainder of the division for the low part.
  const DoubleDouble below = quick_sum(d.f.like(2.0), d.f);
  const Number reciprocal = 1.0 / below.high;
  const Number s_high = d.f * reciprocal;
  const Number remainder = fma(-s_high, below.low, fma(-s_high, below.high, d.f));
  const DoubleDouble s = quick_sum(s_high, remainder * reciprocal);

  const DoubleDouble z = product_of(s, s);
  const DoubleDouble bracket =
      quick_sum(z.high.like(kThird.high), z.high * polynomial(z.high, kAtanh));
  const DoubleDouble bracketed = product_of(z, {bracket.high, bracket.low + kThird.low});
  const DoubleDouble tail = product_of(s, bracketed);
  const DoubleDouble sum = quick_sum(s.high, tail.high);
  const DoubleDouble log = product_of({sum.high, sum.low + (s.low + tail.low)}, kTwoLog2E);
  const DoubleDouble total = quick_sum(exponent, log.high);
  return quick_sum(total.high, total.low + log.low);
}

// |x|^y, for |x| neither 0 nor infinite.
Number power_f64(Number size, Number y) {
  const DoubleDouble log2 = log2_f64(size);
  const Number is_one = log2.high == 0.0;
  const Number product = select(is_one, log2.high, y * log2.high);
  const Number error = fma(y, log2.low, fma(y, log2.high, -product));
  const Number in_range = abs(product) < 1100.0;
  const Number v = at_most(at_least(product, -1100.0), 1100.0);
  // The factor 2^k is applied as two, so that subnormal results round once.
  const double magic = kF64.round_magic + 2 * kF64.bias;
  const Number shifted = v + magic;
  const Number bits = bits_of(shifted);
  const Number half = (bits >> 1) << kF64.mantissa_bits;
  const Number other_half = ((bits + bits.like_integer(1)) >> 1) << kF64.mantissa_bits;
  const Number rest = v - (shifted - magic);
  const Number rest_low = select(in_range, select(is_one, log2.high, error), 0.0);
  const DoubleDouble r = product_of(quick_sum(rest, rest_low), kLn2F64);
  const DoubleDouble one_r = quick_sum(r.high.like(1.0), r.high);
  const Number tail = fma(r.high * r.high, exp_tail(r.high), r.low) + one_r.low;
  const Number p = one_r.high + tail;
  return p * half.bitcast(DType::f64) * other_half.bitcast(DType::f64);
}

}  // namespace

Number pow(Number x, Number y) {
  const Number zero = x.like(0.0);
  const Number infinity = x.like(kInfinity);
  const Number size = abs(x);
  const Number power = x.is_f64() ? power_f64(size, y) : power_f32(size, y);

  // A negative base: an odd integer y keeps the sign, a fraction has no power.
  const Number y_half = y * 0.5;
  const Number y_integer = trunc(y) == y;
  const Number y_odd = y_integer & (floor(y_half) != y_half);
  const Number with_fraction = select(y_integer, power, select(x < zero, x.like(kNaN), power));

  // 0 and infinity go to 0 or infinity, whatever y is.
  const Number is_extreme = (size == zero) | (size == infinity);
  const Number grows = (size == infinity) ^ (y < zero);
  const Number magnitude = select(is_extreme, select(grows, infinity, zero), with_fraction);
  const Number sign = sign_of(x);
  const Number signed_power = flip_sign(magnitude, select(y_odd, sign, sign.like_integer(0)));
  const Number result = select(is_nan(x) | is_nan(y), x.like(kNaN), signed_power);
  return select((y == zero) | (x == 1.0), x.like(1.0), result);
}

}  // namespace plait::lower::math
