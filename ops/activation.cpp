// Activations and softmax.
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "ops/softmax_terms.h"

namespace plait {
namespace {

// The input's dtype, or `dtype` to which PyTorch casts first.
Tensor cast_first(const Tensor& input, std::optional<DType> dtype) {
  const Tensor x = dtype ? detail::cast_to(input, *dtype) : detail::to_float(input);
  PLAIT_CHECK(is_float(x.dtype()), detail::op_name(), "dtype must be a float; got {}",
              dtype_name(x.dtype()));
  return x;
}

bool empty_axis(const Tensor& x, int64_t axis) { return x.shape()[axis].is_constant(0); }

Tensor gelu_wide(const Tensor& x, const std::string& approximate) {
  if (approximate == "none") {
    return mul(mul(x, 0.5), add(erf(mul(x, std::numbers::sqrt2 / 2)), 1.0));
  }
  PLAIT_CHECK(approximate == "tanh", detail::op_name(),
              "approximate must be 'none' or 'tanh'; got '{}'", approximate);
  const double scale = std::sqrt(2.0 / std::numbers::pi);
  const Tensor inner = mul(add(mul(mul(mul(x, x), x), 0.044715), x), scale);
  return mul(mul(x, 0.5), add(tanh(inner), 1.0));
}

// e^-|x| serves both signs, so that nothing overflows, in the gradient neither.
Tensor sigmoid_wide(const Tensor& x) {
  const Tensor negative = lt(x, 0.0);
  const Tensor e = exp(where(negative, x, neg(x)));
  return div(where(negative, e, 1.0), add(e, 1.0));
}

// x * (1 + 2 e^-|x|) / (1 + 2 e^-|x| + 2 e^-2|x|), and for negative x the same times e^2x: tanh of
// log(1 + e^x) with one exponential that cannot overflow.
Tensor mish_wide(const Tensor& x) {
  const Tensor negative = lt(x, 0.0);
  const Tensor e = exp(where(negative, x, neg(x)));
  const Tensor top = where(negative, mul(e, add(e, 2.0)), add(mul(e, 2.0), 1.0));
  const Tensor rest = where(negative, 2.0, mul(mul(e, e), 2.0));
  return mul(x, div(top, add(top, rest)));
}

}  // namespace

Tensor relu(const Tensor& input) {
  OpScope op("relu");
  // A select, not a maximum: the gradient at 0 is 0. NaN stays NaN.
  return where(le(input, 0), 0, input);
}

Tensor hardtanh(const Tensor& input, double min_val, double max_val) {
  OpScope op("hardtanh");
  PLAIT_CHECK(min_val <= max_val, detail::op_name(),
              "min_val must not exceed max_val; got {} and {}", min_val, max_val);
  const Tensor x = detail::to_float(input);
  return where(le(x, min_val), min_val, where(ge(x, max_val), max_val, x));
}

Tensor relu6(const Tensor& input) {
  OpScope op("relu6");
  return where(le(input, 0), 0, where(ge(input, 6), 6, input));
}

Tensor hardsigmoid(const Tensor& input) {
  OpScope op("hardsigmoid");
  const Tensor x = detail::wide(input);
  const Tensor inside = mul(add(x, 3.0), 1.0 / 6);
  const Tensor result = where(le(x, -3.0), 0.0, where(ge(x, 3.0), 1.0, inside));
  return detail::cast_to(result, detail::float_dtype(input));
}

Tensor hardswish(const Tensor& input) {
  OpScope op("hardswish");
  const Tensor x = detail::wide(input);
  const Tensor inside = mul(mul(x, add(x, 3.0)), 1.0 / 6);
  const Tensor result = where(le(x, -3.0), 0.0, where(ge(x, 3.0), x, inside));
  return detail::cast_to(result, detail::float_dtype(input));
}

Tensor mish(const Tensor& input) {
  OpScope op("mish");
  return detail::cast_to(mish_wide(detail::wide(input)), detail::float_dtype(input));
}

Tensor glu(const Tensor& input, int64_t dim) {
  OpScope op("glu");
  const int64_t axis = detail::normalize_axis(dim, input);
  const Expr size = input.shape()[axis];
  const Expr half = floor_div(size, 2);
  PLAIT_CHECK(prove_equal(half + half, size, {}) != false, detail::op_name(),
              "the dim that is halved must be even; got {}; dim {} has size {}",
              to_string(input.type()), axis, to_string(size));
  const Tensor x = detail::wide(input);
  const Tensor gate = sigmoid_wide(narrow(x, axis, half, half));
  return detail::cast_to(mul(narrow(x, axis, 0, half), gate), detail::float_dtype(input));
}

Tensor threshold(const Tensor& input, const Operand& threshold, const Operand& value) {
  OpScope op("threshold");
  return where(le(input, threshold), value, input);
}

Tensor prelu(const Tensor& input, const Tensor& weight) {
  OpScope op("prelu");
  const std::shared_ptr<Graph> graph = detail::graph_of({&input, &weight});
  const bool one = weight.rank() == 0 || (weight.rank() == 1 && weight.shape()[0].is_constant(1));
  const bool per_channel = weight.rank() == 1 && input.rank() >= 2 &&
                           prove_equal(weight.shape()[0], input.shape()[1], {}) != false;
  PLAIT_CHECK(one || per_channel, detail::op_name(),
              "weight must be one number or one per channel (dim 1); got input: {}, weight: {}",
              to_string(input.type()), to_string(weight.type()));
  const Tensor x = detail::to_float(detail::tensor_in(graph, input));
  const Tensor scalar = detail::cast_to(detail::tensor_in(graph, weight), x.dtype());
  const Tensor slope = one ? detail::broadcast_to_shape(reshape(scalar, {}), x.shape())
                           : detail::broadcast(scalar, x.shape(), {1});
  return where(gt(x, 0.0), x, mul(x, slope));
}

Tensor leaky_relu(const Tensor& input, double negative_slope) {
  OpScope op("leaky_relu");
  const Tensor x = detail::to_float(input);
  return where(gt(x, 0.0), x, mul(x, negative_slope));
}

Tensor elu(const Tensor& input, double alpha) {
  OpScope op("elu");
  const Tensor x = detail::wide(input);
  const Tensor positive = gt(x, 0.0);
  // The select inside keeps inf out of the gradient of expm1.
  const Tensor negative = mul(expm1(where(positive, 0.0, x)), alpha);
  return detail::cast_to(where(positive, x, negative), detail::float_dtype(input));
}

Tensor gelu(const Tensor& input, const std::string& approximate) {
  OpScope op("gelu");
  return detail::cast_to(gelu_wide(detail::wide(input), approximate), detail::float_dtype(input));
}

Tensor sigmoid(const Tensor& input) {
  OpScope op("sigmoid");
  return detail::cast_to(sigmoid_wide(detail::wide(input)), detail::float_dtype(input));
}

Tensor silu(const Tensor& input) {
  OpScope op("silu");
  const Tensor x = detail::wide(input);
  return detail::cast_to(mul(x, sigmoid_wide(x)), detail::float_dtype(input));
}

Tensor softplus(const Tensor& input, double beta, double threshold) {
  OpScope op("softplus");
  PLAIT_CHECK(beta != 0, detail::op_name(), "beta must not be 0");
  const Tensor x = detail::wide(input);
  const Tensor scaled = mul(x, beta);
  // max(z, 0) + log1p(e^-|z|): both halves have the gradient 1/2 at 0 (a tie, and |0|' = 0).
  const Tensor soft = add(maximum(scaled, 0.0), log1p(exp(neg(abs(scaled)))));
  return detail::cast_to(where(gt(scaled, threshold), x, div(soft, beta)),
                         detail::float_dtype(input));
}

Tensor logsigmoid(const Tensor& input) {
  OpScope op("logsigmoid");
  const Tensor x = detail::wide(input);
  const Tensor result = sub(minimum(x, 0.0), log1p(exp(neg(abs(x)))));
  return detail::cast_to(result, detail::float_dtype(input));
}

Tensor softmax(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
  OpScope op("softmax");
  if (detail::names_rank_zero(dim, input)) return squeeze(softmax(unsqueeze(input, 0), 0, dtype));
  const int64_t axis = detail::normalize_axis(dim, input);
  const Tensor x = cast_first(input, dtype);
  if (empty_axis(x, axis)) return x;
  const detail::SoftmaxTerms terms = detail::softmax_terms(detail::wide(x), {axis});
  // One division a row: the total lies in [1, size of the axis].
  return detail::cast_to(mul(terms.exponentials, reciprocal(terms.total)), x.dtype());
}

Tensor log_softmax(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
  OpScope op("log_softmax");
  if (detail::names_rank_zero(dim, input)) {
    return squeeze(log_softmax(unsqueeze(input, 0), 0, dtype));
  }
  const int64_t axis = detail::normalize_axis(dim, input);
  const Tensor x = cast_first(input, dtype);
  if (empty_axis(x, axis)) return x;
  const detail::SoftmaxTerms terms = detail::softmax_terms(detail::wide(x), {axis});
  return detail::cast_to(sub(terms.shifted, log(terms.total)), x.dtype());
}

std::vector<OpRecord> activation_ops() {
  return {
      {
          .signature = "relu(Tensor input) -> Tensor",
          .doc = "max(input, 0). The gradient at 0 is 0; NaN stays NaN.",
          .composition = compose<&relu>,
          .oracle = "np.maximum(input, 0)",
          .samples = {"(randn(3, 5),)", "(full((2, 3), 0.0),)", "(randn(0, 3),)", "(randn(),)",
                      "(array([nan, inf, -inf]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "leaky_relu(Tensor input, float negative_slope=0.01) -> Tensor",
          .doc = "input where positive, else negative_slope * input. The gradient at 0 is "
                 "negative_slope.",
          .composition = compose<&leaky_relu>,
          .oracle = "np.where(input > 0, input, negative_slope * input)",
          .samples = {"(randn(3, 5),)", "(randn(7), 0.2)", "(full((2, 3), 0.0),)", "(randn(0, 3),)",
                      "(array([nan, inf, -inf]),)"},
      },
      {
          .signature = "prelu(Tensor input, Tensor weight) -> Tensor",
          .doc = "input where positive, else weight * input: one weight, or one per channel (dim "
                 "1) (He et al., 2015). The gradient at 0 is weight.",
          .composition = compose<&prelu>,
          .oracle = R"(
w = weight.reshape(-1, *[1] * (input.ndim - 2)) if weight.size > 1 else weight.reshape(())
return np.where(input > 0, input, w * input)
)",
          .samples = {"(randn(3, 5), rand(1))", "(randn(2, 3, 4), rand(3))", "(randn(7), rand(1))",
                      "(randn(0, 3), rand(3))", "(randn(), rand(1))",
                      "(array([nan, inf, -inf, 0.0]), array(0.25))"},
      },
      {
          .signature = "hardtanh(Tensor input, float min_val=-1.0, float max_val=1.0) -> Tensor",
          .doc = "input limited to [min_val, max_val]; the gradient at a bound is 0 (that of "
                 "`clamp` is 1). NaN stays NaN.",
          .composition = compose<&hardtanh>,
          .oracle = "np.clip(input, min_val, max_val)",
          .samples = {"(randn(3, 5),)", "(randn(7), -0.5, 2.0)", "(randn(0, 3),)", "(randn(),)",
                      "(array([nan, inf, -inf, 1.0, -1.0]),)"},
      },
      {
          .signature = "relu6(Tensor input) -> Tensor",
          .doc = "min(max(input, 0), 6). The gradient at 0 and 6 is 0; NaN stays NaN.",
          .composition = compose<&relu6>,
          .oracle = "np.clip(input, 0, 6)",
          .samples = {"(randn(3, 5) * 6,)", "(randn(0, 3),)", "(randn(),)",
                      "(array([nan, inf, -inf, 0.0, 6.0]),)", "(arange(-2, 9),)"},
      },
      {
          .signature = "hardsigmoid(Tensor input) -> Tensor",
          .doc = "input / 6 + 1/2, limited to [0, 1]; the gradient at 3 and -3 is 0 (Howard et "
                 "al., 2019).",
          .composition = compose<&hardsigmoid>,
          .oracle = "np.clip(input / 6 + 0.5, 0, 1)",
          .samples = {"(randn(3, 5) * 3,)", "(randn(0, 3),)", "(randn(),)",
                      "(array([nan, inf, -inf, 3.0, -3.0]),)", "(arange(-4, 5),)"},
      },
      {
          .signature = "hardswish(Tensor input) -> Tensor",
          .doc = "input * hardsigmoid(input); 0 at -inf (Howard et al., 2019).",
          .composition = compose<&hardswish>,
          .oracle =
              "np.where(input <= -3, 0, np.where(input >= 3, input, input * (input + 3) / 6))",
          .samples = {"(randn(3, 5) * 3,)", "(randn(0, 3),)", "(randn(),)",
                      "(array([nan, inf, -inf, 3.0, -3.0]),)", "(arange(-4, 5),)"},
      },
      {
          .signature = "mish(Tensor input) -> Tensor",
          .doc = "input * tanh(log(1 + exp(input))) (Misra, 2019).",
          .composition = compose<&mish>,
          .oracle = "input * np.tanh(np.logaddexp(0, input))",
          .samples = {"(randn(3, 5),)", "(randn(0, 3),)", "(randn(),)",
                      "(array([0.0, 100.0, -80.0, nan]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "glu(Tensor input, int dim=-1) -> Tensor",
          .doc = "The first half of `dim` times the sigmoid of the second (Dauphin et al., 2016). "
                 "UserError for an odd size. Halves are computed in f32.",
          .composition = compose<&glu>,
          .oracle = "np.split(input, 2, dim)[0] * sp.expit(np.split(input, 2, dim)[1])",
          .samples = {"(randn(3, 10),)", "(randn(4, 5), 0)", "(randn(0, 6),)", "(randn(3, 0),)",
                      "(array([1.0, nan, 100.0, -100.0]),)"},
      },
      {
          .signature = "threshold(Tensor input, Operand threshold, Operand value) -> Tensor",
          .doc = "input where it is above the threshold or NaN, else value.",
          .composition = compose<&threshold>,
          .oracle = "np.where(input <= threshold, value, input)",
          .samples = {"(randn(3, 5), 0.1, 20.0)", "(randn(0, 3), 0.0, 1.0)", "(randn(), 0.5, 2.0)",
                      "(array([nan, inf, -inf, 1.0]), 1.0, -1.0)", "(arange(-2, 3), 0, 7)"},
      },
      {
          .signature = "elu(Tensor input, float alpha=1.0) -> Tensor",
          .doc = "input where positive, else alpha * (exp(input) - 1) (Clevert et al., 2015).",
          .composition = compose<&elu>,
          .oracle = "np.where(input > 0, input, alpha * np.expm1(np.minimum(input, 0)))",
          .samples = {"(randn(3, 5),)", "(randn(7), 0.5)", "(array([0.0, 100.0, -100.0, nan]),)",
                      "(randn(0, 3),)"},
      },
      {
          .signature = "gelu(Tensor input, str approximate='none') -> Tensor",
          .doc = "input * Phi(input), Phi the normal distribution, by erf (Hendrycks and Gimpel, "
                 "2016); 'tanh': 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).",
          .composition = compose<&gelu>,
          .oracle = "0.5 * input * (1 + sp.erf(input / np.sqrt(2))) if approximate == 'none' else "
                    "0.5 * input * (1 + np.tanh(np.sqrt(2 / np.pi) * (input + 0.044715 * "
                    "input**3)))",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), approximate='tanh')", "(randn(0, 3),)",
                      "(array([0.0, 10.0, -2.0, nan]),)", "(randn(),)"},
      },
      {
          .signature = "sigmoid(Tensor input) -> Tensor",
          .doc = "1 / (1 + exp(-input)), precise for both signs.",
          .composition = compose<&sigmoid>,
          .oracle = "sp.expit(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 3),)", "(randn(),)",
                      "(array([0.0, 100.0, -100.0, -80.0, inf, -inf, nan]),)", "(arange(-2, 3),)"},
      },
      {
          .signature = "silu(Tensor input) -> Tensor",
          .doc = "input * sigmoid(input), also called swish.",
          .composition = compose<&silu>,
          .oracle = "input * sp.expit(input)",
          .samples = {"(randn(3, 5),)", "(randn(0, 3),)", "(array([0.0, 100.0, -100.0, nan]),)"},
      },
      {
          .signature = "softplus(Tensor input, float beta=1.0, float threshold=20.0) -> Tensor",
          .doc = "log(1 + exp(beta * input)) / beta; input itself where beta * input > threshold.",
          .composition = compose<&softplus>,
          .oracle = "np.where(beta * input > threshold, input, np.logaddexp(0, beta * input) / "
                    "beta)",
          .samples = {"(randn(3, 5),)", "(randn(7), 2.0)", "(array([0.0, 50.0, -50.0, nan]),)",
                      "(randn(0, 3),)"},
      },
      {
          .signature = "logsigmoid(Tensor input) -> Tensor",
          .doc = "log(sigmoid(input)) = min(input, 0) - log1p(exp(-|input|)).",
          .composition = compose<&logsigmoid>,
          .oracle = "-np.logaddexp(0, -input)",
          .samples = {"(randn(3, 5),)", "(array([0.0, 100.0, -100.0, nan]),)", "(randn(0, 3),)"},
      },
      {
          .signature = "softmax(Tensor input, int dim, *, DType? dtype=None) -> Tensor",
          .doc = "exp(input) / sum of it along `dim`, shifted by the row's maximum; halves are "
                 "computed in f32. A row of -inf alone (fully masked) gives 0, with gradient 0. "
                 "`dtype`: cast to it first.",
          .composition = compose<&softmax>,
          .oracle = R"(
with np.errstate(all='ignore'):
    m = np.max(1.0 * input, axis=dim, keepdims=True, initial=-np.inf)
    e = np.exp(input - np.where(m == -np.inf, 0, m))
    s = e.sum(axis=dim, keepdims=True)
    return e / np.where(s == 0, 1, s)
)",
          .samples = {"(randn(3, 5), 1)", "(randn(3, 5), 0)", "(randn(2, 3, 4), -2)",
                      "(full((2, 7), 3.0), -1)", "(randn(3, 0), 1)", "(randn(0, 3), 1)",
                      "(array([[-inf, -inf], [0.0, -inf]]), 1)", "(randn(5) * 100, 0)",
                      "(arange(4), 0)", "(randn(3, 5), 1, dtype=f64)"},
      },
      {
          .signature = "log_softmax(Tensor input, int dim, *, DType? dtype=None) -> Tensor",
          .doc = "log(softmax(input)) as shifted - log(sum(exp(shifted))). A row of -inf alone "
                 "stays -inf.",
          .composition = compose<&log_softmax>,
          .oracle = R"(
with np.errstate(all='ignore'):
    m = np.max(1.0 * input, axis=dim, keepdims=True, initial=-np.inf)
    x = input - np.where(m == -np.inf, 0, m)
    s = np.exp(x).sum(axis=dim, keepdims=True)
    return x - np.log(np.where(s == 0, 1, s))
)",
          .samples = {"(randn(3, 5), 1)", "(randn(3, 5), 0)", "(randn(2, 3, 4), -2)",
                      "(full((2, 7), 3.0), -1)", "(randn(3, 0), 1)", "(randn(0, 3), 1)",
                      "(array([[-inf, -inf], [0.0, -inf]]), 1)", "(randn(5) * 100, 0)"},
      },
  };
}

}  // namespace plait
