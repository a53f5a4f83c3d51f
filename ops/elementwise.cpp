// Elementwise functions of one tensor.
#include <cmath>
#include <limits>

#include "core/error.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

// Rounding leaves integers and bools as they are.
Tensor round_floats(UnaryOp op, const Tensor& x) {
  return is_float(x.dtype()) ? detail::unary(op, x) : x;
}

double largest_finite(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return 65504;
    case DType::bf16:
      return 0x1.FEp127;
    case DType::f32:
      return std::numeric_limits<float>::max();
    case DType::f64:
      return std::numeric_limits<double>::max();
    case DType::boolean:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u32:
    case DType::u64:
      break;
  }
  PLAIT_UNREACHABLE("dtype {}", dtype_name(dtype));
}

}  // namespace

Tensor exp(const Tensor& input) {
  OpScope op("exp");
  return detail::unary(UnaryOp::exp, detail::to_float(input));
}

Tensor expm1(const Tensor& input) {
  OpScope op("expm1");
  return detail::unary(UnaryOp::expm1, detail::to_float(input));
}

Tensor log(const Tensor& input) {
  OpScope op("log");
  return detail::unary(UnaryOp::log, detail::to_float(input));
}

Tensor log1p(const Tensor& input) {
  OpScope op("log1p");
  return detail::unary(UnaryOp::log1p, detail::to_float(input));
}

Tensor log2(const Tensor& input) {
  OpScope op("log2");
  return detail::unary(UnaryOp::log2, detail::to_float(input));
}

Tensor sqrt(const Tensor& input) {
  OpScope op("sqrt");
  return detail::unary(UnaryOp::sqrt, detail::to_float(input));
}

Tensor rsqrt(const Tensor& input) {
  OpScope op("rsqrt");
  return detail::unary(UnaryOp::rsqrt, detail::to_float(input));
}

Tensor sin(const Tensor& input) {
  OpScope op("sin");
  return detail::unary(UnaryOp::sin, detail::to_float(input));
}

Tensor cos(const Tensor& input) {
  OpScope op("cos");
  return detail::unary(UnaryOp::cos, detail::to_float(input));
}

Tensor tanh(const Tensor& input) {
  OpScope op("tanh");
  return detail::unary(UnaryOp::tanh, detail::to_float(input));
}

Tensor erf(const Tensor& input) {
  OpScope op("erf");
  return detail::unary(UnaryOp::erf, detail::to_float(input));
}

Tensor floor(const Tensor& input) {
  OpScope op("floor");
  return round_floats(UnaryOp::floor, input);
}

Tensor ceil(const Tensor& input) {
  OpScope op("ceil");
  return round_floats(UnaryOp::ceil, input);
}

Tensor round(const Tensor& input, int64_t decimals) {
  OpScope op("round");
  if (decimals == 0) return round_floats(UnaryOp::round, input);
  PLAIT_CHECK(is_float(input.dtype()), detail::op_name(),
              "decimals need a float; got decimals {} for {}", decimals, to_string(input.type()));
  PLAIT_CHECK(decimals >= -38 && decimals <= 38, detail::op_name(),
              "decimals must lie in [-38, 38]; got {}", decimals);
  const Tensor x = detail::wide(input);
  const double scale = std::pow(10.0, std::abs(decimals));
  const Tensor scaled = decimals > 0 ? mul(x, scale) : div(x, scale);
  const Tensor whole = detail::unary(UnaryOp::round, scaled);
  const Tensor result = decimals > 0 ? div(whole, scale) : mul(whole, scale);
  // What overflows has no digits to round away.
  return detail::cast_to(where(isfinite(scaled), result, detach(x)), input.dtype());
}

Tensor trunc(const Tensor& input) {
  OpScope op("trunc");
  return round_floats(UnaryOp::trunc, input);
}

Tensor frac(const Tensor& input) {
  OpScope op("frac");
  return sub(input, trunc(input));
}

Tensor neg(const Tensor& input) {
  OpScope op("neg");
  return detail::unary(UnaryOp::neg, input);
}

Tensor abs(const Tensor& input) {
  OpScope op("abs");
  return detail::unary(UnaryOp::abs, input);
}

Tensor sign(const Tensor& input) {
  OpScope op("sign");
  return detail::unary(UnaryOp::sign, input);
}

Tensor square(const Tensor& input) {
  OpScope op("square");
  return mul(input, input);
}

Tensor reciprocal(const Tensor& input) {
  OpScope op("reciprocal");
  return div(1.0, input);
}

Tensor isnan(const Tensor& input) {
  OpScope op("isnan");
  if (!is_float(input.dtype())) return zeros_like(input, DType::boolean);
  return detail::unary(UnaryOp::is_nan, input);
}

Tensor isinf(const Tensor& input) {
  OpScope op("isinf");
  if (!is_float(input.dtype())) return zeros_like(input, DType::boolean);
  return eq(abs(input), detail::kInfinity);
}

Tensor isfinite(const Tensor& input) {
  OpScope op("isfinite");
  if (!is_float(input.dtype())) return ones_like(input, DType::boolean);
  return lt(abs(input), detail::kInfinity);
}

