// Pooling: reductions of a window view of the input.
#include <algorithm>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "ops/windows.h"

namespace plait {
namespace {

using detail::axis_variable;
using detail::op_name;
using detail::Windows;

Scalar lowest(DType dtype) {
  if (is_float(dtype)) return {dtype, -detail::kInfinity};
  if (dtype == DType::boolean || !is_signed(dtype)) return {dtype, 0};
  return {dtype, static_cast<int64_t>(-(uint64_t{1} << (8 * dtype_size(dtype) - 1)))};
}

Windows pooling_windows(const Tensor& input, const IntList& kernel_size,
                        const std::optional<IntList>& stride, const IntList& padding,
                        const IntList& dilation, bool ceil_mode, int64_t axes) {
  detail::graph_of({&input});
  PLAIT_CHECK(input.rank() == axes + 2, op_name(),
              "input must be (batch, channels, {} axes); got {}", axes, to_string(input.type()));
  const std::vector<int64_t> kernel = detail::expand_list(kernel_size, axes, "kernel_size");
  const detail::Padding pad = detail::expand_padding(padding, axes);
  for (int64_t i = 0; i < axes; ++i) {
    PLAIT_CHECK(2 * pad.before[i] <= kernel[i] && 2 * pad.after[i] <= kernel[i], op_name(),
                "padding must be at most half of the kernel; got padding {} and {}, kernel {}",
                pad.before[i], pad.after[i], kernel[i]);
  }
  return detail::make_windows(
      input, kernel, stride ? detail::expand_list(*stride, axes, "stride") : kernel, pad.before,
      pad.after, detail::expand_list(dilation, axes, "dilation"), ceil_mode);
}

// (batch, channels, kernel…, windows…); `fill` outside the input. Neighbouring windows are reduced
// side by side.
Tensor window_view(const Tensor& x, const Windows& windows, Scalar fill) {
  const auto axes = static_cast<int64_t>(windows.kernel.size());
  Shape shape = {x.shape()[0], x.shape()[1]};
  for (int64_t k : windows.kernel) shape.push_back(k);
  shape.insert(shape.end(), windows.output.begin(), windows.output.end());
  std::vector<Expr> map = {axis_variable(0), axis_variable(1)};
  for (int64_t i = 0; i < axes; ++i) {
    map.push_back(
        detail::window_position(windows, i, axis_variable(2 + axes + i), axis_variable(2 + i)));
  }
  return detail::reindex(x, shape, std::move(map), fill);
}

std::vector<int64_t> kernel_axes(const Windows& windows) {
  std::vector<int64_t> result;
  const auto axes = static_cast<int64_t>(windows.kernel.size());
  for (int64_t i = 0; i < axes; ++i) result.push_back(2 + i);
  return result;
}

Tensor max_pool(const Tensor& input, const Windows& windows) {
  return detail::reduce(ReduceOp::max, window_view(input, windows, lowest(input.dtype())),
                        kernel_axes(windows), false);
}

// How many taps of each window along one axis lie in [-before, size + after): (windows).
Tensor taps_inside(const Tensor& x, const Windows& windows, int64_t axis, int64_t before,
                   int64_t after) {
  const Expr padded = x.shape()[axis + 2] + Expr(before + after);
  const Tensor ones =
      detail::broadcast_to_shape(detail::as_tensor(x.graph(), 1, x.dtype()), {padded});
  const Expr position =
      detail::window_position(windows, axis, axis_variable(0), axis_variable(1)) + Expr(before);
  const Tensor taps =
      detail::reindex(ones, {windows.output[axis], Expr(windows.kernel[axis])}, {position});
  return detail::reduce(ReduceOp::sum, taps, {1}, false);
}

Tensor avg_pool(const Tensor& input, const Windows& windows, bool ceil_mode, bool count_include_pad,
                std::optional<int64_t> divisor_override) {
  const Tensor x = detail::wide(input);
  const DType dtype = detail::float_dtype(input);
  const Tensor total = detail::reduce(ReduceOp::sum, window_view(x, windows, Scalar(x.dtype(), 0)),
                                      kernel_axes(windows), false);
  if (divisor_override) {
    PLAIT_CHECK(*divisor_override != 0, op_name(), "divisor_override must not be 0");
    return detail::cast_to(div(total, *divisor_override), dtype);
  }
  int64_t taps = 1;
  bool padded = false;
  for (size_t i = 0; i < windows.kernel.size(); ++i) {
    taps *= windows.kernel[i];
    padded = padded || windows.before[i] > 0 || windows.after[i] > 0;
  }
  if (!ceil_mode && (!padded || count_include_pad)) return detail::cast_to(div(total, taps), dtype);
  Tensor result = total;
  for (size_t i = 0; i < windows.kernel.size(); ++i) {
    const auto axis = static_cast<int64_t>(i);
    const Tensor inside = taps_inside(x, windows, axis, count_include_pad ? windows.before[i] : 0,
                                      count_include_pad ? windows.after[i] : 0);
    result = div(result, detail::broadcast(inside, total.shape(), {axis + 2}));
  }
  return detail::cast_to(result, dtype);
}

// The size of the longest part when an axis is cut into `parts` from floor(i n / parts) to
// ceil((i + 1) n / parts).
Expr longest_part(Expr size, int64_t parts) {
  const std::optional<int64_t> n = size.constant();
  if (!n) return floor_div(size - Expr(1), parts) + Expr(2);
  int64_t longest = 0;
  for (int64_t i = 0; i < parts; ++i) {
    longest = std::max(longest, ((i + 1) * *n + parts - 1) / parts - i * *n / parts);
  }
  return longest;
}

// The means of the parts along one axis, which overlap where the size is no multiple of them.
Tensor means_of_parts(const Tensor& x, int64_t axis, int64_t parts) {
  const Expr size = x.shape()[axis];
  if (parts == 1) return mean(x, axis, true);
  Shape shape = x.shape();
  shape[axis] = longest_part(size, parts);
  shape.insert(shape.begin() + axis + 1, Expr(parts));
  const Expr first = floor_div(axis_variable(axis + 1) * size, parts);
  std::vector<Expr> map;
  for (int64_t i = 0; i < x.rank(); ++i) map.push_back(axis_variable(i > axis ? i + 1 : i));
  map[axis] = first + axis_variable(axis);
  const Tensor view = detail::reindex(x, shape, std::move(map), Scalar(x.dtype(), 0));
  const DType whole = detail::index_dtype((size + Expr(1)) * Expr(parts + 1));
  const Tensor part = detail::iota(x.graph(), {Expr(parts)}, 0, whole);
  const Tensor begin = floor_divide(mul(part, size), parts);
  const Tensor end = floor_divide(add(mul(add(part, 1), size), parts - 1), parts);
  const Tensor length = sub(end, begin);
  const Tensor position = detail::iota(x.graph(), {shape[axis], Expr(parts)}, 0, whole);
  const Tensor inside = detail::broadcast(lt(position, length), shape, {axis, axis + 1});
  const Tensor total =
      detail::reduce(ReduceOp::sum, where(inside, view, 0.0), {axis}, /*keepdim=*/false);
  return div(total, detail::broadcast(detail::cast_to(length, x.dtype()), total.shape(), {axis}));
}

Tensor adaptive_avg_pool(const Tensor& input, const IntList& output_size, int64_t axes) {
  detail::graph_of({&input});
  PLAIT_CHECK(input.rank() == axes + 2, op_name(),
              "input must be (batch, channels, {} axes); got {}", axes, to_string(input.type()));
  const std::vector<int64_t> parts = detail::expand_list(output_size, axes, "output_size");
  std::vector<int64_t> kernel;
  for (int64_t i = 0; i < axes; ++i) {
    const Expr size = input.shape()[i + 2];
    PLAIT_CHECK(parts[i] >= 1, op_name(), "output_size must be at least 1; got {}", parts[i]);
    PLAIT_CHECK(prove_less(size, 1, {}) != true, op_name(),
                "sizes must be at least 1; got {}; axis {} has size {}", to_string(input.type()),
                i + 2, to_string(size));
    const std::optional<int64_t> n = size.constant();
    if (n && *n % parts[i] == 0) kernel.push_back(*n / parts[i]);
  }
  const DType dtype = detail::float_dtype(input);
  if (std::all_of(parts.begin(), parts.end(), [](int64_t n) { return n == 1; })) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < axes; ++i) all.push_back(i + 2);
    return mean(input, all, true);
  }
  if (static_cast<int64_t>(kernel.size()) == axes) {
    const std::vector<int64_t> none(axes, 0);
    const Windows windows = detail::make_windows(input, kernel, kernel, none, none,
                                                 std::vector<int64_t>(axes, 1), false);
    return avg_pool(input, windows, false, true, std::nullopt);
  }
  Tensor x = detail::wide(input);
  for (int64_t i = 0; i < axes; ++i) x = means_of_parts(x, i + 2, parts[i]);
  return detail::cast_to(x, dtype);
}

