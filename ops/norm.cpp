// Normalisation layers as functions. Statistics in f32 for halves; the variance in two passes.
#include <limits>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::op_name;

struct Statistics {
  Tensor mean, centred, variance;  // axes kept; the variance divides by the count
};

Statistics statistics(const Tensor& x, const std::vector<int64_t>& axes) {
  const Tensor count = detail::count(x, axes, x.dtype());
  Statistics result;
  result.mean = div(detail::reduce(ReduceOp::sum, x, axes, true), count);
  result.centred = sub(x, result.mean);
  const Tensor squares = mul(result.centred, result.centred);
  result.variance = div(detail::reduce(ReduceOp::sum, squares, axes, true), count);
  return result;
}

Tensor normalized(const Statistics& s, double eps) {
  return mul(s.centred, rsqrt(add(s.variance, eps)));
}

// x * weight + bias in x's dtype, both broadcast to `shape` along `axes`.
Tensor affine(Tensor x, const std::optional<Tensor>& weight, const std::optional<Tensor>& bias,
              const std::vector<int64_t>& axes) {
  auto along = [&](const Tensor& t) {
    const Tensor local = detail::cast_to(detail::tensor_in(x.graph(), t), x.dtype());
    return detail::broadcast(local, x.shape(), axes);
  };
  if (weight) x = mul(x, along(*weight));
  if (bias) x = add(x, along(*bias));
  return x;
}

void check_parameter(const std::optional<Tensor>& parameter, const Shape& shape,
                     std::string_view name, const Tensor& input) {
  if (!parameter) return;
  detail::graph_of({&*parameter});
  bool equal = parameter->shape().size() == shape.size();
  for (size_t i = 0; equal && i < shape.size(); ++i) {
    equal = prove_equal(parameter->shape()[i], shape[i], {}) != false;
  }
  PLAIT_CHECK(equal, op_name(), "{} must have shape {}; got {} for input: {}", name,
              to_string(shape), to_string(parameter->type()), to_string(input.type()));
}

// The last axes of input, which must be `normalized_shape`.
std::vector<int64_t> last_axes(const Tensor& input, const Shape& normalized_shape) {
  detail::graph_of({&input});
  const auto count = static_cast<int64_t>(normalized_shape.size());
  PLAIT_CHECK(count >= 1 && count <= input.rank(), op_name(),
              "normalized_shape must name 1 to {} dims; got {} for {}", input.rank(),
              to_string(normalized_shape), to_string(input.type()));
  std::vector<int64_t> axes;
  for (int64_t i = input.rank() - count; i < input.rank(); ++i) {
    const Expr want = normalized_shape[i - (input.rank() - count)];
    PLAIT_CHECK(prove_equal(input.shape()[i], want, {}) != false, op_name(),
                "normalized_shape must be the last sizes of input; got {} for {}; axis {}: {} != "
                "{}",
                to_string(normalized_shape), to_string(input.type()), i, to_string(want),
                to_string(input.shape()[i]));
    axes.push_back(i);
  }
  return axes;
}

// All axes but the channels (axis 1).
std::vector<int64_t> batch_axes(const Tensor& input) {
  detail::graph_of({&input});
  PLAIT_CHECK(input.rank() >= 2, op_name(), "input must be (batch, channels, …); got {}",
              to_string(input.type()));
  std::vector<int64_t> axes = {0};
  for (int64_t i = 2; i < input.rank(); ++i) axes.push_back(i);
  return axes;
}

double machine_epsilon(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return 0x1p-10;
    case DType::bf16:
      return 0x1p-7;
    case DType::f64:
      return std::numeric_limits<double>::epsilon();
    case DType::boolean:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u32:
    case DType::u64:
    case DType::f32:
      return std::numeric_limits<float>::epsilon();
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

}  // namespace

Tensor layer_norm(const Tensor& input, const Shape& normalized_shape,
                  const std::optional<Tensor>& weight, const std::optional<Tensor>& bias,
                  double eps) {
  OpScope op("layer_norm");
  const std::vector<int64_t> axes = last_axes(input, normalized_shape);
  check_parameter(weight, normalized_shape, "weight", input);
  check_parameter(bias, normalized_shape, "bias", input);
  const Tensor y = normalized(statistics(detail::wide(input), axes), eps);
  return detail::cast_to(affine(y, weight, bias, axes), detail::float_dtype(input));
}

