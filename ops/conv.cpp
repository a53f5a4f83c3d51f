// Convolutions: contractions of a window view of the input; the transposed one is its adjoint.
#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/contraction.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "ops/windows.h"

namespace plait {
namespace {

using detail::axis_variable;
using detail::op_name;
using detail::Windows;

// Input (batch, channels, axes…) and weight of `axes` spatial axes, in one graph and dtype.
detail::Pair check_operands(const Tensor& input, const Tensor& weight, int64_t axes) {
  const std::shared_ptr<Graph> graph = detail::graph_of({&input, &weight});
  PLAIT_CHECK(input.rank() == axes + 2 && weight.rank() == axes + 2, op_name(),
              "input must be (batch, channels, {} axes) and weight have {} dims; got input: {}, "
              "weight: {}",
              axes, axes + 2, to_string(input.type()), to_string(weight.type()));
  const DType dtype = promote(input.dtype(), weight.dtype());
  return {detail::cast_to(detail::tensor_in(graph, input), dtype),
          detail::cast_to(detail::tensor_in(graph, weight), dtype)};
}

void check_groups(const Tensor& input, const Tensor& weight, int64_t channels, int64_t groups,
                  int64_t divided, std::string_view name) {
  PLAIT_CHECK(groups >= 1 && channels % groups == 0 && divided % groups == 0, op_name(),
              "groups must divide the channels; got groups {} for input: {}, weight: {}; {} "
              "input channels, {} {}",
              groups, to_string(input.type()), to_string(weight.type()), channels, divided, name);
}

Tensor add_bias(const Tensor& y, const std::optional<Tensor>& bias, int64_t channels) {
  if (!bias) return y;
  detail::graph_of({&*bias});
  PLAIT_CHECK(bias->rank() == 1 && prove_equal(bias->shape()[0], channels, {}) != false, op_name(),
              "bias must have one number per output channel; got {} for {} channels",
              to_string(bias->type()), channels);
  const Tensor local = detail::cast_to(detail::tensor_in(y.graph(), *bias), y.dtype());
  return add(y, detail::broadcast(local, y.shape(), {1}));
}

std::vector<int64_t> kernel_of(const Tensor& weight) {
  std::vector<int64_t> kernel;
  for (int64_t i = 2; i < weight.rank(); ++i) {
    kernel.push_back(detail::fixed_size(weight.shape()[i], "the kernel size"));
  }
  return kernel;
}

// Axes first, first + 1, … of a space, `count` of them.
void append_axes(std::vector<int64_t>& axes, int64_t first, int64_t count) {
  for (int64_t i = 0; i < count; ++i) axes.push_back(first + i);
}

// The input seen through the windows: (batch, group, windows…, channels of a group, kernel…). One
// group has no axis here nor in the spaces below.
Tensor window_view(const Tensor& x, const Windows& windows, int64_t groups, int64_t channels) {
  const auto axes = static_cast<int64_t>(windows.kernel.size());
  const int64_t first = groups > 1 ? 2 : 1;
  Shape shape = {x.shape()[0]};
  if (groups > 1) shape.push_back(groups);
  shape.insert(shape.end(), windows.output.begin(), windows.output.end());
  shape.push_back(channels);
  for (int64_t k : windows.kernel) shape.push_back(k);
  Expr channel = axis_variable(first + axes);
  if (groups > 1) channel = axis_variable(1) * Expr(channels) + channel;
  std::vector<Expr> map = {axis_variable(0), channel};
  for (int64_t i = 0; i < axes; ++i) {
    map.push_back(detail::window_position(windows, i, axis_variable(first + i),
                                          axis_variable(first + axes + 1 + i)));
  }
  return detail::reindex(x, shape, std::move(map));
}

// (batch, group, outputs of a group): how every space of a convolution begins.
Shape space_head(Expr batch, int64_t groups, int64_t outputs) {
  if (groups == 1) return {batch, Expr(outputs)};
  return {batch, Expr(groups), Expr(outputs)};
}

// Splits an axis into (groups, rest) where there are several groups.
Tensor split_groups(const Tensor& x, int64_t axis, int64_t groups) {
  return groups == 1 ? x : unflatten(x, axis, {Expr(groups), Expr(-1)});
}

// (batch, group, outputs of a group, …) -> (batch, outputs, …)
Tensor join_groups(const Tensor& y, int64_t groups) { return groups == 1 ? y : flatten(y, 1, 2); }

Tensor convolve(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                const IntList& stride, const IntList& padding, const IntList& dilation,
                int64_t groups, int64_t axes) {
  const detail::Pair pair = check_operands(input, weight, axes);
  const int64_t channels = detail::fixed_size(pair.a.shape()[1], "the number of channels");
  const int64_t outputs = detail::fixed_size(pair.b.shape()[0], "the number of output channels");
  check_groups(input, weight, channels, groups, outputs, "output channels");
  const int64_t depth = channels / groups;
  PLAIT_CHECK(prove_equal(pair.b.shape()[1], depth, {}) != false, op_name(),
              "weight must have channels / groups inputs; got input: {}, weight: {}, groups {}; "
              "axis 1 of weight: {} != {}",
              to_string(input.type()), to_string(weight.type()), groups,
              to_string(pair.b.shape()[1]), depth);
  const detail::Padding pad = detail::expand_padding(padding, axes);
  const Windows windows = detail::make_windows(
      pair.a, kernel_of(pair.b), detail::expand_list(stride, axes, "stride"), pad.before, pad.after,
      detail::expand_list(dilation, axes, "dilation"), false);
  // Space: (batch, group, outputs of a group, windows…, channels of a group, kernel…).
  Shape space = space_head(pair.a.shape()[0], groups, outputs / groups);
  const auto first = static_cast<int64_t>(space.size());
  space.insert(space.end(), windows.output.begin(), windows.output.end());
  space.push_back(depth);
  for (int64_t k : windows.kernel) space.push_back(k);
  std::vector<int64_t> x_axes;
  append_axes(x_axes, 0, first - 1);
  append_axes(x_axes, first, 2 * axes + 1);
  std::vector<int64_t> w_axes;
  append_axes(w_axes, 1, first - 1);
  append_axes(w_axes, first + axes, axes + 1);
  const Tensor y = detail::contract(window_view(pair.a, windows, groups, depth), x_axes,
                                    split_groups(pair.b, 0, groups), w_axes, space, axes + 1);
  return detail::cast_to(add_bias(join_groups(y, groups), bias, outputs), pair.a.dtype());
}

// The sizes of a transposed convolution's result.
Shape transposed_sizes(const Tensor& input, const std::vector<int64_t>& kernel,
                       const std::vector<int64_t>& stride, const detail::Padding& pad,
                       const std::vector<int64_t>& extra, const std::vector<int64_t>& dilation) {
  Shape sizes;
  for (size_t i = 0; i < kernel.size(); ++i) {
    PLAIT_CHECK(stride[i] >= 1 && dilation[i] >= 1 && pad.before[i] >= 0 && pad.after[i] >= 0,
                op_name(), "stride and dilation must be at least 1, padding at least 0");
    PLAIT_CHECK(extra[i] >= 0 && extra[i] < std::max(stride[i], dilation[i]), op_name(),
                "output_padding must be below stride or dilation; got {} for stride {} and "
                "dilation {}",
                extra[i], stride[i], dilation[i]);
    const Expr size = (input.shape()[i + 2] - Expr(1)) * Expr(stride[i]) -
                      Expr(pad.before[i] + pad.after[i]) + Expr(dilation[i] * (kernel[i] - 1)) +
                      Expr(extra[i] + 1);
    PLAIT_CHECK(prove_less(size, 1, {}) != true, op_name(),
                "the result would be empty; got {}; axis {}: size {}", to_string(input.type()),
                i + 2, to_string(size));
    sizes.push_back(simplify(size, {}));
  }
  return sizes;
}

Tensor convolve_transposed(const Tensor& input, const Tensor& weight,
                           const std::optional<Tensor>& bias, const IntList& stride,
                           const IntList& padding, const IntList& output_padding, int64_t groups,
                           const IntList& dilation, int64_t axes) {
  const detail::Pair pair = check_operands(input, weight, axes);
  const int64_t channels = detail::fixed_size(pair.a.shape()[1], "the number of channels");
  PLAIT_CHECK(prove_equal(pair.b.shape()[0], channels, {}) != false, op_name(),
              "weight must have one part per input channel; got input: {}, weight: {}; {} != {}",
              to_string(input.type()), to_string(weight.type()), channels,
              to_string(pair.b.shape()[0]));
  const int64_t width = detail::fixed_size(pair.b.shape()[1], "the number of output channels");
  check_groups(input, weight, channels, groups, width * groups, "output channels");
  const int64_t depth = channels / groups;
  const std::vector<int64_t> kernel = kernel_of(pair.b);
  const std::vector<int64_t> strides = detail::expand_list(stride, axes, "stride");
  const std::vector<int64_t> dilations = detail::expand_list(dilation, axes, "dilation");
  const detail::Padding pad = detail::expand_padding(padding, axes);
  const Shape sizes =
      transposed_sizes(pair.a, kernel, strides, pad,
                       detail::expand_list(output_padding, axes, "output_padding"), dilations);
  // Space: (batch, group, outputs of a group, input positions…, kernel…, channels of a group).
  const Shape head = space_head(pair.a.shape()[0], groups, width);
  const auto first = static_cast<int64_t>(head.size());
  Shape space = head;
  space.insert(space.end(), pair.a.shape().begin() + 2, pair.a.shape().end());
  for (int64_t k : kernel) space.push_back(k);
  space.push_back(depth);
  // (batch, group, positions…, channels) and (group, outputs, kernel…, channels)
  const Tensor x = movedim(split_groups(pair.a, 1, groups), first - 1, -1);
  const Tensor w = movedim(split_groups(pair.b, 0, groups), first - 2, -1);
  std::vector<int64_t> x_axes;
  append_axes(x_axes, 0, first - 1);
  append_axes(x_axes, first, axes);
  x_axes.push_back(first + 2 * axes);
  std::vector<int64_t> w_axes;
  append_axes(w_axes, 1, first - 1);
  append_axes(w_axes, first + axes, axes + 1);
  const Tensor parts = detail::contract(x, x_axes, w, w_axes, space, 1);
  // Each product lands where the forward convolution would have read: the exact adjoint.
  const Windows windows{kernel, strides, pad.before, pad.after, dilations, {}};
  Shape shape = head;
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  std::vector<Expr> map = detail::axis_variables(first);
  for (int64_t i = 0; i < axes; ++i) {
    map.push_back(detail::window_position(windows, i, axis_variable(first + i),
                                          axis_variable(first + axes + i)));
  }
  Graph& graph = *parts.graph();
  const Tensor none =
      detail::broadcast_to_shape(detail::as_tensor(parts.graph(), 0, parts.dtype()), shape);
  const Tensor y(parts.graph(),
                 meta::scatter(graph, ReduceOp::sum, none.value(), parts.value(), std::move(map)));
  return detail::cast_to(add_bias(join_groups(y, groups), bias, width * groups), pair.a.dtype());
}

}  // namespace

Tensor conv1d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
              const IntList& stride, const IntList& padding, const IntList& dilation,
              int64_t groups) {
  OpScope op("conv1d");
  return convolve(input, weight, bias, stride, padding, dilation, groups, 1);
}

