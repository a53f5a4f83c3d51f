// The expansions, one function each. Arguments are f32 or f64; f32 functions compute in f32 unless
// said otherwise. Used by math.cpp and by each other.
#pragma once

#include "jit/lower/math/number.h"

namespace plait::lower::math {

// exp.cpp
// e^x for x in [-87, 88] (f32) or [-708, 709] (f64) as p * scale, scale a power of two.
struct ScaledExp {
  Number p, scale;
};
ScaledExp scaled_exp(Number x);
// 1 + r + r^2 Q(r) = e^r on |r| <= ln(2)/2: Q(r).
Number exp_tail(Number r);
Number exp(Number x);
Number expm1(Number x);
Number tanh(Number x);

// log.cpp
// x = 2^exponent * (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), for positive normal x.
struct Decomposed {
  Number exponent, f;
};
Decomposed decompose(Number x);
Number log(Number x);
Number log1p(Number x);
Number log2(Number x);

// sincos.cpp; f32 reduces its argument in f64
Number sin(Number x);
Number cos(Number x);

// atan2.cpp, erf.cpp, pow.cpp; pow of f32 computes in f64
Number atan2(Number y, Number x);
Number erf(Number x);
Number pow(Number x, Number y);

}  // namespace plait::lower::math
