// Trigonometric, hyperbolic and logarithmic functions composed of the scalar functions. Each errs
// by at most 4 ulp in f32 and f64 (tests/python/test_op_accuracy.py): none of them cancels near 0,
// and none overflows before its result does. Halves are computed in f32 and rounded once.
#include <numbers>

#include "core/error.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

// Beyond it e^-|x| is lost beside e^|x|, and the exponential is the square of that of x / 2.
constexpr double kFar = 80;
// Beyond it 1 is lost beside x, while x * x is still finite in f32.
constexpr double kLarge = 0x1p60;

Tensor narrowed(const Tensor& result, const Tensor& input) {
  return detail::cast_to(result, detail::float_dtype(input));
}

// The absolute value by a select: unlike that of `abs` its gradient at 0 is 1.
Tensor magnitude(const Tensor& x, const Tensor& negative) { return where(negative, neg(x), x); }

// e^|x| / 2 where `far` holds, else 1/2. It overflows no earlier than sinh and cosh do.
Tensor half_exponential(const Tensor& x, const Tensor& far) {
  const Tensor root = exp(mul(where(far, abs(x), 0.0), 0.5));
  return mul(mul(root, 0.5), root);
}

// log(1 + x) of x >= 0 with 1 + x = 1 + `small` where x is not large, else 2 x.
Tensor log1p_or_log_of_twice(const Tensor& large, const Tensor& x, const Tensor& small) {
  return add(log1p(where(large, x, small)), where(large, full_like(x, std::numbers::ln2), 0.0));
}

// sqrt(1 - x^2), by two roots, whose gradients at 1 and -1 are infinite, not NaN.
Tensor other_leg(const Tensor& x) { return mul(sqrt(sub(1.0, x)), sqrt(add(x, 1.0))); }

// Where `other` makes log(other) infinite or NaN without being NaN itself.
Tensor without_log(const Tensor& other) {
  return logical_or(le(other, 0.0), eq(other, detail::kInfinity));
}

}  // namespace

Tensor tan(const Tensor& input) {
  OpScope op("tan");
  const Tensor x = detail::wide(input);
  return narrowed(div(sin(x), cos(x)), input);
}

Tensor asin(const Tensor& input) {
  OpScope op("asin");
  const Tensor x = detail::wide(input);
  return narrowed(atan2(x, other_leg(x)), input);
}

Tensor acos(const Tensor& input) {
  OpScope op("acos");
  const Tensor x = detail::wide(input);
  return narrowed(atan2(other_leg(x), x), input);
}

Tensor atan(const Tensor& input) {
  OpScope op("atan");
  return narrowed(atan2(detail::wide(input), 1.0), input);
}

Tensor sinh(const Tensor& input) {
  OpScope op("sinh");
  const Tensor x = detail::wide(input);
  const Tensor far = gt(abs(x), kFar);
  const Tensor near_zero = where(far, 0.0, x);
  const Tensor near = mul(sub(expm1(near_zero), expm1(neg(near_zero))), 0.5);
  const Tensor half = half_exponential(x, far);
  return narrowed(where(far, magnitude(half, lt(x, 0.0)), near), input);
}

Tensor cosh(const Tensor& input) {
  OpScope op("cosh");
  const Tensor x = detail::wide(input);
  const Tensor far = gt(abs(x), kFar);
  // 1 + (e^x - 1)^2 / (2 e^x), whose gradient does not cancel.
  const Tensor less_one = expm1(where(far, 0.0, magnitude(x, lt(x, 0.0))));
  const Tensor rest = mul(mul(less_one, 0.5), div(less_one, add(less_one, 1.0)));
  return narrowed(where(far, half_exponential(x, far), add(rest, 1.0)), input);
}