Tensor conv2d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
              const IntList& stride, const IntList& padding, const IntList& dilation,
              int64_t groups) {
  OpScope op("conv2d");
  return convolve(input, weight, bias, stride, padding, dilation, groups, 2);
}

Tensor conv3d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
              const IntList& stride, const IntList& padding, const IntList& dilation,
              int64_t groups) {
  OpScope op("conv3d");
  return convolve(input, weight, bias, stride, padding, dilation, groups, 3);
}

Tensor conv_transpose1d(const Tensor& input, const Tensor& weight,
                        const std::optional<Tensor>& bias, const IntList& stride,
                        const IntList& padding, const IntList& output_padding, int64_t groups,
                        const IntList& dilation) {
  OpScope op("conv_transpose1d");
  return convolve_transposed(input, weight, bias, stride, padding, output_padding, groups, dilation,
                             1);
}

Tensor conv_transpose2d(const Tensor& input, const Tensor& weight,
                        const std::optional<Tensor>& bias, const IntList& stride,
                        const IntList& padding, const IntList& output_padding, int64_t groups,
                        const IntList& dilation) {
  OpScope op("conv_transpose2d");
  return convolve_transposed(input, weight, bias, stride, padding, output_padding, groups, dilation,
                             2);
}

std::vector<OpRecord> conv_ops() {
  static constexpr std::string_view kForward = R"(
n = input.ndim - 2
one = lambda v: list(v) * n if len(v) == 1 else list(v)
s, d, g = one(stride), one(dilation), groups
p = np.reshape(padding, (n, 2)) if len(padding) == 2 * n else [(a, a) for a in one(padding)]
x = np.pad(input, [(0, 0), (0, 0), *p])
o, c, *k = weight.shape
size = [(x.shape[i + 2] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in range(n)]
y = np.zeros((x.shape[0], o, *size))
for at in np.ndindex(*k):
    taps = [slice(d[i] * at[i], d[i] * at[i] + s[i] * (size[i] - 1) + 1, s[i]) for i in range(n)]
    part = x[(slice(None), slice(None), *taps)]
    for j in range(o):
        h = j // (o // g) * c
        w = weight[(j, slice(None), *at)].reshape([1, -1] + [1] * n)
        y[:, j] += (part[:, h:h + c] * w).sum(1)
return y + (0 if bias is None else bias.reshape([1, -1] + [1] * n))
)";
  static constexpr std::string_view kTransposed = R"(
n = input.ndim - 2
one = lambda v: list(v) * n if len(v) == 1 else list(v)
s, d, e, g = one(stride), one(dilation), one(output_padding), groups
p = np.reshape(padding, (n, 2)) if len(padding) == 2 * n else [(a, a) for a in one(padding)]
c, o, *k = weight.shape
m = input.shape[2:]
full = [(m[i] - 1) * s[i] + d[i] * (k[i] - 1) + 1 + e[i] for i in range(n)]
y = np.zeros((input.shape[0], o * g, *full))
for at in np.ndindex(*k):
    there = (slice(None), *(slice(d[i] * at[i], d[i] * at[i] + s[i] * (m[i] - 1) + 1, s[i])
                            for i in range(n)))
    for j in range(o * g):
        h = j // o * (c // g)
        w = weight[(slice(h, h + c // g), j % o, *at)].reshape([1, -1] + [1] * n)
        y[:, j][there] += (input[:, h:h + c // g] * w).sum(1)
y = y[(slice(None), slice(None), *(slice(a, full[i] - b) for i, (a, b) in enumerate(p)))]
return y + (0 if bias is None else bias.reshape([1, -1] + [1] * n))
)";
  return {
      {
          .signature = "conv1d(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, "
                       "int[] padding=0, int[] dilation=1, int groups=1) -> Tensor",
          .doc = "`conv2d` with one spatial axis.",
          .composition = compose<&conv1d>,
          .oracle = kForward,
          .samples = {"(randn(2, 3, 9), randn(4, 3, 3), randn(4))",
                      "(randn(1, 4, 10), randn(6, 2, 3), None, 2, 1, 2, 2)",
                      "(randn(1, 2, 7), randn(1, 2, 2), padding=[1, 0])"},
      },
      {
          .signature = "conv2d(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, "
                       "int[] padding=0, int[] dilation=1, int groups=1) -> Tensor",
          .doc = "The cross-correlation of input (batch, channels, height, width) with weight "
                 "(outputs, channels / groups, kernel…) plus bias: floor((n + padding - dilation * "
                 "(kernel - 1) - 1) / stride) + 1 positions an axis. `padding` with zeros: one "
                 "number, one per axis, or (before, after) pairs. Halves widen to f32 and round "
                 "once.",
          .composition = compose<&conv2d>,
          .oracle = kForward,
          .samples = {"(randn(2, 3, 5, 6), randn(4, 3, 3, 3), randn(4))",
                      "(randn(1, 4, 7, 6), randn(6, 2, 3, 2), None, [2, 1], [1, 0, 0, 2], [1, 2], "
                      "2)",
                      "(randn(1, 3, 5, 5), randn(3, 1, 3, 3), padding=1, groups=3)",
                      "(randn(1, 2, 4, 4), randn(3, 2, 1, 1))",
                      "(randn(0, 2, 4, 4), randn(3, 2, 3, 3))",
                      "(randn(1, 1, 8, 8), randn(1, 1, 3, 3), None, 2, 1)"},
      },
      {
          .signature = "conv3d(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, "
                       "int[] padding=0, int[] dilation=1, int groups=1) -> Tensor",
          .doc = "`conv2d` with three spatial axes.",
          .composition = compose<&conv3d>,
          .oracle = kForward,
          .samples = {"(randn(1, 2, 4, 5, 3), randn(2, 2, 2, 3, 2), randn(2))",
                      "(randn(1, 2, 3, 4, 3), randn(2, 1, 2, 2, 2), None, [1, 2, 1], 1, 1, 2)"},
      },
      {
          .signature = "conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, int[] "
                       "stride=1, int[] padding=0, int[] output_padding=0, int groups=1, int[] "
                       "dilation=1) -> Tensor",
          .doc = "`conv_transpose2d` with one spatial axis.",
          .composition = compose<&conv_transpose1d>,
          .oracle = kTransposed,
          .samples = {"(randn(2, 4, 5), randn(4, 3, 3), randn(3), 2, 1, 1)",
                      "(randn(1, 2, 4), randn(2, 1, 3), None, 1, 0, 0, 2, 2)"},
      },
      {
          .signature = "conv_transpose2d(Tensor input, Tensor weight, Tensor? bias=None, int[] "
                       "stride=1, int[] padding=0, int[] output_padding=0, int groups=1, int[] "
                       "dilation=1) -> Tensor",
          .doc =
              "The adjoint of `conv2d` with weight (channels, outputs / groups, kernel…): (n - 1) "
              "* stride - padding + dilation * (kernel - 1) + output_padding + 1 positions an "
              "axis. `output_padding` adds positions at the end that the forward convolution "
              "would have reached, not zeros.",
          .composition = compose<&conv_transpose2d>,
          .oracle = kTransposed,
          .samples = {"(full((1, 1, 4, 4), 1.0), randn(1, 1, 3, 3), None, 2, 1, 1)",
                      "(randn(2, 4, 3, 5), randn(4, 3, 3, 2), randn(3), [2, 1], [1, 0])",
                      "(randn(1, 4, 3, 3), randn(4, 1, 2, 2), None, 1, 0, 0, 2, 2)",
                      "(randn(1, 2, 3, 3), randn(2, 2, 3, 3), None, 2, [1, 0, 0, 1], [1, 0])"},
      },
  };
}

}  // namespace plait
