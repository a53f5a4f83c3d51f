// Elementwise arithmetic of two or three tensors.
#include <cmath>

#include "core/error.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

bool is_one(const Operand& x) {
  return !x.is_tensor() && !x.is_size() && x.number().as_double() == 1.0;
}

// Bools add like `or` and multiply like `and`.
Tensor arithmetic(BinaryOp op, BinaryOp of_bools, const Operand& a, const Operand& b) {
  const detail::Pair pair = detail::promote_and_broadcast(a, b);
  return detail::binary(pair.a.dtype() == DType::boolean ? of_bools : op, pair.a, pair.b);
}

// The quotient rounded down, of floats: (a - a mod b) / b is a whole number but for rounding.
Tensor floor_divide_floats(const Tensor& a, const Tensor& b) {
  const Tensor whole = round(div(sub(a, remainder(a, b)), b));
  return where(eq(b, 0.0), div(a, b), whole);
}

// base^exponent of integers by squaring; arithmetic wraps.
Tensor pow_of_integers(const Tensor& base, const Tensor& exponent) {
  const int bits = static_cast<int>(dtype_size(exponent.dtype())) * 8 - is_signed(exponent.dtype());
  Tensor result = ones_like(base);
  Tensor power = base;
  for (int bit = 0; bit < bits; ++bit) {
    const Tensor set = ne(bitwise_and(exponent, int64_t{1} << bit), 0);
    result = where(set, mul(result, power), result);
    if (bit + 1 < bits) power = mul(power, power);
  }
  return result;
}

Tensor pow_by_number(const Tensor& base, int64_t exponent) {
  Tensor result;
  Tensor power = base;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = result.defined() ? mul(result, power) : power;
    if (exponent > 1) power = mul(power, power);
  }
  return result.defined() ? result : ones_like(base);
}

// x, or the bound where it is passed or NaN; a select, so that the whole gradient passes at it.
Tensor limited(const Tensor& x, const Operand& bound, const Tensor& passed) {
  if (bound.is_tensor()) {
    const bool is_never_nan = !is_float(bound.tensor().dtype());
    return where(is_never_nan ? passed : logical_or(passed, ne(bound, bound)), bound, x);
  }
  const Tensor result = where(passed, bound, x);
  const bool is_nan = !bound.is_size() && std::isnan(bound.number().as_double());
  return is_nan ? detail::full_like(result, std::nan("")) : result;
}

}  // namespace

Tensor add(const Operand& input, const Operand& other, const Operand& alpha) {
  OpScope op("add");
  if (is_one(alpha)) return arithmetic(BinaryOp::add, BinaryOp::bit_or, input, other);
  return arithmetic(BinaryOp::add, BinaryOp::bit_or, input, mul(other, alpha));
}

Tensor sub(const Operand& input, const Operand& other, const Operand& alpha) {
  OpScope op("sub");
  const Operand scaled = is_one(alpha) ? other : Operand(mul(other, alpha));
  const detail::Pair pair = detail::promote_and_broadcast(input, scaled);
  PLAIT_CHECK(pair.a.dtype() != DType::boolean, detail::op_name(),
              "bools have no difference; got a: {}, b: {}. hint: use logical_xor",
              to_string(pair.a.type()), to_string(pair.b.type()));
  return detail::binary(BinaryOp::sub, pair.a, pair.b);
}

Tensor mul(const Operand& input, const Operand& other) {
  OpScope op("mul");
  return arithmetic(BinaryOp::mul, BinaryOp::bit_and, input, other);
}

Tensor div(const Operand& input, const Operand& other,
           const std::optional<std::string>& rounding_mode) {
  OpScope op("div");
  if (rounding_mode == "floor") return floor_divide(input, other);
  PLAIT_CHECK(!rounding_mode || rounding_mode == "trunc", detail::op_name(),
              "rounding_mode must be 'floor', 'trunc' or None; got '{}'", *rounding_mode);
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  if (!rounding_mode) {
    return detail::binary(BinaryOp::div, detail::to_float(pair.a), detail::to_float(pair.b));
  }
  if (is_float(pair.a.dtype())) return trunc(div(pair.a, pair.b));
  const Tensor down = detail::binary(BinaryOp::div, pair.a, pair.b);
  const Tensor left = remainder(pair.a, pair.b);
  const Tensor negative = logical_xor(lt(pair.a, 0), lt(pair.b, 0));
  return where(logical_and(negative, ne(left, 0)), add(down, 1), down);
}