Tensor rms_norm(const Tensor& input, const Shape& normalized_shape,
                const std::optional<Tensor>& weight, std::optional<double> eps) {
  OpScope op("rms_norm");
  const std::vector<int64_t> axes = last_axes(input, normalized_shape);
  check_parameter(weight, normalized_shape, "weight", input);
  const Tensor x = detail::wide(input);
  const Tensor squares = detail::reduce(ReduceOp::sum, mul(x, x), axes, true);
  const Tensor square = div(squares, detail::count(x, axes, x.dtype()));
  const double small = eps.value_or(machine_epsilon(detail::float_dtype(input)));
  const Tensor y = mul(x, rsqrt(add(square, small)));
  return detail::cast_to(affine(y, weight, std::nullopt, axes), detail::float_dtype(input));
}

Tensor batch_norm(const Tensor& input, const std::optional<Tensor>& running_mean,
                  const std::optional<Tensor>& running_var, const std::optional<Tensor>& weight,
                  const std::optional<Tensor>& bias, bool training, double eps) {
  OpScope op("batch_norm");
  const std::vector<int64_t> axes = batch_axes(input);
  const Shape channels = {input.shape()[1]};
  check_parameter(running_mean, channels, "running_mean", input);
  check_parameter(running_var, channels, "running_var", input);
  check_parameter(weight, channels, "weight", input);
  check_parameter(bias, channels, "bias", input);
  PLAIT_CHECK(training || (running_mean && running_var), op_name(),
              "running_mean and running_var are needed unless training; got none");
  const Tensor x = detail::wide(input);
  Tensor y;
  if (training) {
    y = normalized(statistics(x, axes), eps);
  } else {
    auto along = [&](const Tensor& t) {
      const Tensor local = detail::cast_to(detail::tensor_in(x.graph(), t), x.dtype());
      return detail::broadcast(local, x.shape(), {1});
    };
    const Tensor scale =
        rsqrt(add(detail::cast_to(detail::tensor_in(x.graph(), *running_var), x.dtype()), eps));
    y = mul(sub(x, along(*running_mean)), along(scale));
  }
  return detail::cast_to(affine(y, weight, bias, {1}), detail::float_dtype(input));
}

std::tuple<Tensor, Tensor> batch_norm_update(const Tensor& input, const Tensor& running_mean,
                                             const Tensor& running_var, double momentum) {
  OpScope op("batch_norm_update");
  const std::vector<int64_t> axes = batch_axes(input);
  check_parameter(running_mean, {input.shape()[1]}, "running_mean", input);
  check_parameter(running_var, {input.shape()[1]}, "running_var", input);
  const Tensor x = detach(detail::wide(input));
  const Statistics s = statistics(x, axes);
  const Tensor count = detail::count(x, axes, x.dtype());
  const Tensor unbiased = mul(s.variance, div(count, sub(count, 1.0)));
  auto mix = [&](const Tensor& old, const Tensor& now) {
    const Tensor mixed = add(mul(detach(old), 1.0 - momentum), mul(squeeze(now, axes), momentum));
    return detail::cast_to(mixed, old.dtype());
  };
  return {mix(running_mean, s.mean), mix(running_var, unbiased)};
}

Tensor group_norm(const Tensor& input, int64_t num_groups, const std::optional<Tensor>& weight,
                  const std::optional<Tensor>& bias, double eps) {
  OpScope op("group_norm");
  batch_axes(input);
  const int64_t channels = detail::fixed_size(input.shape()[1], "the number of channels");
  PLAIT_CHECK(num_groups >= 1 && channels % num_groups == 0, op_name(),
              "num_groups must divide the channels; got {} for {}; axis 1 has size {}", num_groups,
              to_string(input.type()), channels);
  check_parameter(weight, {channels}, "weight", input);
  check_parameter(bias, {channels}, "bias", input);
  const Tensor groups = unflatten(detail::wide(input), 1, {num_groups, channels / num_groups});
  std::vector<int64_t> axes;
  for (int64_t i = 2; i < groups.rank(); ++i) axes.push_back(i);
  const Tensor y = flatten(normalized(statistics(groups, axes), eps), 1, 2);
  return detail::cast_to(affine(y, weight, bias, {1}), detail::float_dtype(input));
}

