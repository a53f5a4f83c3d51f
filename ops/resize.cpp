// Other numbers of positions along the spatial axes of (batch, channels, …).
#include <cmath>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::axis_variable;
using detail::axis_variables;
using detail::op_name;

// Input positions per output position, as a fraction.
struct Step {
  Expr numerator, denominator;
};

struct ResizedAxis {
  Expr input, output;
  Step step;
};

// The fraction nearest to a positive number, by its continued fraction; denominators stay so small
// that products with sizes fit 64 bits.
struct Fraction {
  int64_t numerator, denominator;
};
Fraction nearest_fraction(double number) {
  constexpr int64_t kMost = int64_t{1} << 20;
  int64_t before[2] = {0, 1}, now[2] = {1, 0};  // numerators and denominators of two convergents
  double rest = number;
  for (;;) {
    const double whole = std::floor(rest);
    const double denominator = whole * static_cast<double>(now[1]) + static_cast<double>(before[1]);
    if (denominator > static_cast<double>(kMost)) break;
    const auto digit = static_cast<int64_t>(whole);
    for (int i = 0; i < 2; ++i) {
      const int64_t next = digit * now[i] + before[i];
      before[i] = now[i];
      now[i] = next;
    }
    const double found = static_cast<double>(now[0]) / static_cast<double>(now[1]);
    if (found == number || rest == whole) break;
    rest = 1 / (rest - whole);
  }
  return {now[0], now[1]};
}

// Whole positions alone: a gather without arithmetic.
Tensor nearest_along(const Tensor& x, int64_t axis, const ResizedAxis& resized, bool exact) {
  const Step& step = resized.step;
  const Expr i = axis_variable(axis);
  Shape shape = x.shape();
  shape[axis] = resized.output;
  std::vector<Expr> map = axis_variables(x.rank());
  map[axis] = exact ? floor_div((i * Expr(2) + Expr(1)) * step.numerator, step.denominator * 2)
                    : floor_div(i * step.numerator, step.denominator);
  return detail::reindex(x, shape, std::move(map));
}

// A position is numerator / denominator, not below 0; between two whole ones it mixes both.
Tensor linear_along(const Tensor& x, int64_t axis, const ResizedAxis& resized, bool align_corners) {
  const Step step = align_corners
                        ? Step{resized.input - Expr(1), max(resized.output - Expr(1), 1)}
                        : Step{resized.step.numerator, resized.step.denominator * Expr(2)};
  const Expr half = resized.step.denominator;
  auto numerator_at = [&](Expr i) {
    if (align_corners) return i * step.numerator;
    return max((i * Expr(2) + Expr(1)) * step.numerator - half, 0);
  };
  Shape shape = x.shape();
  shape[axis] = resized.output;
  std::vector<Expr> map = axis_variables(x.rank());
  const Expr lower = floor_div(numerator_at(axis_variable(axis)), step.denominator);
  map[axis] = lower;
  const Tensor first = detail::reindex(x, shape, map);
  map[axis] = min(lower + Expr(1), resized.input - Expr(1));
  const Tensor second = detail::reindex(x, shape, map);
  const DType whole =
      detail::index_dtype((resized.output * Expr(2) + Expr(1)) * step.numerator + step.denominator);
  const Tensor i = detail::iota(x.graph(), {resized.output}, 0, whole);
  const Tensor numerator = align_corners
                               ? mul(i, step.numerator)
                               : maximum(sub(mul(add(mul(i, 2), 1), step.numerator), half), 0);
  const Tensor part = div(detail::cast_to(remainder(numerator, step.denominator), x.dtype()),
                          detail::as_tensor(x.graph(), step.denominator, x.dtype()));
  const Tensor weight = detail::broadcast(part, shape, {axis});
  return add(mul(first, sub(1.0, weight)), mul(second, weight));
}

std::vector<ResizedAxis> resized_axes(const Tensor& input, const std::optional<Shape>& size,
                                      std::optional<double> scale_factor) {
  PLAIT_CHECK(size.has_value() != scale_factor.has_value(), op_name(),
              "either size or scale_factor must be given; got {}", size ? "both" : "neither");
  const auto axes = static_cast<size_t>(input.rank() - 2);
  std::vector<ResizedAxis> result;
  if (size) {
    PLAIT_CHECK(size->size() == 1 || size->size() == axes, op_name(),
                "size takes 1 or {} numbers; got {}", axes, to_string(*size));
    for (size_t i = 0; i < axes; ++i) {
      const Expr output = (*size)[size->size() == 1 ? 0 : i];
      const Expr from = input.shape()[i + 2];
      result.push_back({from, output, {from, output}});
    }
  } else {
    PLAIT_CHECK(*scale_factor >= 0x1p-20 && *scale_factor <= 0x1p20, op_name(),
                "scale_factor must be positive and at most 2^20; got {}", *scale_factor);
    const Fraction scale = nearest_fraction(*scale_factor);
    for (size_t i = 0; i < axes; ++i) {
      const Expr from = input.shape()[i + 2];
      const Expr output = simplify(floor_div(from * Expr(scale.numerator), scale.denominator), {});
      result.push_back({from, output, {scale.denominator, scale.numerator}});
    }
  }
  for (size_t i = 0; i < axes; ++i) {
    PLAIT_CHECK(
        prove_less(result[i].input, 1, {}) != true && prove_less(result[i].output, 1, {}) != true,
        op_name(), "sizes must be at least 1; got {}; axis {}: {} to {}", to_string(input.type()),
        i + 2, to_string(result[i].input), to_string(result[i].output));
  }
  return result;
}