Tensor asinh(const Tensor& input) {
  OpScope op("asinh");
  const Tensor x = detail::wide(input);
  const Tensor negative = lt(x, 0.0);
  const Tensor size = magnitude(x, negative);
  const Tensor large = gt(size, kLarge);
  const Tensor safe = where(large, 1.0, size);
  // x + sqrt(x^2 + 1) - 1 without the subtraction.
  const Tensor square = mul(safe, safe);
  const Tensor small = add(safe, div(square, add(sqrt(add(square, 1.0)), 1.0)));
  const Tensor result = magnitude(log1p_or_log_of_twice(large, size, small), negative);
  return narrowed(where(eq(x, 0.0), x, result), input);  // keeps the sign of zero
}

Tensor acosh(const Tensor& input) {
  OpScope op("acosh");
  const Tensor x = detail::wide(input);
  const Tensor large = gt(x, kLarge);
  // Two roots, so that both factors below 0 are NaN too.
  const Tensor above = sub(where(large, 1.0, x), 1.0);
  const Tensor small = add(above, mul(sqrt(above), sqrt(add(above, 2.0))));
  return narrowed(log1p_or_log_of_twice(large, x, small), input);
}

Tensor atanh(const Tensor& input) {
  OpScope op("atanh");
  const Tensor x = detail::wide(input);
  return narrowed(mul(sub(log1p(x), log1p(neg(x))), 0.5), input);
}

Tensor log10(const Tensor& input) {
  OpScope op("log10");
  return narrowed(mul(log(detail::wide(input)), std::numbers::log10e), input);
}

Tensor exp2(const Tensor& input) {
  OpScope op("exp2");
  return narrowed(pow(2.0, detail::wide(input)), input);
}

Tensor hypot(const Operand& input, const Operand& other) {
  OpScope op("hypot");
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  const Tensor a = abs(detail::wide(pair.a));
  const Tensor b = abs(detail::wide(pair.b));
  const Tensor swapped = lt(a, b);
  const Tensor longer = where(swapped, b, a);
  const Tensor shorter = where(swapped, a, b);
  const Tensor ratio = div(shorter, where(eq(longer, 0.0), 1.0, longer));
  const Tensor length = mul(longer, sqrt(add(mul(ratio, ratio), 1.0)));
  const Tensor infinite = logical_or(eq(a, detail::kInfinity), eq(b, detail::kInfinity));
  return narrowed(where(infinite, detail::kInfinity, length), pair.a);
}

Tensor logit(const Tensor& input, std::optional<double> eps) {
  OpScope op("logit");
  PLAIT_CHECK(!eps || (*eps >= 0 && *eps < 0.5), detail::op_name(),
              "eps must lie in [0, 0.5); got {}", *eps);
  Tensor x = detail::wide(input);
  if (eps) x = clamp(x, *eps, 1.0 - *eps);
  // The smaller of x and 1 - x, and the other one; the result is odd about 1/2.
  const Tensor upper = gt(x, 0.5);
  const Tensor rest = sub(1.0, x);
  const Tensor low = where(upper, rest, x);
  const Tensor high = where(upper, x, rest);
  const Tensor close = ge(low, 0.25);
  // log(low / high), about 1/2 by low / high - 1.
  const Tensor less_one = div(sub(mul(low, 2.0), 1.0), where(close, high, 1.0));
  const Tensor first = log1p(where(close, less_one, neg(low)));
  const Tensor odds = where(close, first, sub(log(where(close, 1.0, low)), first));
  return narrowed(magnitude(odds, upper), input);
}

Tensor xlogy(const Operand& input, const Operand& other) {
  OpScope op("xlogy");
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  const Tensor x = detail::wide(pair.a);
  const Tensor y = detail::wide(pair.b);
  const Tensor zero = logical_and(eq(x, 0.0), without_log(y));
  return narrowed(where(zero, 0.0, mul(x, log(where(zero, 1.0, y)))), pair.a);
}

Tensor deg2rad(const Tensor& input) {
  OpScope op("deg2rad");
  return narrowed(mul(detail::wide(input), std::numbers::pi / 180), input);
}

