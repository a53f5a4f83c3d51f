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
  if (detail::names_rank_zero(dim, input)) {
    return squeeze(scan(op, unsqueeze(input, 0), 0, dtype));
  }
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

// The value at a position from 0 to n - 1 between the sorted ones; below and above are whole.
Tensor between(const Tensor& below, const Tensor& above, const Tensor& part,
               const std::string& interpolation) {
  if (interpolation == "lower") return below;
  if (interpolation == "higher") return where(gt(part, 0.0), above, below);
  if (interpolation == "nearest") return where(gt(part, 0.5), above, below);
  const Tensor weight = interpolation == "midpoint" ? where(gt(part, 0.0), 0.5, part) : part;
  const Tensor alone = logical_and(eq(weight, 0.0), isinf(above));
  return where(alone, below, lerp(below, above, weight));
}

// Along `axis` of x, which goes; several quantiles are a first axis.
Tensor quantiles(const Tensor& x, const Operand& q, int64_t axis, const std::string& mode) {
  PLAIT_CHECK(mode == "linear" || mode == "lower" || mode == "higher" || mode == "midpoint" ||
                  mode == "nearest",
              op_name(),
              "interpolation must be 'linear', 'lower', 'higher', 'midpoint' or 'nearest'; got "
              "'{}'",
              mode);
  const bool several = q.is_tensor() && q.tensor().rank() == 1;
  const DType wide = compute_type(x.dtype());
  const Tensor last =
      detail::as_tensor(x.graph(), simplify(x.shape()[axis] - Expr(1), {}), DType::i64);
  const Tensor share = detail::cast_to(detail::as_tensor(x.graph(), q, wide), wide);
  const Tensor at = mul(share, detail::cast_to(last, wide));
  const Tensor position = floor(at);
  const Tensor below = minimum(maximum(to(position, DType::i64), 0), last);
  const Tensor above = minimum(add(below, 1), last);
  const Tensor order = order_along(x, axis, false);
  Shape shape = x.shape();
  shape.erase(shape.begin() + axis);
  if (several) shape.insert(shape.begin(), share.shape()[0]);
  std::vector<Expr> map = axis_variables(static_cast<int64_t>(shape.size()));
  if (several) map.erase(map.begin());
  const std::vector<Expr> index =
      several ? std::vector<Expr>{detail::axis_variable(0)} : std::vector<Expr>{};
  map.insert(map.begin() + axis, Expr::element(0, index));
  const Tensor sorted = detail::wide(permuted(x, axis, order));
  auto read = [&](const Tensor& where) { return detail::reindex(sorted, shape, map, {}, {where}); };
  const std::vector<int64_t> axes = several ? std::vector<int64_t>{0} : std::vector<int64_t>{};
  const Tensor part = detail::broadcast(sub(at, position), shape, axes);
  const Tensor value = between(read(below), read(above), part, mode);
  // NaN is sorted last, and one of them makes all quantiles NaN.
  const Tensor greatest = read(detail::broadcast_to_shape(last, below.shape()));
  return detail::cast_to(where(isnan(greatest), greatest, value), x.dtype());
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
  if (detail::names_rank_zero(dim, input)) return detail::to_float(input);
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
  if (detail::names_rank_zero(dim, input)) return {input, zeros_like(input, DType::i64)};
  const int64_t axis = detail::normalize_axis(dim, input);
  const Tensor order = order_along(input, axis, descending);
  return {permuted(input, axis, order), order};
}

Tensor argsort(const Tensor& input, int64_t dim, bool descending, bool /*stable*/) {
  OpScope op("argsort");
  if (detail::names_rank_zero(dim, input)) return zeros_like(input, DType::i64);
  return order_along(input, detail::normalize_axis(dim, input), descending);
}

std::tuple<Tensor, Tensor> topk(const Tensor& input, int64_t k, int64_t dim, bool largest,
                                bool /*sorted*/) {
  OpScope op("topk");
  if (detail::names_rank_zero(dim, input)) {
    PLAIT_CHECK(k == 0 || k == 1, op_name(), "k must lie in [0, 1]; got k {} for {}", k,
                to_string(input.type()));
    auto [values, order] = topk(unsqueeze(input, 0), k, 0, largest);
    if (k == 1) return {squeeze(values), squeeze(order)};
    return {values, order};
  }
  const int64_t axis = detail::normalize_axis(dim, input);
  PLAIT_CHECK(k >= 0 && prove_less(input.shape()[axis], k, {}) != true, op_name(),
              "k must lie in [0, size]; got k {} for {}; dim {} has size {}", k,
              to_string(input.type()), axis, to_string(input.shape()[axis]));
  const Tensor order = slice(order_along(input, axis, largest), axis, 0, k);
  return {permuted(input, axis, order), order};
}

std::tuple<Tensor, Tensor> kthvalue(const Tensor& input, int64_t k, int64_t dim, bool keepdim) {
  OpScope op("kthvalue");
  if (detail::names_rank_zero(dim, input)) {
    PLAIT_CHECK(k == 1, op_name(), "k must be 1 for rank 0; got {}", k);
    return {input, zeros_like(input, DType::i64)};
  }
  const int64_t axis = detail::normalize_axis(dim, input);
  PLAIT_CHECK(k >= 1 && prove_less(input.shape()[axis], k, {}) != true, op_name(),
              "k must lie in [1, size]; got k {} for {}; dim {} has size {}", k,
              to_string(input.type()), axis, to_string(input.shape()[axis]));
  const Tensor order = narrow(order_along(input, axis, false), axis, k - 1, 1);
  const Tensor value = permuted(input, axis, order);
  if (keepdim) return {value, order};
  return {select(value, axis, 0), select(order, axis, 0)};
}