// The rank that a mode needs; 0 if any from 3 to 5.
int64_t rank_of_mode(const std::string& mode) {
  const std::pair<std::string_view, int64_t> modes[] = {
      {"nearest", 0}, {"nearest-exact", 0}, {"linear", 3}, {"bilinear", 4}, {"trilinear", 5}};
  for (const auto& [name, rank] : modes) {
    if (name == mode) return rank;
  }
  PLAIT_CHECK(false, op_name(),
              "mode must be 'nearest', 'nearest-exact', 'linear', 'bilinear' or 'trilinear'; got "
              "'{}'",
              mode);
}

// (batch, channels, height, width) and a factor of at least 1.
void check_image(const Tensor& input, int64_t factor, std::string_view name) {
  detail::graph_of({&input});
  PLAIT_CHECK(input.rank() >= 3, op_name(), "input must be (…, channels, height, width); got {}",
              to_string(input.type()));
  PLAIT_CHECK(factor >= 1, op_name(), "{} must be at least 1; got {}", name, factor);
}

void check_divides(const Tensor& input, int64_t axis, int64_t factor) {
  const Expr size = input.shape()[axis];
  PLAIT_CHECK(prove_equal(mod(size, factor), 0, {}) != false, op_name(),
              "the factor must divide the size; got {}; axis {}: {} is no multiple of {}",
              to_string(input.type()), axis, to_string(size), factor);
}

}  // namespace

Tensor interpolate(const Tensor& input, const std::optional<Shape>& size,
                   std::optional<double> scale_factor, const std::string& mode,
                   bool align_corners) {
  OpScope op("interpolate");
  detail::graph_of({&input});
  const int64_t rank = rank_of_mode(mode);
  PLAIT_CHECK(rank == 0 ? input.rank() >= 3 && input.rank() <= 5 : input.rank() == rank, op_name(),
              "mode '{}' needs {} dims; got {}", mode, rank == 0 ? "3 to 5" : std::to_string(rank),
              to_string(input.type()));
  PLAIT_CHECK(rank != 0 || !align_corners, op_name(),
              "align_corners belongs to the linear modes; got mode '{}'", mode);
  const std::vector<ResizedAxis> axes = resized_axes(input, size, scale_factor);
  Tensor x = rank == 0 ? input : detail::wide(input);
  for (int64_t axis = input.rank() - 1; axis >= 2; --axis) {
    const ResizedAxis& resized = axes[axis - 2];
    x = rank == 0 ? nearest_along(x, axis, resized, mode == "nearest-exact")
                  : linear_along(x, axis, resized, align_corners);
  }
  return rank == 0 ? x : detail::cast_to(x, detail::float_dtype(input));
}

Tensor pixel_shuffle(const Tensor& input, int64_t upscale_factor) {
  OpScope op("pixel_shuffle");
  const int64_t r = upscale_factor;
  check_image(input, r, "upscale_factor");
  const int64_t rank = input.rank();
  check_divides(input, rank - 3, r * r);
  Shape shape = input.shape();
  const Expr channel = axis_variable(rank - 3);
  const Expr row = axis_variable(rank - 2);
  const Expr column = axis_variable(rank - 1);
  shape[rank - 3] = simplify(floor_div(shape[rank - 3], r * r), {});
  shape[rank - 2] = shape[rank - 2] * Expr(r);
  shape[rank - 1] = shape[rank - 1] * Expr(r);
  std::vector<Expr> map = axis_variables(rank);
  map[rank - 3] = channel * Expr(r * r) + mod(row, r) * Expr(r) + mod(column, r);
  map[rank - 2] = floor_div(row, r);
  map[rank - 1] = floor_div(column, r);
  return detail::reindex(input, shape, std::move(map));
}

Tensor pixel_unshuffle(const Tensor& input, int64_t downscale_factor) {
  OpScope op("pixel_unshuffle");
  const int64_t r = downscale_factor;
  check_image(input, r, "downscale_factor");
  const int64_t rank = input.rank();
  check_divides(input, rank - 2, r);
  check_divides(input, rank - 1, r);
  Shape shape = input.shape();
  const Expr channel = axis_variable(rank - 3);
  shape[rank - 3] = shape[rank - 3] * Expr(r * r);
  shape[rank - 2] = simplify(floor_div(shape[rank - 2], r), {});
  shape[rank - 1] = simplify(floor_div(shape[rank - 1], r), {});
  std::vector<Expr> map = axis_variables(rank);
  map[rank - 3] = floor_div(channel, r * r);
  map[rank - 2] = map[rank - 2] * Expr(r) + mod(floor_div(channel, r), r);
  map[rank - 1] = map[rank - 1] * Expr(r) + mod(channel, r);
  return detail::reindex(input, shape, std::move(map));
}