Tensor floor_divide(const Operand& input, const Operand& other) {
  OpScope op("floor_divide");
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  if (is_float(pair.a.dtype())) return floor_divide_floats(pair.a, pair.b);
  return detail::binary(BinaryOp::div, pair.a, pair.b);
}

Tensor remainder(const Operand& input, const Operand& other) {
  OpScope op("remainder");
  return detail::binary(BinaryOp::mod, input, other);
}

Tensor fmod(const Operand& input, const Operand& other) {
  OpScope op("fmod");
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  const Tensor size = remainder(abs(pair.a), abs(pair.b));
  return where(lt(pair.a, 0), neg(size), size);
}

Tensor pow(const Operand& input, const Operand& exponent) {
  OpScope op("pow");
  const bool number = input.is_tensor() && !exponent.is_tensor() && !exponent.is_size() &&
                      exponent.number().dtype() != DType::boolean;
  if (number && is_integer(input.tensor().dtype()) && exponent.number().dtype() == DType::i64) {
    const int64_t times = exponent.number().as_int();
    PLAIT_CHECK(times >= 0, detail::op_name(),
                "integers have no negative powers; got {} to the power {}. hint: cast to a float",
                to_string(input.tensor().type()), times);
    return pow_by_number(input.tensor(), times);
  }
  // A product, so that squares are seen as squares; it rounds once as pow does.
  if (number && exponent.number().as_double() == 2.0) {
    const Tensor base = detail::to_float(input.tensor());
    return mul(base, base);
  }
  const detail::Pair pair = detail::promote_and_broadcast(input, exponent);
  if (is_integer(pair.a.dtype())) return pow_of_integers(pair.a, pair.b);
  return detail::binary(BinaryOp::pow, detail::to_float(pair.a), detail::to_float(pair.b));
}

Tensor maximum(const Operand& input, const Operand& other) {
  OpScope op("maximum");
  return detail::binary(BinaryOp::maximum, input, other);
}

Tensor minimum(const Operand& input, const Operand& other) {
  OpScope op("minimum");
  return detail::binary(BinaryOp::minimum, input, other);
}

Tensor clamp(const Tensor& input, const std::optional<Operand>& min,
             const std::optional<Operand>& max) {
  OpScope op("clamp");
  PLAIT_CHECK(min || max, detail::op_name(), "min or max must be given; got neither");
  Tensor result = input;
  if (min) result = limited(result, *min, lt(result, *min));
  if (max) result = limited(result, *max, lt(*max, result));
  return result;
}

Tensor clamp_min(const Tensor& input, const Operand& min) {
  OpScope op("clamp_min");
  return clamp(input, min);
}

Tensor clamp_max(const Tensor& input, const Operand& max) {
  OpScope op("clamp_max");
  return clamp(input, std::nullopt, max);
}

Tensor copysign(const Operand& input, const Operand& other) {
  OpScope op("copysign");
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  const Tensor size = abs(detail::to_float(pair.a));
  const Tensor sign = detail::to_float(pair.b);
  // A quotient tells -0 from 0; that of -inf is -0.
  const Tensor negative = logical_or(lt(sign, 0.0), lt(div(1.0, sign), 0.0));
  return where(negative, neg(size), size);
}

Tensor atan2(const Operand& input, const Operand& other) {
  OpScope op("atan2");
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  return detail::binary(BinaryOp::atan2, detail::to_float(pair.a), detail::to_float(pair.b));
}

Tensor logaddexp(const Operand& input, const Operand& other) {
  OpScope op("logaddexp");
  const detail::Pair pair = detail::promote_and_broadcast(input, other);
  const Tensor a = detail::wide(pair.a);
  const Tensor b = detail::wide(pair.b);
  // Equal operands, infinite ones too, differ by 0.
  const Tensor difference = where(eq(a, b), 0.0, sub(a, b));
  const Tensor sum = add(maximum(a, b), log1p(exp(neg(abs(difference)))));
  return detail::cast_to(sum, detail::float_dtype(pair.a));
}

Tensor lerp(const Tensor& input, const Operand& end, const Operand& weight) {
  OpScope op("lerp");
  const detail::Pair pair = detail::promote_and_broadcast(input, end);
  const Tensor from = detail::wide(pair.a);
  const Tensor to = detail::wide(pair.b);
  const Tensor way = sub(to, from);
  // From the nearer end, so that both ends are met exactly.
  const Tensor mixed =
      where(lt(weight, 0.5), add(from, mul(way, weight)), sub(to, mul(way, sub(1.0, weight))));
  return detail::cast_to(mixed, detail::float_dtype(pair.a));
}

