// atan2: the arc tangent of min(|y|, |x|) / max(|y|, |x|) in [0, 1] by a minimax polynomial
// (tools/gen_math_coefficients.py), then reflected into its octant.
#include "jit/lower/math/constants.h"
#include "jit/lower/math/functions.h"

namespace plait::lower::math {
namespace {

// (atan(t)/t - 1)/z in z = t^2.
constexpr double kAtanF32[] = {-0.333333015,  0.199986383,   -0.142652452,
                               0.109575778,   -0.0841946527, 0.0582346693,
                               -0.0314558297, 0.0110645127,  -0.00182722951};
constexpr double kAtanF64[] = {
    -0.33333333333331994,   0.19999999999774842,    -0.14285714272356048,   0.11111110705567831,
    -0.090909016582649091,  0.076922173215789008,   -0.066658921918628031,  0.058774751895495615,
    -0.052398890144151736,  0.046758979413672311,   -0.040970693623243723,  0.034145299756137615,
    -0.025930769761691876,  0.01708410297482341,    -0.0092653233269205312, 0.0039004120459535789,
    -0.0011807556681657874, 0.00022684616864491778, -2.066204416371236e-5,
};

}  // namespace

Number atan2(Number y, Number x) {
  const bool f64 = x.is_f64();
  const Number y_size = abs(y);
  const Number x_size = abs(x);
  const Number steep = x_size < y_size;
  const Number small = select(steep, x_size, y_size);
  const Number large = select(steep, y_size, x_size);
  // Equal sizes include 0/0, taken as 0, and infinity/infinity, taken as 1.
  const Number equal = select(large == 0.0, large, 1.0);
  const Number t = select(small == large, equal, small / large);
  const Number z = t * t;
  const Number angle = fma(t * z, f64 ? polynomial(z, kAtanF64) : polynomial(z, kAtanF32), t);

  // The octants from the positive x axis on: a, pi/2 - a, pi/2 + a, pi - a.
  const Number x_sign = sign_of(x);
  const Number x_negative = x_sign != x_sign.like_integer(0);
  const Number mirrored = flip_sign(angle, x_sign);
  const ConstantPair& half_pi = f64 ? kHalfPiF64 : kHalfPiF32;
  const Number axis = select(x_negative, x.like(2 * half_pi.high), 0.0);
  const Number axis_low = select(x_negative, x.like(2 * half_pi.low), 0.0);
  const Number signed_angle = select(steep, -mirrored, mirrored);
  const Number base = select(steep, half_pi.high, axis);
  const Number base_low = select(steep, half_pi.low, axis_low);
  return flip_sign(base + (base_low + signed_angle), sign_of(y));
}

}  // namespace plait::lower::math