Tensor rad2deg(const Tensor& input) {
  OpScope op("rad2deg");
  return narrowed(mul(detail::wide(input), 180 / std::numbers::pi), input);
}

std::vector<OpRecord> transcendental_ops() {
  return {
      {
          .signature = "tan(Tensor input) -> Tensor",
          .doc = "The tangent (radians), sin / cos; within 4 ulp. Integers and bools become f32.",
          .composition = compose<&tan>,
          .oracle = "np.tan(input)",
          .samples = {"(rand(3, 5) * 2 - 1,)", "(randn(0, 4),)", "(rand(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 1e-8, 100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "asin(Tensor input) -> Tensor",
          .doc = "The angle in [-pi/2, pi/2] whose sine is input, within 4 ulp; NaN outside [-1, "
                 "1]. Integers and bools become f32.",
          .composition = compose<&asin>,
          .oracle = "np.arcsin(input)",
          .samples = {"(rand(3, 5) * 1.9 - 0.95,)", "(randn(0, 4),)", "(rand() * 0.9,)",
                      "(array([0.0, -0.0, 1.0, -1.0, 1.5, inf, -inf, nan, 1e-8]),)",
                      "(arange(-1, 2),)"},
      },
      {
          .signature = "acos(Tensor input) -> Tensor",
          .doc = "The angle in [0, pi] whose cosine is input, within 4 ulp; NaN outside [-1, 1]. "
                 "Integers and bools become f32.",
          .composition = compose<&acos>,
          .oracle = "np.arccos(input)",
          .samples = {"(rand(3, 5) * 1.9 - 0.95,)", "(randn(0, 4),)", "(rand() * 0.9,)",
                      "(array([0.0, -0.0, 1.0, -1.0, 1.5, inf, -inf, nan, 1e-8]),)",
                      "(arange(-1, 2),)"},
      },
      {
          .signature = "atan(Tensor input) -> Tensor",
          .doc = "The angle in [-pi/2, pi/2] whose tangent is input, within 4 ulp. Integers and "
                 "bools become f32.",
          .composition = compose<&atan>,
          .oracle = "np.arctan(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 1e-8, 1e30, -1e30]),)",
                      "(arange(-2, 3),)"},
      },
      {
          .signature = "sinh(Tensor input) -> Tensor",
          .doc = "The hyperbolic sine, within 4 ulp. Integers and bools become f32.",
          .composition = compose<&sinh>,
          .oracle = "np.sinh(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 1e-8, 89.0, -89.0]),)",
                      "(arange(-2, 3),)"},
      },
      {
          .signature = "cosh(Tensor input) -> Tensor",
          .doc = "The hyperbolic cosine, within 4 ulp. Integers and bools become f32.",
          .composition = compose<&cosh>,
          .oracle = "np.cosh(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 1e-8, 89.0, -89.0]),)",
                      "(arange(-2, 3),)"},
      },
      {
          .signature = "asinh(Tensor input) -> Tensor",
          .doc = "The inverse hyperbolic sine, within 4 ulp. Integers and bools become f32.",
          .composition = compose<&asinh>,
          .oracle = "np.arcsinh(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 1e-8, 3e38, -1e30]),)",
                      "(arange(-2, 3),)"},
      },
      {
          .signature = "acosh(Tensor input) -> Tensor",
          .doc = "The inverse hyperbolic cosine, at least 0, within 4 ulp; NaN below 1. Integers "
                 "and bools become f32.",
          .composition = compose<&acosh>,
          .oracle = "np.arccosh(input)",
          .samples = {"(rand(3, 5) + 1.1,)", "(randn(0, 4),)", "(rand() + 1.1,)",
                      "(array([1.0, 0.5, -5.0, inf, -inf, nan, 3e38, -1e30]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "atanh(Tensor input) -> Tensor",
          .doc = "The inverse hyperbolic tangent, within 4 ulp; infinite at 1 and -1, NaN beyond. "
                 "Integers and bools become f32.",
          .composition = compose<&atanh>,
          .oracle = "np.arctanh(input)",
          .samples = {"(rand(3, 5) * 1.8 - 0.9,)", "(randn(0, 4),)", "(rand() * 0.9,)",
                      "(array([0.0, -0.0, 1.0, -1.0, 2.0, inf, -inf, nan, 1e-8]),)",
                      "(arange(-1, 2),)"},
      },
      {
          .signature = "log10(Tensor input) -> Tensor",
          .doc = "The logarithm to base 10, log(input) / log(10), within 4 ulp; -inf at 0, NaN "
                 "below. Integers and bools become f32.",
          .composition = compose<&log10>,
          .oracle = "np.log10(input)",
          .samples = {"(rand(3, 5) + 0.1,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.0, 1.0, inf, nan, 1e-30, 1000.0]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "exp2(Tensor input) -> Tensor",
          .doc = "2 to the power of each element, within 1 ulp. Integers and bools become f32.",
          .composition = compose<&exp2>,
          .oracle = "np.exp2(1.0 * input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0, 200.0]),)",
                      "(arange(-2, 3),)"},
      },
      {
          .signature = "hypot(Operand input, Operand other) -> Tensor",
          .doc = "sqrt(input^2 + other^2) without overflow, within 4 ulp; inf where one operand is "
                 "infinite, the other NaN or not. The gradient at (0, 0) is 0.",
          .composition = compose<&hypot>,
          .oracle = "np.hypot(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(randn(4), 1.0)", "(randn(0), randn(0))",
                      "(array([0.0, 3.0, inf, nan, 1e30, 2.0]), array([0.0, 4.0, nan, -inf, 1e30, "
                      "-2.0]))"},
      },
      {
          .signature = "logit(Tensor input, float? eps=None) -> Tensor",
          .doc = "log(input / (1 - input)), within 4 ulp also about 1/2; NaN outside [0, 1]. With "
                 "`eps` input is clamped to [eps, 1 - eps] first.",
          .composition = compose<&logit>,
          .oracle = "sp.logit(1.0 * input if eps is None else np.clip(input, eps, 1 - eps))",
          .samples = {"(rand(3, 5) * 0.9 + 0.05,)", "(rand(7), 0.2)", "(randn(0, 4),)",
                      "(array([0.0, 1.0, 0.5, 0.25, 0.75, 2.0, -1.0, nan, 1e-8]),)", "(rand(),)",
                      "(arange(0, 2),)"},
      },
      {
          .signature = "xlogy(Operand input, Operand other) -> Tensor",
          .doc = "input * log(other), and 0 where input is 0 unless other is NaN.",
          .composition = compose<&xlogy>,
          .oracle = "sp.xlogy(input, other)",
          .samples = {"(randn(3, 5), rand(5) + 0.1)", "(randn(4), 2.0)", "(randn(0), randn(0))",
                      "(array([0.0, 0.0, 0.0, 0.0, 1.0, nan, 2.0]), array([0.0, nan, inf, -1.0, "
                      "0.0, 0.0, -1.0]))",
                      "(arange(5), arange(5))"},
      },
      {
          .signature = "deg2rad(Tensor input) -> Tensor",
          .doc = "Degrees as radians: input * pi / 180. Integers and bools become f32.",
          .composition = compose<&deg2rad>,
          .oracle = "np.deg2rad(1.0 * input)",
          .samples = {"(randn(3, 5) * 90,)", "(randn(0, 4),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "rad2deg(Tensor input) -> Tensor",
          .doc = "Radians as degrees: input * 180 / pi. Integers and bools become f32.",
          .composition = compose<&rad2deg>,
          .oracle = "np.rad2deg(1.0 * input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(arange(-2, 3),)"},
      },
  };
}

}  // namespace plait