Tensor fma(const Operand& input, const Operand& other, const Operand& addend) {
  OpScope op("fma");
  const detail::Pair factors = detail::promote_and_broadcast(input, other);
  const detail::Pair first = detail::promote_and_broadcast(factors.a, addend);
  const detail::Pair second = detail::promote_and_broadcast(factors.b, first.b);
  PLAIT_CHECK(is_float(first.a.dtype()), detail::op_name(),
              "floats are needed; got {}. hint: cast them first", to_string(first.a.type()));
  Graph& graph = *first.a.graph();
  return {first.a.graph(), meta::fma(graph, first.a.value(), second.a.value(), second.b.value())};
}

Tensor addcmul(const Tensor& input, const Tensor& tensor1, const Tensor& tensor2,
               const Operand& value) {
  OpScope op("addcmul");
  const Tensor product = mul(tensor1, tensor2);
  return add(input, is_one(value) ? product : mul(product, value));
}

Tensor addcdiv(const Tensor& input, const Tensor& tensor1, const Tensor& tensor2,
               const Operand& value) {
  OpScope op("addcdiv");
  const Tensor quotient = div(tensor1, tensor2);
  return add(input, is_one(value) ? quotient : mul(quotient, value));
}

std::vector<OpRecord> arithmetic_ops() {
  return {
      {
          .signature = "add(Operand input, Operand other, *, Operand alpha=1) -> Tensor",
          .doc = "input + alpha * other, with numpy's broadcasting and PyTorch's promotion. Of "
                 "bools: `or`.",
          .composition = compose<&add>,
          .oracle = "input + other if alpha == 1 else input + alpha * other",
          .samples = {"(randn(3, 5), randn(5))", "(randn(2, 1, 4), randn(3, 1))", "(randn(7), 2.5)",
                      "(randn(0, 3), randn(3))", "(randn(), randn())",
                      "(arange(5), arange(5), alpha=3)", "(arange(5), 2)",
                      "(array([True, False]), array([True, True]))"},
      },
      {
          .signature = "sub(Operand input, Operand other, *, Operand alpha=1) -> Tensor",
          .doc = "input - alpha * other, with numpy's broadcasting and PyTorch's promotion. "
                 "Unsigned integers wrap; bools are refused.",
          .composition = compose<&sub>,
          .oracle = "input - alpha * other",
          .samples = {"(randn(3, 5), randn(5))", "(3.5, randn(2, 3))", "(randn(0, 3), randn(3))",
                      "(arange(5), arange(5), alpha=3)", "(randn(), 1)"},
      },
      {
          .signature = "mul(Operand input, Operand other) -> Tensor",
          .doc = "The product, with numpy's broadcasting and PyTorch's promotion. Of bools: `and`.",
          .composition = compose<&mul>,
          .oracle = "input * other",
          .samples = {"(randn(3, 5), randn(5))", "(randn(2, 1, 4), randn(3, 1))", "(randn(7), 2.5)",
                      "(randn(0, 3), randn(3))", "(array([True, False]), array([True, True]))"},
      },
      {
          .signature = "div(Operand input, Operand other, *, str? rounding_mode=None) -> Tensor",
          .doc = "The quotient; integers and bools become f32. `rounding_mode` 'floor' is "
                 "`floor_divide`; 'trunc' rounds towards 0 and keeps integers. Integers by zero "
                 "with a rounding mode give 0 ('floor').",
          .composition = compose<&div>,
          .oracle = "input / other if rounding_mode is None else np.floor_divide(input, other) "
                    "if rounding_mode == 'floor' else "
                    "np.trunc(input / other).astype(np.result_type(input, other))",
          .samples = {"(randn(3, 5), rand(5) + 0.5)", "(arange(1, 8), 2)", "(1.0, rand(3) + 0.5)",
                      "(array([-7, 7, -8, 110]), array([2, -2, 3, 55]), rounding_mode='trunc')",
                      "(randn(3, 5) * 10, 3.0, rounding_mode='trunc')",
                      "(randn(3, 5) * 10, 3.0, rounding_mode='floor')",
                      "(randn(0, 3), rand(3) + 0.5)", "(array([1.0, -1.0, 0.0]), 0.0)"},
      },
      {
          .signature = "floor_divide(Operand input, Operand other) -> Tensor",
          .doc = "The quotient rounded down, as Python's //: floor_divide(a, b) * b + "
                 "remainder(a, b) is a. Integers by zero give 0. The gradient is 0.",
          .composition = compose<&floor_divide>,
          .oracle = "np.floor_divide(input, other)",
          .samples = {"(array([-7, 7, -8, 110]), array([2, -2, 3, 55]))", "(arange(-5, 6), 3)",
                      "(randn(4, 5) * 10, 2.5)", "(randn(0, 3), rand(3) + 0.5)",
                      "(array([7.5, -7.5, 1.0]), array([2.5, 2.5, 0.1]))"},
          .differentiable = false,
      },
      {
          .signature = "remainder(Operand input, Operand other) -> Tensor",
          .doc = "input mod other with the sign of the divisor, as Python's %. Integers by zero "
                 "give 0.",
          .composition = compose<&remainder>,
          .oracle = "np.remainder(input, other)",
          .samples = {"(array([-7, 7, -8, 110]), array([2, -2, 3, 55]))", "(arange(-5, 6), 3)",
                      "(randn(4, 5) * 10, 2.5)", "(randn(0, 3), rand(3) + 0.5)",
                      "(array([7.5, -7.5, 1.0]), array([-2.0, 2.0, -0.75]))"},
      },
      {
          .signature = "fmod(Operand input, Operand other) -> Tensor",
          .doc = "The remainder with the sign of the dividend, as C's fmod.",
          .composition = compose<&fmod>,
          .oracle = "np.fmod(input, other)",
          .samples = {"(array([-7, 7, -8, 110]), array([2, -2, 3, 55]))", "(randn(4, 5) * 10, 2.5)",
                      "(randn(0, 3), rand(3) + 0.5)"},
      },
      {
          .signature = "pow(Operand input, Operand exponent) -> Tensor",
          .doc = "input to the power of exponent. pow(x, 0) = 1 and pow(1, y) = 1, also for NaN. "
                 "Integers to integers stay integers and wrap; a negative number as their exponent "
                 "is refused.",
          .composition = compose<&pow>,
          .oracle = "np.power(input, exponent)",
          .samples = {"(rand(3, 5) + 0.5, randn(5))", "(randn(3, 4), 2)", "(randn(3, 4), 3.0)",
                      "(rand(4) + 0.5, -0.5)", "(2.0, randn(3))", "(arange(-3, 4), 3)",
                      "(arange(-3, 4), 0)", "(array([2, 3, -2]), array([10, 0, 3]))",
                      "(randn(0, 3), 2.5)", "(array([0.0, 1.0, nan, inf]), 0.0)"},
      },
      {
          .signature = "maximum(Operand input, Operand other) -> Tensor",
          .doc = "The larger one; NaN wins and +0 > -0 (IEEE 754-2019). Where both are equal each "
                 "receives half of the gradient.",
          .composition = compose<&maximum>,
          .oracle = "np.maximum(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(arange(5), 2)", "(randn(0, 3), 0.0)",
                      "(array([1.0, nan, 2.0]), array([1.0, 0.0, nan]))"},
      },
      {
          .signature = "minimum(Operand input, Operand other) -> Tensor",
          .doc = "The smaller one; NaN wins and -0 < +0 (IEEE 754-2019). Where both are equal each "
                 "receives half of the gradient.",
          .composition = compose<&minimum>,
          .oracle = "np.minimum(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(arange(5), 2)", "(randn(0, 3), 0.0)",
                      "(array([1.0, nan, 2.0]), array([1.0, 0.0, nan]))"},
      },
      {
          .signature = "clamp(Tensor input, Operand? min=None, Operand? max=None) -> Tensor",
          .doc =
              "input limited to [min, max]; max where min > max; NaN where one of the three is. At "
              "a bound the whole gradient passes. At least one bound is needed.",
          .composition = compose<&clamp>,
          .oracle = "np.clip(input, min, max)",
          .samples = {"(randn(3, 5), -0.5, 0.5)", "(randn(3, 5), min=0.0)",
                      "(arange(-4, 5), max=2)", "(randn(2, 3), randn(3), randn(3) + 1)",
                      "(randn(0), 0.0, 1.0)", "(array([nan, inf, -inf]), -1.0, 1.0)",
                      "(randn(3), array([nan, -inf, 0.0]), 1.0)", "(randn(3), max=nan)"},
      },
      {
          .signature = "clamp_min(Tensor input, Operand min) -> Tensor",
          .doc = "`clamp` with a lower bound alone.",
          .composition = compose<&clamp_min>,
          .oracle = "np.maximum(input, min)",
          .samples = {"(randn(3, 5), -0.5)", "(randn(2, 3), randn(3))", "(arange(-4, 5), 2)",
                      "(randn(0), 0.0)", "(array([nan, inf, -inf]), 1.0)"},
      },
      {
          .signature = "clamp_max(Tensor input, Operand max) -> Tensor",
          .doc = "`clamp` with an upper bound alone.",
          .composition = compose<&clamp_max>,
          .oracle = "np.minimum(input, max)",
          .samples = {"(randn(3, 5), 0.5)", "(randn(2, 3), randn(3))", "(arange(-4, 5), 2)",
                      "(randn(0), 0.0)", "(array([nan, inf, -inf]), 1.0)"},
      },
      {
          .signature = "copysign(Operand input, Operand other) -> Tensor",
          .doc = "|input| with the sign of other, -0 included; NaN counts as positive. Integers "
                 "and bools become f32. The gradient by input is 0 at 0, that by other 0.",
          .composition = compose<&copysign>,
          .oracle = "np.copysign(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(randn(4), -1.0)", "(randn(0), randn(0))",
                      "(array([1.0, -2.0, 3.0, 0.0, inf, nan]), array([-0.0, 0.0, -inf, -1.0, "
                      "-1.0, -3.0]))",
                      "(arange(-2, 3), -1)"},
      },
      {
          .signature = "atan2(Operand input, Operand other) -> Tensor",
          .doc = "The angle of the point (other, input), in (-pi, pi].",
          .composition = compose<&atan2>,
          .oracle = "np.arctan2(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(randn(4), 1.0)", "(randn(0), randn(0))",
                      "(array([0.0, -0.0, 1.0]), array([-1.0, -1.0, 0.0]))"},
      },
      {
          .signature = "logaddexp(Operand input, Operand other) -> Tensor",
          .doc = "log(exp(input) + exp(other)) as max + log1p(exp(-|difference|)). Equal infinite "
                 "operands give themselves. Equal operands receive half of the gradient each.",
          .composition = compose<&logaddexp>,
          .oracle = "np.logaddexp(input, other)",
          .samples = {"(randn(3, 5), randn(5))", "(randn(4), 0.0)", "(randn(0), randn(0))",
                      "(array([-inf, inf, -inf, 1.0]), array([-inf, inf, 1.0, 1.0]))",
                      "(array([1000.0, -1000.0]), array([1000.0, 0.0]))"},
      },
      {
          .signature = "lerp(Tensor input, Operand end, Operand weight) -> Tensor",
          .doc = "input + weight * (end - input); exact at weight 0 and 1.",
          .composition = compose<&lerp>,
          .oracle = "input + weight * (end - input)",
          .samples = {"(randn(3, 5), randn(5), 0.25)", "(randn(3, 5), randn(3, 5), rand(5))",
                      "(randn(0), randn(0), 0.5)", "(randn(4), randn(4), 1.0)"},
      },
      {
          .signature = "fma(Operand input, Operand other, Operand addend) -> Tensor",
          .doc = "input * other + addend, rounded once. Floats only.",
          .composition = compose<&fma>,
          .oracle = "input * other + addend",
          .samples = {"(randn(3, 5), randn(5), randn(3, 1))", "(randn(4), 2.0, randn(4))",
                      "(randn(0), randn(0), 1.0)"},
      },
      {
          .signature = "addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Operand value=1) "
                       "-> Tensor",
          .doc = "input + value * tensor1 * tensor2.",
          .composition = compose<&addcmul>,
          .oracle = "input + value * tensor1 * tensor2",
          .samples = {"(randn(3, 5), randn(5), randn(3, 1))",
                      "(randn(4), randn(4), randn(4), value=0.5)",
                      "(randn(0), randn(0), randn(0))"},
      },
      {
          .signature = "addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Operand value=1) "
                       "-> Tensor",
          .doc = "input + value * tensor1 / tensor2.",
          .composition = compose<&addcdiv>,
          .oracle = "input + value * tensor1 / tensor2",
          .samples = {"(randn(3, 5), randn(5), rand(3, 1) + 0.5)",
                      "(randn(4), randn(4), rand(4) + 0.5, value=0.5)",
                      "(randn(0), randn(0), randn(0))"},
      },
  };
}

}  // namespace plait