std::vector<OpRecord> norm_ops() {
  return {
      {
          .signature = "layer_norm(Tensor input, Shape normalized_shape, Tensor? weight=None, "
                       "Tensor? bias=None, float eps=1e-05) -> Tensor",
          .doc = "(x - mean) / sqrt(var + eps) * weight + bias over the last dims, which are "
                 "`normalized_shape` (Ba et al., 2016); the variance divides by the count. Halves "
                 "are computed in f32 and rounded once.",
          .composition = compose<&layer_norm>,
          .oracle = R"(
dims = tuple(range(-len(normalized_shape), 0))
mean = input.mean(dims, keepdims=True)
y = (input - mean) / np.sqrt(input.var(dims, keepdims=True) + eps)
return y * (1 if weight is None else weight) + (0 if bias is None else bias)
)",
          .samples = {"(randn(3, 5), [5], randn(5), randn(5))", "(randn(2, 3, 5), [5])",
                      "(randn(2, 3, 5), [3, 5], randn(3, 5), randn(3, 5))",
                      "(full((2, 7), 3.0), [7])", "(randn(3, 7) + 100.0, [7])",
                      "(randn(0, 5), [5], randn(5))", "(randn(3, 1), [1])",
                      "(randn(2, 783), [783], randn(783), randn(783), 0.001)"},
      },
      {
          .signature = "rms_norm(Tensor input, Shape normalized_shape, Tensor? weight=None, float? "
                       "eps=None) -> Tensor",
          .doc =
              "x / sqrt(mean(x^2) + eps) * weight over the last dims (Zhang and Sennrich, 2019). "
              "Without `eps`: the machine epsilon of input's dtype. Halves are computed in f32 "
              "and rounded once.",
          .composition = compose<&rms_norm>,
          .oracle = R"(
dims = tuple(range(-len(normalized_shape), 0))
y = input / np.sqrt((input**2).mean(dims, keepdims=True) + (eps or 0))
return y * (1 if weight is None else weight)
)",
          .samples = {"(randn(3, 5), [5], randn(5))", "(randn(2, 3, 5), [3, 5])",
                      "(full((2, 7), 0.0), [7], None, 1e-6)", "(randn(0, 5), [5])"},
      },
      {
          .signature =
              "batch_norm(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? "
              "weight=None, Tensor? bias=None, bool training=False, *, float eps=1e-05) -> "
              "Tensor",
          .doc = "(x - mean) / sqrt(var + eps) * weight + bias per channel (axis 1) of (batch, "
                 "channels, …): statistics of the batch when training, else the running ones "
                 "(Ioffe and Szegedy, 2015). `batch_norm_update` gives the new running ones.",
          .composition = compose<&batch_norm>,
          .oracle = R"(
dims = (0,) + tuple(range(2, input.ndim))
one = [1, -1] + [1] * (input.ndim - 2)
mean = input.mean(dims) if training else running_mean
var = input.var(dims) if training else running_var
y = (input - mean.reshape(one)) / np.sqrt(var.reshape(one) + eps)
y = y * (1 if weight is None else weight.reshape(one))
return y + (0 if bias is None else bias.reshape(one))
)",
          .samples = {"(randn(3, 5), randn(5), rand(5) + 0.5, randn(5), randn(5))",
                      "(randn(3, 5), None, None, training=True)",
                      "(randn(2, 3, 5, 4), None, None, randn(3), randn(3), True)",
                      "(randn(2, 3, 5, 4), randn(3), rand(3) + 0.5)"},
      },
      {
          .signature = "batch_norm_update(Tensor input, Tensor running_mean, Tensor running_var, "
                       "float momentum=0.1) -> (Tensor, Tensor)",
          .doc = "The running mean and (unbiased) variance after one batch: (1 - momentum) * old + "
                 "momentum * of the batch. No gradient passes.",
          .composition = compose<&batch_norm_update>,
          .oracle = R"(
dims = (0,) + tuple(range(2, input.ndim))
return ((1 - momentum) * running_mean + momentum * input.mean(dims),
        (1 - momentum) * running_var + momentum * input.var(dims, ddof=1))
)",
          .samples = {"(randn(3, 5), randn(5), rand(5))",
                      "(randn(2, 3, 5, 4), randn(3), rand(3), 0.3)"},
          .differentiable = false,
      },
      {
          .signature = "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? "
                       "bias=None, float eps=1e-05) -> Tensor",
          .doc = "Normalises groups of channels of (batch, channels, …), each sample by itself (Wu "
                 "and He, 2018); weight and bias per channel.",
          .composition = compose<&group_norm>,
          .oracle = R"(
one = [1, -1] + [1] * (input.ndim - 2)
g = input.reshape(input.shape[0], num_groups, -1)
y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + eps)
y = y.reshape(input.shape)
y = y * (1 if weight is None else weight.reshape(one))
return y + (0 if bias is None else bias.reshape(one))
)",
          .samples = {"(randn(2, 6, 5), 3, randn(6), randn(6))", "(randn(2, 4, 3, 3), 4)",
                      "(randn(2, 4), 1)"},
      },
  };
}

}  // namespace plait
