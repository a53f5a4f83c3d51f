// Cumulative ops along a dim, and order.
#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::axis_variables;
using detail::op_name;

Tensor scan(ReduceOp op, const Tensor& input, int64_t dim, std::optional<DType> dtype) {
  const int64_t axis = detail::normalize_axis(dim, input);
  const bool whole = !is_float(input.dtype());
  const DType result = dtype.value_or(whole ? DType::i64 : input.dtype());
  const Tensor x = detail::cast_to(detail::cast_to(input, result), compute_type(result));
  return detail::cast_to({x.graph(), meta::scan(*x.graph(), op, x.value(), axis)}, result);
}

// The values at a permutation along one axis, which is always in range.
Tensor permuted(const Tensor& x, int64_t axis, const Tensor& order) {
  std::vector<Expr> map = axis_variables(x.rank());
  map[axis] = detail::element_at(0, x.rank());
  return detail::reindex(x, order.shape(), std::move(map), {}, {order});
}

Tensor order_along(const Tensor& input, int64_t axis, bool descending) {
  return {input.graph(), meta::sort(*input.graph(), input.value(), axis, descending)};
}

}  // namespace

Tensor cumsum(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
  OpScope op("cumsum");
  return scan(ReduceOp::sum, input, dim, dtype);
}

Tensor cumprod(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
  OpScope op("cumprod");
  return scan(ReduceOp::prod, input, dim, dtype);
}

Tensor logcumsumexp(const Tensor& input, int64_t dim) {
  OpScope op("logcumsumexp");
  const int64_t axis = detail::normalize_axis(dim, input);
  const Expr size = input.shape()[axis];
  const std::optional<int64_t> most = bounds(size, {}).hi;
  PLAIT_CHECK(most.has_value(), op_name(), "the dim needs a bound; got {}",
              to_string(input.type()));
  // Hillis and Steele: after the step of width w each element holds the last 2w of them.
  Tensor x = detail::wide(input);
  for (int64_t width = 1; width < *most; width *= 2) {
    std::vector<Expr> map = axis_variables(x.rank());
    map[axis] = map[axis] - Expr(width);
    const Tensor earlier =
        detail::reindex(x, x.shape(), std::move(map), Scalar(x.dtype(), -detail::kInfinity));
    x = logaddexp(earlier, x);
  }
  return detail::cast_to(x, detail::float_dtype(input));
}

std::tuple<Tensor, Tensor> sort(const Tensor& input, int64_t dim, bool descending,
                                bool /*stable*/) {
  OpScope op("sort");
  const int64_t axis = detail::normalize_axis(dim, input);
  const Tensor order = order_along(input, axis, descending);
  return {permuted(input, axis, order), order};
}

Tensor argsort(const Tensor& input, int64_t dim, bool descending, bool /*stable*/) {
  OpScope op("argsort");
  return order_along(input, detail::normalize_axis(dim, input), descending);
}

std::tuple<Tensor, Tensor> topk(const Tensor& input, int64_t k, int64_t dim, bool largest,
                                bool /*sorted*/) {
  OpScope op("topk");
  const int64_t axis = detail::normalize_axis(dim, input);
  PLAIT_CHECK(k >= 0 && prove_less(input.shape()[axis], k, {}) != true, op_name(),
              "k must lie in [0, size]; got k {} for {}; dim {} has size {}", k,
              to_string(input.type()), axis, to_string(input.shape()[axis]));
  const Tensor order = slice(order_along(input, axis, largest), axis, 0, k);
  return {permuted(input, axis, order), order};
}

std::vector<OpRecord> sorting_ops() {
  return {
      {
          .signature = "cumsum(Tensor input, int dim, *, DType? dtype=None) -> Tensor",
          .doc = "Sums of the elements up to each along `dim`. Halves are summed in f32; integers "
                 "and bools become i64.",
          .composition = compose<&cumsum>,
          .oracle = "np.cumsum(input, dim, dtype)",
          .samples = {"(randn(3, 5), 1)", "(randn(3, 5), 0)", "(arange(7), 0)", "(randn(0, 3), 0)",
                      "(array([True, False, True]), 0)", "(randn(33), -1)"},
      },
      {
          .signature = "cumprod(Tensor input, int dim, *, DType? dtype=None) -> Tensor",
          .doc = "Products of the elements up to each along `dim`. Its gradient is right where "
                 "elements are 0.",
          .composition = compose<&cumprod>,
          .oracle = "np.cumprod(input, dim, dtype)",
          .samples = {"(randn(3, 5), 1)", "(randn(3, 5), 0)", "(arange(1, 7), 0)",
                      "(array([2.0, 0.0, 3.0, 0.0, 4.0]), 0)", "(randn(0, 3), 0)"},
      },
      {
          .signature = "logcumsumexp(Tensor input, int dim) -> Tensor",
          .doc = "log of the cumulative sum of exponentials, each as precise as `logaddexp`; "
                 "leading -inf stay -inf.",
          .composition = compose<&logcumsumexp>,
          .oracle = "np.logaddexp.accumulate(input, dim)",
          .samples = {"(randn(3, 5), 1)", "(randn(7, 2), 0)", "(array([-inf, -inf, 0.0]), 0)",
                      "(array([0.0, 1000.0, -1000.0]), 0)", "(randn(0), 0)", "(randn(1), 0)"},
      },
      {
          .signature = "sort(Tensor input, int dim=-1, bool descending=False, bool stable=False) "
                       "-> (Tensor, Tensor)",
          .doc = "The elements in order along `dim` and their i64 positions before. Always stable; "
                 "NaN comes last.",
          .composition = compose<&sort>,
          .oracle = R"(
key = np.where(np.isnan(input), np.inf, -input) if descending else input
order = np.argsort(key, dim, kind='stable')
return np.take_along_axis(input, order, dim), order
)",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 0, True)", "(array([1.0, nan, 2.0, 0.0]),)",
                      "(randint(0, 3, 50),)", "(array([0.0, -0.0, 0.0]),)", "(randn(0, 3), 0)"},
      },
      {
          .signature = "argsort(Tensor input, int dim=-1, bool descending=False, bool "
                       "stable=False) -> Tensor",
          .doc = "The i64 positions that put `dim` in order. Always stable; NaN comes last.",
          .composition = compose<&argsort>,
          .oracle =
              "np.argsort(np.where(np.isnan(input), np.inf, -input) if descending else input, "
              "dim, kind='stable')",
          .samples = {"(randn(3, 5),)", "(randn(3, 5), 0, True)", "(array([1.0, nan, 2.0, 0.0]),)",
                      "(full((100,), 1.0),)", "(randint(0, 3, 50), descending=True)"},
          .differentiable = false,
      },
      {
          .signature = "topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True) "
                       "-> (Tensor, "
                       "Tensor)",
          .doc = "The k largest (or smallest) elements along `dim`, always in order, and their i64 "
                 "positions; the first of equal ones. NaN comes last.",
          .composition = compose<&topk>,
          .oracle = R"(
key = np.where(np.isnan(input), np.inf, -input) if largest else input
order = np.take(np.argsort(key, dim, kind='stable'), np.arange(k), dim)
return np.take_along_axis(input, order, dim), order
)",
          .samples = {"(randn(3, 5), 2)", "(randn(5, 3), 2, 0, False)", "(full((7,), 1.0), 3)",
                      "(randn(4), 0)", "(array([1.0, nan, 2.0]), 2)"},
      },
  };
}

}  // namespace plait