std::vector<OpRecord> resize_ops() {
  return {
      {
          .signature = "interpolate(Tensor input, Shape? size=None, float? scale_factor=None, str "
                       "mode='nearest', bool align_corners=False) -> Tensor",
          .doc = "(batch, channels, 1 to 3 axes) at other positions: `size` numbers, or "
                 "floor(n * scale_factor) an axis, with the factor as the nearest fraction. "
                 "'nearest' reads floor(i * s), 'nearest-exact' floor((i + 1/2) * s), s being n / "
                 "size or 1 / scale_factor; 'linear', 'bilinear' and 'trilinear' mix the two "
                 "neighbours along each axis of (i + 1/2) * s - 1/2, or, with `align_corners`, of "
                 "i * (n - 1) / (size - 1). Halves are mixed in f32 and rounded once.",
          .composition = compose<&interpolate>,
          .oracle = R"(
x = input
for axis in range(x.ndim - 1, 1, -1):
    n = x.shape[axis]
    if size is None:
        m, s = int(np.floor(n * scale_factor + 1e-9)), 1 / scale_factor
    else:
        m = list(size)[0] if len(size) == 1 else size[axis - 2]
        s = n / m
    i = np.arange(m)
    if mode.startswith('nearest'):
        at = (i + 0.5) * s if mode == 'nearest-exact' else i * s
        x = np.take(x, np.minimum(np.floor(at + 1e-9), n - 1).astype(int), axis)
        continue
    at = i * ((n - 1) / max(m - 1, 1)) if align_corners else np.maximum((i + 0.5) * s - 0.5, 0)
    low = np.floor(at + 1e-9).astype(int)
    w = np.maximum(at - low, 0).reshape(-1, *[1] * (x.ndim - 1 - axis))
    x = np.take(x, low, axis) * (1 - w) + np.take(x, np.minimum(low + 1, n - 1), axis) * w
return x
)",
          .samples = {"(randn(2, 3, 5), 8)", "(randn(1, 2, 3, 4), [5, 3])",
                      "(randn(2, 1, 4, 3), None, 2.0)", "(randn(1, 1, 2, 3, 2), 3)",
                      "(randn(1, 2, 7), scale_factor=0.5)", "(randn(1, 2, 7), None, 1.7)",
                      "(randn(1, 2, 5), 8, mode='nearest-exact')",
                      "(randn(1, 2, 7), 3, mode='nearest-exact')",
                      "(randn(2, 3, 5), 8, mode='linear')",
                      "(randn(2, 3, 5), 3, mode='linear', align_corners=True)",
                      "(randn(1, 2, 3), 1, mode='linear', align_corners=True)",
                      "(randn(1, 2, 3, 4), [5, 3], mode='bilinear')",
                      "(randn(1, 2, 3, 4), None, 2.0, 'bilinear', True)",
                      "(randn(1, 2, 3, 4), None, 1.5, 'bilinear')",
                      "(randn(1, 1, 2, 3, 2), [3, 4, 5], None, 'trilinear')",
                      "(randn(0, 2, 3, 4), 5, mode='bilinear')", "(arange(6).reshape(1, 1, 6), 4)"},
      },
      {
          .signature = "pixel_shuffle(Tensor input, int upscale_factor) -> Tensor",
          .doc = "(…, C r^2, H, W) as (…, C, H r, W r) (Shi et al., 2016). UserError unless r^2 "
                 "divides the channels.",
          .composition = compose<&pixel_shuffle>,
          .oracle = R"(
r = upscale_factor
*b, c, h, w = input.shape
x = np.moveaxis(input.reshape(*b, c // r**2, r, r, h, w), (-4, -3), (-3, -1))
return x.reshape(*b, c // r**2, h * r, w * r)
)",
          .samples = {"(randn(2, 8, 3, 5), 2)", "(randn(9, 2, 3), 3)", "(randn(1, 2, 3), 1)",
                      "(randn(0, 4, 3, 3), 2)"},
      },
      {
          .signature = "pixel_unshuffle(Tensor input, int downscale_factor) -> Tensor",
          .doc = "(…, C, H r, W r) as (…, C r^2, H, W): undoes `pixel_shuffle`. UserError unless r "
                 "divides both sizes.",
          .composition = compose<&pixel_unshuffle>,
          .oracle = R"(
r = downscale_factor
*b, c, h, w = input.shape
x = np.moveaxis(input.reshape(*b, c, h // r, r, w // r, r), (-3, -1), (-4, -3))
return x.reshape(*b, c * r**2, h // r, w // r)
)",
          .samples = {"(randn(2, 3, 4, 6), 2)", "(randn(2, 6, 3), 3)", "(randn(1, 2, 3), 1)",
                      "(randn(0, 1, 4, 4), 2)"},
      },
  };
}

}  // namespace plait
