// Reductions over dims.
#include <cmath>

#include "core/error.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "ops/softmax_terms.h"

namespace plait {
namespace {

// sum, max and min of index expressions exist too: these are the tensors'.
constexpr Tensor (*kSum)(const Tensor&, const Dims&, bool, std::optional<DType>) = &sum;
constexpr Tensor (*kMax)(const Tensor&) = &max;
constexpr Tensor (*kMin)(const Tensor&) = &min;

// Sums and products of integers and bools are i64, as in PyTorch.
Tensor summand(const Tensor& input, std::optional<DType> dtype) {
  const bool whole = !is_float(input.dtype());
  return detail::cast_to(input, dtype.value_or(whole ? DType::i64 : input.dtype()));
}

void check_not_empty(const Tensor& x, const std::vector<int64_t>& axes) {
  for (int64_t axis : axes) {
    PLAIT_CHECK(!x.shape()[axis].is_constant(0), detail::op_name(),
                "an empty dim has no largest or smallest element; got {}; dim {} has size 0",
                to_string(x.type()), axis);
  }
}

Tensor extreme(ReduceOp op, const Tensor& input, const Dims& dim, bool keepdim) {
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  check_not_empty(input, axes);
  return detail::reduce(op, input, axes, keepdim);
}

Tensor index_of_extreme(ReduceOp op, const Tensor& input, std::optional<int64_t> dim,
                        bool keepdim) {
  if (dim && !detail::names_rank_zero(*dim, input)) {
    const int64_t axis = detail::normalize_axis(*dim, input);
    check_not_empty(input, {axis});
    return detail::reduce(op, input, {axis}, keepdim);
  }
  const Tensor flat = flatten(input);
  check_not_empty(flat, {0});
  const Tensor result = detail::reduce(op, flat, {0}, false);
  return keepdim ? reshape(result, Shape(input.rank(), Expr(1))) : result;
}

// In a wide dtype, axes kept.
Tensor wide_mean(const Tensor& x, const std::vector<int64_t>& axes) {
  const Tensor sum = detail::reduce(ReduceOp::sum, x, axes, true);
  return div(sum, detail::count(x, axes, x.dtype()));
}

// Two passes: the mean, then the squares of the distances to it.
Tensor wide_variance(const Tensor& input, const Dims& dim, int64_t correction, bool keepdim) {
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  const Tensor x = detail::wide(input);
  const Tensor distance = sub(x, wide_mean(x, axes));
  const Tensor squares = detail::reduce(ReduceOp::sum, mul(distance, distance), axes, keepdim);
  const Tensor freedom = sub(detail::count(x, axes, x.dtype()), correction);
  return div(squares, maximum(freedom, 0.0));
}

}  // namespace

Tensor sum(const Tensor& input, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  OpScope op("sum");
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  return detail::reduce(ReduceOp::sum, summand(input, dtype), axes, keepdim);
}

Tensor prod(const Tensor& input, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  OpScope op("prod");
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  return detail::reduce(ReduceOp::prod, summand(input, dtype), axes, keepdim);
}

Tensor mean(const Tensor& input, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  OpScope op("mean");
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  const Tensor x = dtype ? detail::cast_to(input, *dtype) : detail::to_float(input);
  const Tensor wide = detail::wide(x);
  const Tensor sum = detail::reduce(ReduceOp::sum, wide, axes, keepdim);
  return detail::cast_to(div(sum, detail::count(wide, axes, wide.dtype())), x.dtype());
}

Tensor nansum(const Tensor& input, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  OpScope op("nansum");
  return kSum(where(isnan(input), 0, input), dim, keepdim, dtype);
}

Tensor nanmean(const Tensor& input, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  OpScope op("nanmean");
  const Tensor x = dtype ? detail::cast_to(input, *dtype) : detail::to_float(input);
  PLAIT_CHECK(is_float(x.dtype()), detail::op_name(), "dtype must be a float; got {}",
              dtype_name(x.dtype()));
  const Tensor wide = detail::wide(x);
  const Tensor none = isnan(wide);
  const Tensor count = detail::cast_to(kSum(logical_not(none), dim, keepdim, {}), wide.dtype());
  const Tensor total = kSum(where(none, 0.0, wide), dim, keepdim, {});
  return detail::cast_to(div(total, count), x.dtype());
}

Tensor var(const Tensor& input, const Dims& dim, int64_t correction, bool keepdim) {
  OpScope op("var");
  return detail::cast_to(wide_variance(input, dim, correction, keepdim),
                         detail::float_dtype(input));
}

Tensor std(const Tensor& input, const Dims& dim, int64_t correction, bool keepdim) {
  OpScope op("std");
  const Tensor variance = wide_variance(input, dim, correction, keepdim);
  return detail::cast_to(detail::sqrt_flat_at_zero(variance), detail::float_dtype(input));
}

Tensor amax(const Tensor& input, const Dims& dim, bool keepdim) {
  OpScope op("amax");
  return extreme(ReduceOp::max, input, dim, keepdim);
}

Tensor amin(const Tensor& input, const Dims& dim, bool keepdim) {
  OpScope op("amin");
  return extreme(ReduceOp::min, input, dim, keepdim);
}

Tensor max(const Tensor& input) {
  OpScope op("max");
  return extreme(ReduceOp::max, input, {}, false);
}

Tensor min(const Tensor& input) {
  OpScope op("min");
  return extreme(ReduceOp::min, input, {}, false);
}

std::tuple<Tensor, Tensor> max_dim(const Tensor& input, int64_t dim, bool keepdim) {
  OpScope op("max");
  return {extreme(ReduceOp::max, input, dim, keepdim),
          index_of_extreme(ReduceOp::argmax, input, dim, keepdim)};
}

std::tuple<Tensor, Tensor> min_dim(const Tensor& input, int64_t dim, bool keepdim) {
  OpScope op("min");
  return {extreme(ReduceOp::min, input, dim, keepdim),
          index_of_extreme(ReduceOp::argmin, input, dim, keepdim)};
}

Tensor argmax(const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
  OpScope op("argmax");
  return index_of_extreme(ReduceOp::argmax, input, dim, keepdim);
}

Tensor argmin(const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
  OpScope op("argmin");
  return index_of_extreme(ReduceOp::argmin, input, dim, keepdim);
}

Tensor any(const Tensor& input, const Dims& dim, bool keepdim) {
  OpScope op("any");
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  return detail::reduce(ReduceOp::any, detail::cast_to(input, DType::boolean), axes, keepdim);
}

Tensor all(const Tensor& input, const Dims& dim, bool keepdim) {
  OpScope op("all");
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  return detail::reduce(ReduceOp::all, detail::cast_to(input, DType::boolean), axes, keepdim);
}

Tensor logsumexp(const Tensor& input, const Dims& dim, bool keepdim) {
  OpScope op("logsumexp");
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  const Tensor x = detail::wide(input);
  for (int64_t axis : axes) {
    if (!x.shape()[axis].is_constant(0)) continue;
    return detail::cast_to(log(sum(x, axes, keepdim)), detail::float_dtype(input));
  }
  const detail::SoftmaxTerms terms = detail::softmax_terms(x, axes);
  const Tensor finite = add(terms.shift, log(terms.total));
  const Tensor lowest = where(terms.empty, -detail::kInfinity, finite);
  const Tensor result = where(eq(terms.shift, detail::kInfinity), detail::kInfinity, lowest);
  const DType dtype = detail::float_dtype(input);
  return detail::cast_to(keepdim || axes.empty() ? result : squeeze(result, axes), dtype);
}

Tensor norm(const Tensor& input, double p, const Dims& dim, bool keepdim) {
  OpScope op("norm");
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  const Tensor x = detail::wide(input);
  const DType dtype = detail::float_dtype(input);
  if (p == 2.0) {
    const Tensor squares = detail::reduce(ReduceOp::sum, mul(x, x), axes, keepdim);
    return detail::cast_to(detail::sqrt_flat_at_zero(squares), dtype);
  }
  const Tensor size = abs(x);
  if (std::isinf(p)) {
    check_not_empty(x, axes);
    const ReduceOp function = p > 0 ? ReduceOp::max : ReduceOp::min;
    return detail::cast_to(detail::reduce(function, size, axes, keepdim), dtype);
  }
  const Tensor zero = eq(size, 0.0);
  if (p == 0.0) {
    const Tensor nonzero = detail::cast_to(logical_not(zero), x.dtype());
    return detail::cast_to(detail::reduce(ReduceOp::sum, nonzero, axes, keepdim), dtype);
  }
  if (p == 1.0) return detail::cast_to(detail::reduce(ReduceOp::sum, size, axes, keepdim), dtype);
  PLAIT_CHECK(p > 0, detail::op_name(), "p must be at least 0 or -inf; got {}", p);
  // Zeros stand aside: a power's gradient there may be infinite.
  const Tensor powers = where(zero, 0.0, pow(where(zero, 1.0, size), p));
  const Tensor total = detail::reduce(ReduceOp::sum, powers, axes, keepdim);
  const Tensor none = eq(total, 0.0);
  const Tensor root = where(none, 0.0, pow(where(none, 1.0, total), 1.0 / p));
  return detail::cast_to(root, dtype);
}

std::vector<OpRecord> reduction_ops() {
  return {
      {
          .signature = "sum(Tensor input, int[]? dim=None, bool keepdim=False, *, DType? "
                       "dtype=None) -> Tensor",
          .doc = "The sum over `dim` (all dims without it); 0 where empty. Halves accumulate in "
                 "f32; integers and bools become i64. `dtype`: cast to it first.",
          .composition = compose<kSum>,
          .oracle = "np.sum(input if dtype is None else input.astype(dtype), axis=axes(dim), "
                    "keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), [0, -1], True)",
                      "(randn(2, 0), 1)", "(randn(0, 3), 1)", "(randn(),)", "(arange(7),)",
                      "(array([True, True, False]),)", "(full((1000,), 0.1),)",
                      "(arange(7), dtype=f32)"},
      },
      {
          .signature = "prod(Tensor input, int[]? dim=None, bool keepdim=False, *, DType? "
                       "dtype=None) -> Tensor",
          .doc = "The product over `dim` (all dims without it); 1 where empty. Integers and bools "
                 "become i64. Its gradient is right where elements are 0.",
          .composition = compose<&prod>,
          .oracle = "np.prod(input if dtype is None else input.astype(dtype), axis=axes(dim), "
                    "keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), [0, -1], True)",
                      "(randn(2, 0), 1)", "(array([2.0, 0.0, 3.0, 4.0]),)",
                      "(array([0.0, 0.0, 3.0]),)", "(arange(1, 7),)"},
      },
      {
          .signature = "mean(Tensor input, int[]? dim=None, bool keepdim=False, *, DType? "
                       "dtype=None) -> Tensor",
          .doc = "The sum divided by the count; NaN where empty. Halves sum and divide in f32 and "
                 "round once; integers and bools become f32.",
          .composition = compose<&mean>,
          .oracle = "np.sum(input, axis=axes(dim), keepdims=keepdim) / np.prod([input.shape[d] for "
                    "d in axes(dim, input)], dtype=float)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), [0, -1], True)",
                      "(randn(2, 0), 1)", "(randn(0),)", "(randn(),)", "(arange(7),)",
                      "(full((3,), 40000.0),)"},
      },
      {
          .signature = "nansum(Tensor input, int[]? dim=None, bool keepdim=False, *, DType? "
                       "dtype=None) -> Tensor",
          .doc = "`sum` of what is not NaN; NaN receives no gradient.",
          .composition = compose<&nansum>,
          .oracle = "np.nansum(input if dtype is None else input.astype(dtype), axis=axes(dim), "
                    "keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), [0, -1], True)",
                      "(randn(2, 0), 1)", "(randn(),)", "(arange(7),)",
                      "(array([[1.0, nan, 2.0], [nan, nan, nan]]), 1)"},
      },
      {
          .signature = "nanmean(Tensor input, int[]? dim=None, bool keepdim=False, *, DType? "
                       "dtype=None) -> Tensor",
          .doc = "`mean` of what is not NaN, NaN where there is nothing else; NaN receives no "
                 "gradient.",
          .composition = compose<&nanmean>,
          .oracle = R"(
count = np.sum(~np.isnan(input), axis=axes(dim), keepdims=keepdim)
return np.nansum(input, axis=axes(dim), keepdims=keepdim) / count
)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), [0, -1], True)",
                      "(randn(2, 0), 1)", "(randn(),)", "(arange(7),)",
                      "(array([[1.0, nan, 2.0], [nan, nan, nan]]), 1)"},
      },
      {
          .signature = "var(Tensor input, int[]? dim=None, *, int correction=1, bool "
                       "keepdim=False) -> Tensor",
          .doc = "The variance: squared distances to the mean, summed, over count - correction "
                 "(NaN where that is 0 or less and the sum 0). Two passes, in f32 for halves.",
          .composition = compose<&var>,
          .oracle = "np.var(input, axis=axes(dim), ddof=correction, keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)",
                      "(randn(2, 3, 4), [0, -1], "
                      "correction=0, keepdim=True)",
                      "(full((3,), 4000.0),)", "(randn(1, 3), 0)", "(randn(0, 3), 1)",
                      "(randn(7) + 100.0, 0)"},
      },
      {
          .signature = "std(Tensor input, int[]? dim=None, *, int correction=1, bool "
                       "keepdim=False) -> Tensor",
          .doc = "The square root of `var`. Its gradient is 0 where the variance is 0.",
          .composition = compose<&std>,
          .oracle = "np.std(input, axis=axes(dim), ddof=correction, keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)",
                      "(randn(2, 3, 4), [0, -1], "
                      "correction=0, keepdim=True)",
                      "(full((3,), 4.0),)", "(randn(0, 3), 1)"},
      },
      {
          .signature = "amax(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          .doc = "The largest element over `dim`; NaN wins. Equal largest elements share the "
                 "gradient evenly. UserError for an empty dim.",
          .composition = compose<&amax>,
          .oracle = "np.max(input, axis=axes(dim), keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), [0, -1], True)",
                      "(array([[2.0, 2.0, 1.0], [3.0, 3.0, 3.0]]), 1)", "(randn(2, 0), 0)",
                      "(array([1.0, nan, 2.0]),)", "(arange(5),)", "(randn(),)"},
      },
      {
          .signature = "amin(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          .doc = "The smallest element over `dim`; NaN wins. Equal smallest elements share the "
                 "gradient evenly. UserError for an empty dim.",
          .composition = compose<&amin>,
          .oracle = "np.min(input, axis=axes(dim), keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), [0, -1], True)",
                      "(array([[2.0, 2.0, 1.0], [3.0, 3.0, 3.0]]), 1)", "(randn(2, 0), 0)",
                      "(array([1.0, nan, 2.0]),)", "(arange(5),)"},
      },
      {
          .signature = "max(Tensor input) -> Tensor",
          .doc = "The largest of all elements (`amax`). With a dim: `max_dim`; of two tensors: "
                 "`maximum`.",
          .composition = compose<kMax>,
          .oracle = "np.max(input)",
          .samples = {"(randn(3, 5),)", "(full((4,), 2.0),)", "(randn(),)"},
      },
      {
          .signature = "min(Tensor input) -> Tensor",
          .doc = "The smallest of all elements (`amin`). With a dim: `min_dim`; of two tensors: "
                 "`minimum`.",
          .composition = compose<kMin>,
          .oracle = "np.min(input)",
          .samples = {"(randn(3, 5),)", "(full((4,), 2.0),)", "(randn(),)"},
      },
      {
          .signature = "max_dim(Tensor input, int dim, bool keepdim=False) -> (Tensor, Tensor)",
          .doc = "The largest element along `dim` and the i64 index of the first one: PyTorch's "
                 "max(input, dim). Equal largest elements share the gradient evenly.",
          .composition = compose<&max_dim>,
          .oracle = "(np.max(input, axis=dim, keepdims=keepdim), np.argmax(input, axis=dim, "
                    "keepdims=keepdim))",
          .samples = {"(randn(3, 5), 1)", "(randn(2, 3, 4), -2, True)",
                      "(array([[2.0, 2.0, 1.0], [3.0, 3.0, 3.0]]), 1)", "(arange(5), 0)"},
      },
      {
          .signature = "min_dim(Tensor input, int dim, bool keepdim=False) -> (Tensor, Tensor)",
          .doc = "The smallest element along `dim` and the i64 index of the first one: PyTorch's "
                 "min(input, dim). Equal smallest elements share the gradient evenly.",
          .composition = compose<&min_dim>,
          .oracle = "(np.min(input, axis=dim, keepdims=keepdim), np.argmin(input, axis=dim, "
                    "keepdims=keepdim))",
          .samples = {"(randn(3, 5), 1)", "(randn(2, 3, 4), -2, True)",
                      "(array([[2.0, 2.0, 1.0], [3.0, 3.0, 3.0]]), 1)", "(arange(5), 0)"},
      },
      {
          .signature = "argmax(Tensor input, int? dim=None, bool keepdim=False) -> Tensor",
          .doc = "The i64 index of the first largest element along `dim`, or in row-major order of "
                 "all; NaN wins. UserError for an empty dim.",
          .composition = compose<&argmax>,
          .oracle = "np.argmax(input, axis=dim, keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), -2, True)",
                      "(full((33,), 2.0),)", "(array([1.0, nan, 2.0, nan]),)",
                      "(randint(0, 3, 50), 0)", "(randn(2, 3), keepdim=True)"},
          .differentiable = false,
      },
      {
          .signature = "argmin(Tensor input, int? dim=None, bool keepdim=False) -> Tensor",
          .doc = "The i64 index of the first smallest element along `dim`, or in row-major order "
                 "of all; NaN wins. UserError for an empty dim.",
          .composition = compose<&argmin>,
          .oracle = "np.argmin(input, axis=dim, keepdims=keepdim)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1)", "(randn(2, 3, 4), -2, True)",
                      "(full((33,), 2.0),)", "(array([1.0, nan, 2.0, nan]),)",
                      "(randint(0, 3, 50), 0)"},
          .differentiable = false,
      },
      {
          .signature = "any(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          .doc = "True where one element over `dim` is unequal to 0; False where empty.",
          .composition = compose<&any>,
          .oracle = "np.any(input, axis=axes(dim), keepdims=keepdim)",
          .samples = {"(randint(0, 2, 3, 5) > 0, 1)", "(array([0.0, nan]),)", "(randn(2, 0), 1)",
                      "(full((2, 3), 0.0), [0, 1], True)"},
          .differentiable = false,
      },
      {
          .signature = "all(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          .doc = "True where all elements over `dim` are unequal to 0; True where empty.",
          .composition = compose<&all>,
          .oracle = "np.all(input, axis=axes(dim), keepdims=keepdim)",
          .samples = {"(randint(0, 2, 3, 5) > 0, 1)", "(array([1.0, nan]),)", "(randn(2, 0), 1)",
                      "(full((2, 3), 1.0), [0, 1], True)"},
          .differentiable = false,
      },
      {
          .signature = "logsumexp(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          .doc = "log(sum(exp(input))) over `dim`, shifted by the maximum. -inf of only -inf (with "
                 "gradient 0) and of an empty dim; +inf where one is.",
          .composition = compose<&logsumexp>,
          .oracle = "np.logaddexp.reduce(input, axis=axes(dim), keepdims=keepdim, initial=-np.inf)",
          .samples = {"(randn(3, 5), 1)", "(randn(2, 3, 4), -2, True)", "(randn(2, 3, 4), [0, 2])",
                      "(randn(3),)", "(randn(),)", "(array([-inf, -inf]), 0)",
                      "(array([inf, 1.0]), 0)", "(array([1000.0, 1000.0]), 0)", "(randn(3, 0), 1)",
                      "(randn(0, 3), 1)"},
      },
      {
          .signature = "norm(Tensor input, float p=2.0, int[]? dim=None, bool keepdim=False) -> "
                       "Tensor",
          .doc =
              "The vector p-norm over `dim` (all dims without it): sum(|x|^p)^(1/p), the largest "
              "|x| for inf, the smallest for -inf, the number of nonzeros for 0. The gradient at "
              "0 is 0.",
          .composition = compose<&norm>,
          .oracle = R"(
a = np.abs(input)
if np.isinf(p):
    return (np.max if p > 0 else np.min)(a, axis=axes(dim), keepdims=keepdim)
if p == 0:
    return np.sum(a != 0, axis=axes(dim), keepdims=keepdim).astype(float)
return np.sum(a**p, axis=axes(dim), keepdims=keepdim) ** (1 / p)
)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 1.0, 1)", "(randn(3, 5), 3.0, 0, True)",
                      "(randn(3, 5), inf, 1)", "(randn(3, 5), -inf, 1)", "(array([0.0, 3.0]), 0.0)",
                      "(full((4,), 0.0),)", "(full((4,), 0.0), 1.5)", "(randn(0, 3),)"},
      },
  };
}

}  // namespace plait