Tensor quantile(const Tensor& input, const Operand& q, std::optional<int64_t> dim, bool keepdim,
                const std::string& interpolation) {
  OpScope op("quantile");
  const std::shared_ptr<Graph> graph =
      q.is_tensor() ? detail::graph_of({&input, &q.tensor()}) : detail::graph_of({&input});
  const bool whole = !dim || detail::names_rank_zero(*dim, input);
  const Tensor x = detail::tensor_in(graph, whole ? flatten(input) : input);
  const int64_t axis = whole ? 0 : detail::normalize_axis(*dim, x);
  PLAIT_CHECK(is_float(x.dtype()), op_name(), "input must be a float; got {}",
              to_string(input.type()));
  PLAIT_CHECK(!x.shape()[axis].is_constant(0), op_name(), "an empty dim has no quantiles; got {}",
              to_string(input.type()));
  if (!q.is_tensor()) {
    const double at = q.number().as_double();
    PLAIT_CHECK(at >= 0 && at <= 1, op_name(), "q must lie in [0, 1]; got {}", at);
  } else {
    PLAIT_CHECK(q.tensor().rank() <= 1 && is_float(q.tensor().dtype()), op_name(),
                "q must be a number or a vector of floats; got {}", to_string(q.tensor().type()));
  }
  const Tensor result = quantiles(x, q, axis, interpolation);
  if (!keepdim) return result;
  const bool several = q.is_tensor() && q.tensor().rank() == 1;
  if (!whole) return unsqueeze(result, axis + several);
  Shape shape(input.rank() + several, Expr(1));
  if (several) shape[0] = q.tensor().shape()[0];
  return reshape(result, shape);
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
      {
          .signature = "kthvalue(Tensor input, int k, int dim=-1, bool keepdim=False) -> (Tensor, "
                       "Tensor)",
          .doc = "The k-th smallest element along `dim`, counted from 1, and its i64 position; of "
                 "equal ones the first is the smaller. NaN comes last.",
          .composition = compose<&kthvalue>,
          .oracle = R"(
order = np.take(np.argsort(input, dim, kind='stable'), [k - 1], dim)
value = np.take_along_axis(input, order, dim)
return (value, order) if keepdim else (np.squeeze(value, dim), np.squeeze(order, dim))
)",
          .samples = {"(randn(3, 5), 2)", "(randn(5, 3), 1, 0, True)",
                      "(array([2.0, 1.0, 1.0, 3.0]), 2)", "(array([1.0, nan, 2.0]), 3)",
                      "(randn(0, 4), 2)", "(randint(0, 3, 50), 20)"},
      },
      {
          .signature = "quantile(Tensor input, Operand q, int? dim=None, bool keepdim=False, *, "
                       "str interpolation='linear') -> Tensor",
          .doc = "The element at q * (size - 1), q in [0, 1], of the sorted dim (of all elements "
                 "without it), between two by `interpolation`: 'linear', 'lower', 'higher', "
                 "'midpoint' or 'nearest' (the lower one of two equally near). A vector q adds a "
                 "first dim; entries outside [0, 1] count as the nearer bound. NaN if one element "
                 "is. Halves are computed in f32. UserError for an empty dim, or a number q "
                 "outside [0, 1].",
          .composition = compose<&quantile>,
          .oracle = R"(
if interpolation == 'nearest':
    x = np.sort(input, axis=dim)
    at = np.ceil(np.asarray(q) * ((input.size if dim is None else input.shape[dim]) - 1) - 0.5)
    y = np.take(x, np.maximum(at, 0).astype(int), axis=dim or 0)
    bad = np.isnan(input).any(axis=dim)
    return np.where(bad, np.nan, y)
return np.quantile(input, np.clip(q, 0, 1), axis=dim, keepdims=keepdim, method=interpolation)
)",
          .samples = {"(randn(3, 5), 0.3)", "(randn(3, 5), 0.6, 1)", "(randn(7), 1.0, 0)",
                      "(randn(5, 3), 0.0, 0, True)", "(randn(3, 5), array([0.1, 0.5, 0.9]), 1)",
                      "(randn(2, 3, 4), array([0.25, 1.0]), 1, True)",
                      "(randn(3, 5), array([0.25, 1.0]), keepdim=True)",
                      "(randn(3, 5), 0.3, 1, interpolation='lower')",
                      "(randn(3, 5), 0.3, 1, interpolation='higher')",
                      "(randn(3, 5), 0.3, 1, interpolation='midpoint')",
                      "(randn(3, 6), 0.3, 1, interpolation='nearest')",
                      "(array([1.0, nan, 2.0]), 0.0)", "(array([2.0, 1.0, 1.0, 3.0]), 0.5)",
                      "(randn(),  0.4)", "(randn(0, 3), 0.5, 1)"},
      },
  };
}

}  // namespace plait
