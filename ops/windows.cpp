#include "ops/windows.h"

#include <algorithm>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"

namespace plait::detail {
namespace {

void check_positive(const std::vector<int64_t>& values, std::string_view name, int64_t least) {
  for (int64_t value : values) {
    PLAIT_CHECK(value >= least, op_name(), "{} must be at least {}; got {}", name, least, value);
  }
}

}  // namespace

Padding expand_padding(const IntList& padding, int64_t axes) {
  const auto given = static_cast<int64_t>(padding.size());
  if (given == 2 * axes && axes > 0 && given != 1) {
    Padding result;
    for (int64_t i = 0; i < axes; ++i) {
      result.before.push_back(padding[2 * i]);
      result.after.push_back(padding[2 * i + 1]);
    }
    return result;
  }
  PLAIT_CHECK(given == 1 || given == axes, op_name(),
              "padding takes 1 number, {} numbers, or {} (before, after) pairs; got {}", axes, axes,
              given);
  const std::vector<int64_t> both = expand_list(padding, axes, "padding");
  return {both, both};
}

Windows make_windows(const Tensor& input, std::vector<int64_t> kernel, std::vector<int64_t> stride,
                     std::vector<int64_t> before, std::vector<int64_t> after,
                     std::vector<int64_t> dilation, bool ceil_mode) {
  check_positive(kernel, "kernel_size", 1);
  check_positive(stride, "stride", 1);
  check_positive(dilation, "dilation", 1);
  check_positive(before, "padding", 0);
  check_positive(after, "padding", 0);
  Windows windows{kernel, stride, before, after, dilation, {}};
  for (size_t i = 0; i < kernel.size(); ++i) {
    const Expr size = input.shape()[i + 2];
    const int64_t reach = dilation[i] * (kernel[i] - 1) + 1;
    const Expr padded = size + Expr(before[i] + after[i]);
    PLAIT_CHECK(prove_less(padded, reach, {}) != true, op_name(),
                "the kernel must fit the padded input; got {}; axis {}: size {} with padding {} "
                "and {}, kernel {} with dilation {}",
                to_string(input.type()), i + 2, to_string(size), before[i], after[i], kernel[i],
                dilation[i]);
    const Expr room = padded - Expr(reach);
    Expr count = floor_div(room, stride[i]) + Expr(1);
    if (ceil_mode) {
      // The last window must start before the end of the input: at most ceil((n + before) / s).
      count = min(ceil_div(room, stride[i]) + Expr(1), ceil_div(size + Expr(before[i]), stride[i]));
    }
    windows.output.push_back(simplify(count, {}));
  }
  return windows;
}

Expr window_position(const Windows& windows, int64_t axis, Expr o, Expr k) {
  return o * Expr(windows.stride[axis]) + k * Expr(windows.dilation[axis]) -
         Expr(windows.before[axis]);
}

}  // namespace plait::detail
