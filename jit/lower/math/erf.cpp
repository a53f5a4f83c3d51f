// erf: x + x P(x^2) below 0.9375, else 1 - e^q with q a polynomial that follows log(erfc).
//
// The fits are minimax in the relative error of erf (tools/gen_math_coefficients.py).
#include "jit/lower/math/functions.h"

namespace plait::lower::math {
namespace {

constexpr double kSplit = 0.9375;

// erf(x)/x - 1 in x^2.
constexpr double kErfF32[] = {0.128379166,   -0.376126319,    0.11283686,   -0.0268588513,
                              0.00519960001, -0.000812580984, 8.29662458e-5};
constexpr double kErfF64[] = {
    0.12837916709551256,   -0.37612638903183698,    0.1128379167095226,    -0.026866170644519252,
    0.0052239776186848814, -0.00085483265828342303, 0.0001205531474118976, -1.4925152077268454e-5,
    1.6452997563047029e-6, -1.6254872197860806e-7,  1.3938047833221985e-8, -8.2378705003138695e-10,
};

// log(erfc(x)) in x - kSplit, up to x = 4 and x = 6, beyond which erf is 1.
constexpr double kLogErfcF32[] = {-1.68795311,  -2.5340755,     -0.835085332,  -0.0440897644,
                                  0.0105318585, -0.00193246047, 0.000193897926};
constexpr double kLogErfcF64[] = {
    -1.6879531262569289,    -2.5340761022135778,     -0.83507450007999107,   -0.044147959519911482,
    0.010665571156016339,   -0.0020643542794335831,  0.00022265729895671726, 4.1256093157093421e-5,
    -3.2907106250629228e-5, 1.0889382810478485e-5,   -2.0974367246396622e-6, 2.8783559761005369e-8,
    1.5887044273421886e-7,  -7.1985744663517639e-8,  1.9535069819041011e-8,  -3.6361636201408527e-9,
    4.5696649307951158e-10, -3.5094742633544484e-11, 1.2449950162792493e-12,
};

}  // namespace

Number erf(Number x) {
  const bool f64 = x.is_f64();
  const Number a = at_most(abs(x), f64 ? 6.0 : 4.0);
  const Number z = a * a;
  const Number t = a - kSplit;
  const Number small = fma(a, f64 ? polynomial(z, kErfF64) : polynomial(z, kErfF32), a);
  const ScaledExp e = scaled_exp(f64 ? polynomial(t, kLogErfcF64) : polynomial(t, kLogErfcF32));
  const Number large = fma(-e.p, e.scale, 1.0);
  return flip_sign(select(a < kSplit, small, large), sign_of(x));
}

}  // namespace plait::lower::math