std::optional<IntList> stride_or_kernel(const Dims& stride) {
  if (stride.all()) return std::nullopt;
  return IntList(stride.values());
}

}  // namespace

Tensor max_pool1d(const Tensor& input, const IntList& kernel_size, const Dims& stride,
                  const IntList& padding, const IntList& dilation, bool ceil_mode) {
  OpScope op("max_pool1d");
  return max_pool(input, pooling_windows(input, kernel_size, stride_or_kernel(stride), padding,
                                         dilation, ceil_mode, 1));
}

Tensor max_pool2d(const Tensor& input, const IntList& kernel_size, const Dims& stride,
                  const IntList& padding, const IntList& dilation, bool ceil_mode) {
  OpScope op("max_pool2d");
  return max_pool(input, pooling_windows(input, kernel_size, stride_or_kernel(stride), padding,
                                         dilation, ceil_mode, 2));
}

Tensor avg_pool1d(const Tensor& input, const IntList& kernel_size, const Dims& stride,
                  const IntList& padding, bool ceil_mode, bool count_include_pad) {
  OpScope op("avg_pool1d");
  const Windows windows =
      pooling_windows(input, kernel_size, stride_or_kernel(stride), padding, 1, ceil_mode, 1);
  return avg_pool(input, windows, ceil_mode, count_include_pad, std::nullopt);
}