Tensor nan_to_num(const Tensor& input, double nan, std::optional<double> posinf,
                  std::optional<double> neginf) {
  OpScope op("nan_to_num");
  if (!is_float(input.dtype())) return input;
  const double most = largest_finite(input.dtype());
  const Tensor above = where(eq(input, detail::kInfinity), posinf.value_or(most), input);
  const Tensor below = where(eq(input, -detail::kInfinity), neginf.value_or(-most), above);
  return where(isnan(input), nan, below);
}

Tensor to(const Tensor& input, DType dtype) {
  OpScope op("to");
  return detail::cast_to(input, dtype);
}

Tensor detach(const Tensor& input) {
  OpScope op("detach");
  PLAIT_CHECK(input.defined(), detail::op_name(), "got a tensor without a value");
  return {input.graph(), meta::detach(*input.graph(), input.value())};
}

std::vector<OpRecord> elementwise_ops() {
  return {

      {
          .signature = "exp(Tensor input) -> Tensor",
          .doc = "e to the power of each element. Integers and bools become f32.",
          .composition = compose<&exp>,
          .oracle = "np.exp(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "expm1(Tensor input) -> Tensor",
          .doc = "exp(input) - 1, precise near 0. Integers and bools become f32.",
          .composition = compose<&expm1>,
          .oracle = "np.expm1(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "log(Tensor input) -> Tensor",
          .doc = "The natural logarithm; -inf at 0, NaN below. Integers and bools become f32.",
          .composition = compose<&log>,
          .oracle = "np.log(input)",
          .samples = {"(rand(3, 5) + 0.1,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.0, 1.0, inf, nan, 1e-30]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "log1p(Tensor input) -> Tensor",
          .doc = "log(1 + input), precise near 0. Integers and bools become f32.",
          .composition = compose<&log1p>,
          .oracle = "np.log1p(input)",
          .samples = {"(rand(3, 5) + 0.1,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.0, 1.0, inf, nan, 1e-30]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "log2(Tensor input) -> Tensor",
          .doc = "The logarithm to base 2. Integers and bools become f32.",
          .composition = compose<&log2>,
          .oracle = "np.log2(input)",
          .samples = {"(rand(3, 5) + 0.1,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.0, 1.0, inf, nan, 1e-30]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "sqrt(Tensor input) -> Tensor",
          .doc = "The square root; NaN below 0. Integers and bools become f32.",
          .composition = compose<&sqrt>,
          .oracle = "np.sqrt(input)",
          .samples = {"(rand(3, 5) + 0.1,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.0, 1.0, inf, nan, 1e-30]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "rsqrt(Tensor input) -> Tensor",
          .doc = "1 / sqrt(input); inf at 0. Integers and bools become f32.",
          .composition = compose<&rsqrt>,
          .oracle = "1 / np.sqrt(input)",
          .samples = {"(rand(3, 5) + 0.1,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.0, 1.0, inf, nan, 1e-30]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "sin(Tensor input) -> Tensor",
          .doc = "The sine (radians). Integers and bools become f32.",
          .composition = compose<&sin>,
          .oracle = "np.sin(input)",
          .samples = {"(randn(3, 5) * 10,)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, inf, nan, 1000.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "cos(Tensor input) -> Tensor",
          .doc = "The cosine (radians). Integers and bools become f32.",
          .composition = compose<&cos>,
          .oracle = "np.cos(input)",
          .samples = {"(randn(3, 5) * 10,)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, inf, nan, 1000.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "tanh(Tensor input) -> Tensor",
          .doc = "The hyperbolic tangent. Integers and bools become f32.",
          .composition = compose<&tanh>,
          .oracle = "np.tanh(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "erf(Tensor input) -> Tensor",
          .doc = "The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0. Integers "
                 "and bools become f32.",
          .composition = compose<&erf>,
          .oracle = "sp.erf(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "floor(Tensor input) -> Tensor",
          .doc = "The largest whole number that is not greater. Integers stay as they are. The "
                 "gradient is 0.",
          .composition = compose<&floor>,
          .oracle = "np.floor(input)",
          .samples = {"(randn(3, 5) * 4,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.5, 1.5, -0.5, -1.5, -0.0, inf, nan]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
      {
          .signature = "ceil(Tensor input) -> Tensor",
          .doc = "The smallest whole number that is not less. Integers stay as they are. The "
                 "gradient is 0.",
          .composition = compose<&ceil>,
          .oracle = "np.ceil(input)",
          .samples = {"(randn(3, 5) * 4,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.5, 1.5, -0.5, -1.5, -0.0, inf, nan]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
      {
          .signature = "round(Tensor input, *, int decimals=0) -> Tensor",
          .doc = "The nearest number of `decimals` decimal digits (tens, hundreds … if negative), "
                 "ties to even: round(input * 10^decimals) / 10^decimals. Whole numbers by "
                 "default; integers stay as they are, and take no decimals. The gradient is 0.",
          .composition = compose<&round>,
          .oracle = "np.where(np.isinf(input), input, np.round(input, decimals))",
          .samples = {"(randn(3, 5) * 4,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.5, 1.5, -0.5, -1.5, -0.0, inf, nan]),)", "(arange(-2, 3),)",
                      "(array([0.25, 0.75, -1.25, 3.0]), decimals=1)",
                      "(array([12.0, 15.0, 25.0, -130.0]), decimals=-1)",
                      "(array([1e30, inf, nan, -inf, 0.0]), decimals=20)"},
          .differentiable = false,
      },
      {
          .signature = "trunc(Tensor input) -> Tensor",
          .doc = "The whole number next towards 0. Integers stay as they are. The gradient is 0.",
          .composition = compose<&trunc>,
          .oracle = "np.trunc(input)",
          .samples = {"(randn(3, 5) * 4,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.5, 1.5, -0.5, -1.5, -0.0, inf, nan]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
      {
          .signature = "frac(Tensor input) -> Tensor",
          .doc = "input - trunc(input), the part after the point with input's sign; 0 of integers. "
                 "NaN of infinities.",
          .composition = compose<&frac>,
          .oracle = "input - np.trunc(input)",
          .samples = {"(randn(3, 5) * 4,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.5, 1.75, -0.5, -1.25, -0.0, inf, nan]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "neg(Tensor input) -> Tensor",
          .doc = "-input, of a number; unsigned integers wrap.",
          .composition = compose<&neg>,
          .oracle = "-input",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "abs(Tensor input) -> Tensor",
          .doc = "The absolute value, of a number. The gradient at 0 is 0.",
          .composition = compose<&abs>,
          .oracle = "np.abs(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "sign(Tensor input) -> Tensor",
          .doc = "-1, 0 or 1, of a number; NaN stays NaN. The gradient is 0.",
          .composition = compose<&sign>,
          .oracle = "np.sign(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
      {
          .signature = "square(Tensor input) -> Tensor",
          .doc = "input * input.",
          .composition = compose<&square>,
          .oracle = "input * input",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "reciprocal(Tensor input) -> Tensor",
          .doc = "1 / input; integers and bools become f32.",
          .composition = compose<&reciprocal>,
          .oracle = "1 / input",
          .samples = {"(rand(3, 5) + 0.1,)", "(randn(0, 4),)", "(array(2.5),)",
                      "(array([0.0, 1.0, inf, nan, 1e-30]),)", "(arange(1, 6),)"},
      },
      {
          .signature = "isnan(Tensor input) -> Tensor",
          .doc = "True where NaN; bool. False for integers.",
          .composition = compose<&isnan>,
          .oracle = "np.isnan(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
      {
          .signature = "isinf(Tensor input) -> Tensor",
          .doc = "True where +inf or -inf; bool. False for integers.",
          .composition = compose<&isinf>,
          .oracle = "np.isinf(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
      {
          .signature = "isfinite(Tensor input) -> Tensor",
          .doc = "True where neither NaN nor infinite; bool. True for integers.",
          .composition = compose<&isfinite>,
          .oracle = "np.isfinite(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
      {
          .signature = "nan_to_num(Tensor input, float nan=0.0, float? posinf=None, float? "
                       "neginf=None) -> Tensor",
          .doc = "NaN as `nan`, inf as `posinf` and -inf as `neginf`: by default the largest and "
                 "the smallest number of the dtype. What is replaced receives no gradient.",
          .composition = compose<&nan_to_num>,
          .oracle = "np.nan_to_num(input, True, nan, posinf, neginf)",
          .samples = {"(randn(3, 5), 1.0, 2.0, 3.0)", "(randn(7), nan=0.5, posinf=9.0, neginf=8.0)",
                      "(randn(0, 4),)", "(array([nan, 1.0, -0.0]),)",
                      "(array([nan, inf, -inf, 2.0]), posinf=5.0, neginf=-4.0)",
                      "(arange(-2, 3),)"},
      },
      {
          .signature = "to(Tensor input, DType dtype) -> Tensor",
          .doc = "The elements in another dtype: floats round to nearest, ties to even; floats to "
                 "integers truncate; to bool means unequal to 0. The gradient is cast back.",
          .composition = compose<&to>,
          .oracle = "input.astype(dtype)",
          .samples = {"(randn(3, 5), f64)", "(randn(0, 4), i32)", "(array([1.5, -1.5, 0.0]), i32)",
                      "(array([1.5, -1.5, 0.0]), boolean)", "(array([True, False]), f32)",
                      "(arange(300), u8)", "(randn(7), f32)"},
      },
      {
          .signature = "detach(Tensor input) -> Tensor",
          .doc = "The same values; no gradient passes.",
          .composition = compose<&detach>,
          .oracle = "input",
          .samples = {"(randn(3, 5),)", "(randn(0, 4),)", "(randn(),)",
                      "(array([0.0, -0.0, inf, -inf, nan, 100.0, -100.0]),)", "(arange(-2, 3),)"},
          .differentiable = false,
      },
  };
}

}  // namespace plait