Tensor avg_pool2d(const Tensor& input, const IntList& kernel_size, const Dims& stride,
                  const IntList& padding, bool ceil_mode, bool count_include_pad,
                  std::optional<int64_t> divisor_override) {
  OpScope op("avg_pool2d");
  const Windows windows =
      pooling_windows(input, kernel_size, stride_or_kernel(stride), padding, 1, ceil_mode, 2);
  return avg_pool(input, windows, ceil_mode, count_include_pad, divisor_override);
}

Tensor adaptive_avg_pool1d(const Tensor& input, const IntList& output_size) {
  OpScope op("adaptive_avg_pool1d");
  return adaptive_avg_pool(input, output_size, 1);
}

Tensor adaptive_avg_pool2d(const Tensor& input, const IntList& output_size) {
  OpScope op("adaptive_avg_pool2d");
  return adaptive_avg_pool(input, output_size, 2);
}

Tensor adaptive_avg_pool3d(const Tensor& input, const IntList& output_size) {
  OpScope op("adaptive_avg_pool3d");
  return adaptive_avg_pool(input, output_size, 3);
}

std::vector<OpRecord> pooling_ops() {
  static constexpr std::string_view kOracle = R"(
n = input.ndim - 2
one = lambda v: list(v) * n if len(v) == 1 else list(v)
k = one(kernel_size)
s = k if stride is None else one(stride)
p = np.reshape(padding, (n, 2)) if len(padding) == 2 * n > 2 else [(a, a) for a in one(padding)]
d = one(spread)
m = input.shape[2:]
size = []
for i in range(n):
    room = m[i] + sum(p[i]) - d[i] * (k[i] - 1) - 1
    count = (-(-room // s[i]) if ceil_mode else room // s[i]) + 1
    size.append(count - (ceil_mode and (count - 1) * s[i] >= m[i] + p[i][0]))
y = np.zeros((*input.shape[:2], *size), input.dtype if is_max else float)
for at in np.ndindex(*size):
    taps = [[at[i] * s[i] + d[i] * j - p[i][0] for j in range(k[i])] for i in range(n)]
    inside = [[t for t in taps[i] if 0 <= t < m[i]] for i in range(n)]
    counted = [[t for t in taps[i] if -p[i][0] <= t < m[i] + p[i][1]] for i in range(n)]
    part = input[(slice(None), slice(None), *np.ix_(*inside))] if n > 1 else input[:, :, inside[0]]
    flat = part.reshape(*input.shape[:2], int(np.prod(part.shape[2:])))
    if is_max:
        y[(slice(None), slice(None), *at)] = flat.max(-1)
    else:
        taken = counted if count_include_pad else inside
        divisor = divisor_override or np.prod([len(t) for t in taken])
        y[(slice(None), slice(None), *at)] = flat.sum(-1) / divisor
return y
)";
  static constexpr std::string_view kAdaptive = R"(
x = input
for axis in range(2, x.ndim):
    m = list(output_size)[0] if len(output_size) == 1 else output_size[axis - 2]
    n = x.shape[axis]
    if n == 0:
        raise ValueError("an empty axis")
    cut = [np.arange(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
    x = np.stack([np.take(x, at, axis).mean(axis) for at in cut], axis)
return x
)";
  static const std::string max_oracle =
      "spread, is_max, count_include_pad, divisor_override = dilation, True, True, None" +
      std::string(kOracle);
  static const std::string avg1_oracle =
      "spread, is_max, divisor_override = [1], False, None" + std::string(kOracle);
  static const std::string avg2_oracle = "spread, is_max = [1], False" + std::string(kOracle);
  return {
      {
          .signature = "max_pool1d(Tensor input, int[] kernel_size, int[]? stride=None, int[] "
                       "padding=0, int[] dilation=1, bool ceil_mode=False) -> Tensor",
          .doc = "`max_pool2d` with one spatial axis.",
          .composition = compose<&max_pool1d>,
          .oracle = max_oracle,
          .samples = {"(randn(2, 3, 9), 3)", "(randn(1, 2, 10), 3, 2, 1, 2)",
                      "(randn(1, 2, 10), 3, 2, 1, ceil_mode=True)"},
      },
      {
          .signature = "max_pool2d(Tensor input, int[] kernel_size, int[]? stride=None, int[] "
                       "padding=0, int[] dilation=1, bool ceil_mode=False) -> Tensor",
          .doc =
              "The largest element of each window of (batch, channels, height, width); the stride "
              "is the kernel by default. The padding is the lowest value, of integers too. Equal "
              "largest elements share the gradient evenly. `ceil_mode`: a last window may hang "
              "over the end.",
          .composition = compose<&max_pool2d>,
          .oracle = max_oracle,
          .samples = {"(randn(2, 3, 5, 6), 2)", "(full((1, 1, 3, 3), -5.0), 3, 1, 1)",
                      "(randint(-9, -5, 1, 1, 3, 3), 3, 1, 1)",
                      "(randn(1, 2, 7, 6), [3, 2], [2, 1], [1, 0], [1, 2])",
                      "(randn(1, 1, 6, 6), 3, 2, ceil_mode=True)", "(randn(0, 1, 4, 4), 2)"},
      },
      {
          .signature = "avg_pool1d(Tensor input, int[] kernel_size, int[]? stride=None, int[] "
                       "padding=0, bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
          .doc = "`avg_pool2d` with one spatial axis.",
          .composition = compose<&avg_pool1d>,
          .oracle = avg1_oracle,
          .samples = {"(randn(2, 3, 9), 3)", "(randn(1, 2, 10), 3, 2, 1)",
                      "(randn(1, 2, 10), 3, 2, 1, True, False)"},
      },
      {
          .signature = "avg_pool2d(Tensor input, int[] kernel_size, int[]? stride=None, int[] "
                       "padding=0, bool ceil_mode=False, bool count_include_pad=True, int? "
                       "divisor_override=None) -> Tensor",
          .doc = "The mean of each window of (batch, channels, height, width); the stride is the "
                 "kernel by default. The zeros of the padding count unless `count_include_pad` is "
                 "False; positions beyond it never do.",
          .composition = compose<&avg_pool2d>,
          .oracle = avg2_oracle,
          .samples = {"(randn(2, 3, 5, 6), 2)", "(randn(1, 1, 5, 5), 3, 2, 1)",
                      "(randn(1, 1, 5, 5), 3, 2, 1, count_include_pad=False)",
                      "(randn(1, 1, 6, 6), 3, 2, 1, True)",
                      "(randn(1, 1, 6, 6), [3, 2], 2, [1, 0], True, False)",
                      "(randn(1, 1, 4, 4), 2, divisor_override=3)"},
      },
      {
          .signature = "adaptive_avg_pool1d(Tensor input, int[] output_size) -> Tensor",
          .doc = "`adaptive_avg_pool2d` with one spatial axis.",
          .composition = compose<&adaptive_avg_pool1d>,
          .oracle = kAdaptive,
          .samples = {"(randn(2, 3, 5), 2)", "(randn(2, 3, 4), 7)", "(randn(2, 0, 4), 3)",
                      "(randn(1, 2, 6), 3)"},
      },
      {
          .signature = "adaptive_avg_pool2d(Tensor input, int[] output_size) -> Tensor",
          .doc = "The means of (batch, channels, height, width) over `output_size` parts of each "
                 "axis of size n, from floor(i n / parts) to ceil((i + 1) n / parts); parts "
                 "overlap where their number does not divide n. Halves are computed in f32 and "
                 "rounded once.",
          .composition = compose<&adaptive_avg_pool2d>,
          .oracle = kAdaptive,
          .samples = {"(randn(2, 3, 5, 7), 1)", "(randn(2, 3, 4, 6), [2, 3])",
                      "(randn(2, 3, 5, 7), [3, 2])", "(randn(1, 2, 3, 3), [5, 1])",
                      "(randn(0, 2, 5, 4), 3)"},
      },
      {
          .signature = "adaptive_avg_pool3d(Tensor input, int[] output_size) -> Tensor",
          .doc = "`adaptive_avg_pool2d` with three spatial axes.",
          .composition = compose<&adaptive_avg_pool3d>,
          .oracle = kAdaptive,
          .samples = {"(randn(1, 2, 3, 4, 5), 2)", "(randn(2, 1, 2, 4, 6), [1, 2, 3])",
                      "(randn(1, 2, 3, 2, 3), 1)"},
      },
  };
}

}  // namespace plait
