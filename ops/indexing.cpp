// Ops that read or write at positions held in integer tensors.
#include <algorithm>

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

void check_index(const Tensor& index) {
  detail::graph_of({&index});
  PLAIT_CHECK(is_integer(index.dtype()), op_name(), "indices must be integers; got {}",
              to_string(index.type()));
}

// The rules that gather and the scatters share: equal ranks, no dim but `axis` longer than the
// other tensor's.
void check_along(const Tensor& x, int64_t axis, const Tensor& index, std::string_view name) {
  check_index(index);
  PLAIT_CHECK(x.rank() == index.rank(), op_name(),
              "ranks must agree; got {}: {}, index: {}; rank {} != {}", name, to_string(x.type()),
              to_string(index.type()), x.rank(), index.rank());
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (i == axis) continue;
    PLAIT_CHECK(prove_less(x.shape()[i], index.shape()[i], {}) != true, op_name(),
                "index must not be larger; got {}: {}, index: {}; axis {}: {} < {}", name,
                to_string(x.type()), to_string(index.type()), i, to_string(x.shape()[i]),
                to_string(index.shape()[i]));
  }
}

std::vector<Expr> map_along(int64_t rank, int64_t axis) {
  std::vector<Expr> map = axis_variables(rank);
  map[axis] = detail::element_at(0, rank);
  return map;
}

// The first elements of src, in the shape of the index.
Tensor trim(const Tensor& src, const Tensor& index) {
  Tensor result = src;
  for (int64_t i = 0; i < src.rank(); ++i) {
    if (src.shape()[i] != index.shape()[i]) result = slice(result, i, 0, index.shape()[i]);
  }
  return result;
}

// Negative positions count from the end.
Tensor wrap_negative(const Tensor& index, Expr size) {
  check_index(index);
  if (!is_signed(index.dtype())) return index;
  return where(lt(index, 0), add(index, size), index);
}

Tensor scatter_along(const Tensor& input, int64_t dim, const Tensor& index, const Tensor& src,
                     std::optional<ReduceOp> function) {
  const int64_t axis = detail::normalize_axis(dim, input);
  check_along(input, axis, index, "input");
  check_along(src, -1, index, "src");
  PLAIT_CHECK(src.dtype() == input.dtype(), op_name(),
              "dtypes must agree; got input: {}, src: {}. hint: cast one of them",
              to_string(input.type()), to_string(src.type()));
  Graph& graph = *input.graph();
  const Value updates = detail::value_in(graph, trim(src, index));
  const Value positions = detail::value_in(graph, index);
  std::vector<Expr> map = map_along(input.rank(), axis);
  if (!function) {
    return {input.graph(), meta::scatter_replace(graph, input.value(), updates, std::move(map),
                                                 {positions}, OutOfRange::error)};
  }
  return {input.graph(), meta::scatter(graph, *function, input.value(), updates, std::move(map),
                                       {positions}, OutOfRange::error)};
}

// Advanced indexing of `dims` by tensors that broadcast to one shape, which stands where the
// dims stood if they follow one another, else in front (numpy's rule).
struct AdvancedIndex {
  std::vector<int64_t> dims;
  std::vector<Tensor> indices;  // of one shape
  Shape result;
  std::vector<Expr> map;  // per axis of the input, over the result's axes
};

AdvancedIndex advanced_index(const Tensor& input, const IntList& dims,
                             const std::vector<Tensor>& indices) {
  PLAIT_CHECK(dims.size() == indices.size() && dims.size() > 0, op_name(),
              "one index tensor per dim is needed; got {} dims and {} tensors", dims.size(),
              indices.size());
  AdvancedIndex result;
  for (int64_t dim : dims) {
    const int64_t axis = detail::normalize_axis(dim, input);
    PLAIT_CHECK(result.dims.empty() || result.dims.back() < axis, op_name(),
                "dims must rise; got dim {} for {}", dim, to_string(input.type()));
    result.dims.push_back(axis);
  }
  Shape shape;
  for (size_t i = 0; i < indices.size(); ++i) {
    const Expr size = input.shape()[result.dims[i]];
    result.indices.push_back(detail::tensor_in(input.graph(), wrap_negative(indices[i], size)));
    shape = detail::broadcast_shapes(shape, indices[i].shape(), indices[0], indices[i]);
  }
  for (Tensor& index : result.indices) index = detail::broadcast_to_shape(index, shape);
  const auto count = static_cast<int64_t>(result.dims.size());
  const bool together = result.dims.back() - result.dims.front() == count - 1;
  const int64_t first = together ? result.dims.front() : 0;
  std::vector<Expr> at;
  for (size_t k = 0; k < shape.size(); ++k) at.push_back(axis_variable(first + k));
  result.map.resize(input.rank());
  uint32_t next_index = 0;
  for (int64_t i = 0; i < input.rank(); ++i) {
    if (static_cast<int64_t>(result.result.size()) == first) {
      result.result.insert(result.result.end(), shape.begin(), shape.end());
    }
    if (std::find(result.dims.begin(), result.dims.end(), i) != result.dims.end()) {
      result.map[i] = Expr::element(next_index++, at);
      continue;
    }
    // After an empty index shape the insertion above adds nothing, so positions stay right.
    result.map[i] = axis_variable(static_cast<int64_t>(result.result.size()));
    result.result.push_back(input.shape()[i]);
  }
  return result;
}

}  // namespace

Tensor embedding(const Tensor& input, const Tensor& weight, std::optional<int64_t> padding_idx) {
  OpScope op("embedding");
  check_index(input);
  detail::graph_of({&weight});
  PLAIT_CHECK(weight.rank() == 2, op_name(), "weight must be (entries, features); got {}",
              to_string(weight.type()));
  Shape shape = input.shape();
  shape.push_back(weight.shape()[1]);
  const Tensor rows = detail::reindex(
      weight, shape, {detail::element_at(0, input.rank()), axis_variable(input.rank())}, {},
      {input}, OutOfRange::error);
  if (!padding_idx) return rows;
  const Tensor padding = unsqueeze(eq(input, *padding_idx), -1);
  return where(padding, detach(rows), rows);
}

Tensor gather(const Tensor& input, int64_t dim, const Tensor& index) {
  OpScope op("gather");
  const int64_t axis = detail::normalize_axis(dim, input);
  check_along(input, axis, index, "input");
  return detail::reindex(input, index.shape(), map_along(input.rank(), axis), {}, {index},
                         OutOfRange::error);
}

Tensor index_select(const Tensor& input, int64_t dim, const Tensor& index) {
  OpScope op("index_select");
  const int64_t axis = detail::normalize_axis(dim, input);
  check_index(index);
  PLAIT_CHECK(index.rank() == 1, op_name(), "index must have one dim; got {}",
              to_string(index.type()));
  Shape shape = input.shape();
  shape[axis] = index.shape()[0];
  std::vector<Expr> map = axis_variables(input.rank());
  map[axis] = Expr::element(0, {axis_variable(axis)});
  return detail::reindex(input, shape, std::move(map), {}, {index}, OutOfRange::error);
}

Tensor take(const Tensor& input, const Tensor& index) {
  OpScope op("take");
  const Tensor flat = flatten(input);
  const Tensor position = wrap_negative(index, flat.shape()[0]);
  return detail::reindex(flat, index.shape(), {detail::element_at(0, index.rank())}, {}, {position},
                         OutOfRange::error);
}

Tensor index(const Tensor& input, const IntList& dims, const std::vector<Tensor>& indices) {
  OpScope op("index");
  detail::graph_of({&input});
  AdvancedIndex at = advanced_index(input, dims, indices);
  return detail::reindex(input, at.result, std::move(at.map), {}, at.indices, OutOfRange::error);
}

Tensor index_put(const Tensor& input, const IntList& dims, const std::vector<Tensor>& indices,
                 const Operand& values, bool accumulate) {
  OpScope op("index_put");
  detail::graph_of({&input});
  AdvancedIndex at = advanced_index(input, dims, indices);
  Graph& graph = *input.graph();
  const Tensor source = detail::as_tensor(input.graph(), values, input.dtype());
  const Value updates =
      detail::broadcast_to_shape(detail::cast_to(source, input.dtype()), at.result).value();
  std::vector<Value> positions;
  for (const Tensor& index : at.indices) positions.push_back(index.value());
  const Value result =
      accumulate ? meta::scatter(graph, ReduceOp::sum, input.value(), updates, std::move(at.map),
                                 std::move(positions), OutOfRange::error)
                 : meta::scatter_replace(graph, input.value(), updates, std::move(at.map),
                                         std::move(positions), OutOfRange::error);
  return {input.graph(), result};
}

Tensor one_hot(const Tensor& input, int64_t num_classes) {
  OpScope op("one_hot");
  check_index(input);
  PLAIT_CHECK(num_classes >= 1, op_name(), "num_classes must be at least 1; got {}", num_classes);
  // The classes read at the index are the index itself, checked against their number.
  const Tensor classes = detail::iota(input.graph(), {num_classes}, 0, DType::i64);
  const Tensor checked =
      detail::reindex(classes, input.shape(), {detail::element_at(0, input.rank())}, {}, {input},
                      OutOfRange::error);
  return detail::cast_to(eq(unsqueeze(checked, -1), classes), DType::i64);
}

Tensor masked_fill(const Tensor& input, const Tensor& mask, const Operand& value) {
  OpScope op("masked_fill");
  detail::graph_of({&input, &mask});
  const Tensor fill =
      detail::cast_to(detail::as_tensor(input.graph(), value, input.dtype()), input.dtype());
  return where(mask, fill, input);
}

Tensor masked_scatter(const Tensor& input, const Tensor& mask, const Tensor& source) {
  OpScope op("masked_scatter");
  detail::graph_of({&input, &mask, &source});
  PLAIT_CHECK(mask.dtype() == DType::boolean && source.dtype() == input.dtype(), op_name(),
              "mask must be bool and source of input's dtype; got input: {}, mask: {}, source: {}",
              to_string(input.type()), to_string(mask.type()), to_string(source.type()));
  const Tensor full =
      detail::broadcast_to_shape(detail::tensor_in(input.graph(), mask), input.shape());
  const Tensor number = sub(cumsum(detail::cast_to(flatten(full), DType::i64), 0), 1);
  const Tensor position = where(flatten(full), number, 0);
  const Tensor taken = reshape(take(source, position), input.shape());
  return where(full, taken, input);
}

Tensor scatter(const Tensor& input, int64_t dim, const Tensor& index, const Operand& src) {
  OpScope op("scatter");
  detail::graph_of({&input, &index});
  const Tensor source =
      src.is_tensor() ? src.tensor()
                      : detail::broadcast_to_shape(
                            detail::as_tensor(input.graph(), src, input.dtype()), index.shape());
  return scatter_along(input, dim, index, source, std::nullopt);
}

Tensor scatter_add(const Tensor& input, int64_t dim, const Tensor& index, const Tensor& src) {
  OpScope op("scatter_add");
  detail::graph_of({&input, &index, &src});
  return scatter_along(input, dim, index, src, ReduceOp::sum);
}

Tensor scatter_reduce(const Tensor& input, int64_t dim, const Tensor& index, const Tensor& src,
                      const std::string& reduce) {
  OpScope op("scatter_reduce");
  detail::graph_of({&input, &index, &src});
  const std::pair<std::string_view, ReduceOp> functions[] = {{"sum", ReduceOp::sum},
                                                             {"prod", ReduceOp::prod},
                                                             {"amax", ReduceOp::max},
                                                             {"amin", ReduceOp::min}};
  for (const auto& [name, function] : functions) {
    if (name == reduce) return scatter_along(input, dim, index, src, function);
  }
  PLAIT_CHECK(false, op_name(), "reduce must be 'sum', 'prod', 'amax' or 'amin'; got '{}'", reduce);
}

Tensor index_add(const Tensor& input, int64_t dim, const Tensor& index, const Tensor& source,
                 const Operand& alpha) {
  OpScope op("index_add");
  detail::graph_of({&input, &index, &source});
  const int64_t axis = detail::normalize_axis(dim, input);
  check_index(index);
  PLAIT_CHECK(index.rank() == 1 && source.rank() == input.rank() &&
                  prove_equal(index.shape()[0], source.shape()[axis], {}) != false,
              op_name(),
              "source must have one part per index along dim {}; got source: {}, index: "
              "{}",
              axis, to_string(source.type()), to_string(index.type()));
  for (int64_t i = 0; i < input.rank(); ++i) {
    PLAIT_CHECK(i == axis || prove_equal(input.shape()[i], source.shape()[i], {}) != false,
                op_name(), "sizes must agree; got input: {}, source: {}; axis {}: {} != {}",
                to_string(input.type()), to_string(source.type()), i, to_string(input.shape()[i]),
                to_string(source.shape()[i]));
  }
  const Tensor updates = detail::cast_to(mul(source, alpha), input.dtype());
  Graph& graph = *input.graph();
  std::vector<Expr> map = axis_variables(input.rank());
  map[axis] = Expr::element(0, {axis_variable(axis)});
  return {input.graph(),
          meta::scatter(graph, ReduceOp::sum, input.value(), detail::value_in(graph, updates),
                        std::move(map), {detail::value_in(graph, index)}, OutOfRange::error)};
}

std::vector<OpRecord> indexing_ops() {
  return {
      {
          .signature = "embedding(Tensor input, Tensor weight, int? padding_idx=None) -> Tensor",
          .doc =
              "Rows of weight (entries, features) at the integers of input: (…, features). A run "
              "fails for an index outside [0, entries). The row `padding_idx` gets no gradient.",
          .composition = compose<&embedding>,
          .oracle = "weight[input]",
          .samples = {"(randint(0, 7, 3, 5), randn(7, 4))", "(randint(0, 7, 3), randn(7, 4), 2)",
                      "(array([1, 1, 0]), randn(3, 1))", "(array(2), randn(3, 4))",
                      "(randint(0, 7, 0), randn(7, 4))"},
      },
      {
          .signature = "gather(Tensor input, int dim, Tensor index) -> Tensor",
          .doc = "The element of input at index along `dim`, at each position of index: "
                 "result[i][j] = input[index[i][j]][j] for dim 0. A run fails for an index outside "
                 "the dim.",
          .composition = compose<&gather>,
          .oracle = "np.take_along_axis(input[tuple(slice(None if d == dim % input.ndim "
                    "else n) for d, n in enumerate(index.shape))], index, dim)",
          .samples = {"(randn(3, 5), 1, randint(0, 5, 3, 2))",
                      "(randn(3, 5), 0, randint(0, 3, 2, 4))", "(randn(4), 0, array([1, 1, 0]))",
                      "(randn(3, 5), -1, randint(0, 5, 0, 2))"},
      },
      {
          .signature = "index_select(Tensor input, int dim, Tensor index) -> Tensor",
          .doc = "The positions of `dim` named by a vector. A run fails for an index outside it.",
          .composition = compose<&index_select>,
          .oracle = "np.take(input, index, dim)",
          .samples = {"(randn(3, 5), 1, array([4, 0, 0]))", "(randn(3, 5), 0, array([2]))",
                      "(randn(3, 5), 0, randint(0, 3, 0))"},
      },
      {
          .signature = "take(Tensor input, Tensor index) -> Tensor",
          .doc = "Elements at positions of the flat input, in the shape of index; negative "
                 "positions count from the end. A run fails for a position outside.",
          .composition = compose<&take>,
          .oracle = "np.take(input, index)",
          .samples = {"(randn(3, 5), randint(-15, 15, 2, 4))", "(randn(3), array([1, 1, 0]))",
                      "(randn(3), array(-1))"},
      },
      {
          .signature = "index(Tensor input, int[] dims, Tensor[] indices) -> Tensor",
          .doc = "Indexing of several dims (rising) by integer tensors that broadcast together, as "
                 "numpy's x[:, i, j]: their shape replaces the dims if these follow one another, "
                 "else it comes first. Negative positions count from the end; a run fails for a "
                 "position outside.",
          .composition = compose<&index>,
          .oracle = "input[tuple(indices[list(dims).index(d)] if d in list(dims) else "
                    "slice(None) for d in range(input.ndim))]",
          .samples = {"(randn(3, 5), [0], [array([2, 0, -1])])",
                      "(randn(3, 5, 4), [1, 2], [randint(0, 5, 2, 1), randint(0, 4, 3)])",
                      "(randn(3, 5, 4), [0, 2], [randint(0, 3, 2, 1), randint(0, 4, 3)])",
                      "(randn(3, 5), [0, 1], [array(1), array(-2)])",
                      "(randn(3, 5), 1, [array(1)])"},
      },
      {
          .signature = "index_put(Tensor input, int[] dims, Tensor[] indices, Operand values, bool "
                       "accumulate=False) -> Tensor",
          .doc =
              "input with values (broadcast) written, or added with `accumulate`, where `index` "
              "would read. Of several values for one place the last in row-major order stays and "
              "alone receives gradient.",
          .composition = compose<&index_put>,
          .oracle = R"(
out = np.array(input)
key = tuple(indices[list(dims).index(d)] if d in list(dims) else slice(None)
            for d in range(input.ndim))
if accumulate:
    np.add.at(out, key, values)
else:
    out[key] = values
return out
)",
          .samples = {"(randn(3, 5), [0], [array([2, 0])], randn(2, 5))",
                      "(randn(3, 5), [0], [array([1, 1])], randn(2, 5), True)",
                      "(randn(3, 5, 4), [0, 2], [array([0, -1]), array([1, 3])], 7.0)"},
      },
      {
          .signature = "one_hot(Tensor input, int num_classes) -> Tensor",
          .doc =
              "i64 vectors with a single 1 at the input's integer: (…, num_classes). A run fails "
              "for an integer outside [0, num_classes).",
          .composition = compose<&one_hot>,
          .oracle = "np.eye(num_classes, dtype=int)[input]",
          .samples = {"(randint(0, 4, 3, 5), 4)", "(array(2), 3)", "(randint(0, 4, 0), 4)"},
          .differentiable = false,
      },
      {
          .signature = "masked_fill(Tensor input, Tensor mask, Operand value) -> Tensor",
          .doc = "value (in input's dtype) where the mask (bool, broadcast) holds, else input.",
          .composition = compose<&masked_fill>,
          .oracle = "np.where(mask, value, input)",
          .samples = {"(randn(3, 5), randn(3, 5) > 0, -inf)", "(randn(3, 5), randn(5) > 0, 0.0)",
                      "(arange(4), arange(4) > 2, 7)", "(randn(0), randn(0) > 0, 1.0)"},
      },
      {
          .signature = "masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor",
          .doc = "input with the elements where the mask (bool, broadcast) holds replaced, in "
                 "row-major order, by the first elements of source. A run fails if source is too "
                 "short.",
          .composition = compose<&masked_scatter>,
          .oracle = R"(
out = np.array(input)
full = np.broadcast_to(mask, input.shape)
out[full] = source.reshape(-1)[:full.sum()]
return out
)",
          .samples = {"(randn(3, 5), randn(3, 5) > 0, randn(15))",
                      "(randn(3, 2), array([[True], [False], [True]]), randn(2, 2))"},
      },
      {
          .signature = "scatter(Tensor input, int dim, Tensor index, Operand src) -> Tensor",
          .doc = "input with src written at index along `dim`, the inverse of `gather`. Of several "
                 "values for one place the last in row-major order stays and alone receives "
                 "gradient.",
          .composition = compose<&scatter>,
          .oracle = R"(
out = np.array(input)
for at in np.ndindex(*index.shape):
    key = list(at)
    key[dim] = index[at]
    out[tuple(key)] = src[at] if np.ndim(src) else src
return out
)",
          .samples = {"(randn(3, 5), 1, randint(0, 5, 3, 2), randn(3, 4))",
                      "(randn(3), 0, array([0, 0]), randn(2))",
                      "(randn(3, 5), 0, randint(0, 3, 2, 4), 7.0)"},
      },
      {
          .signature = "scatter_add(Tensor input, int dim, Tensor index, Tensor src) -> Tensor",
          .doc = "input with src added at index along `dim`: the gradient of `gather`. Repeated "
                 "positions add up, in a fixed order. A run fails for an index outside the dim.",
          .composition = compose<&scatter_add>,
          .oracle = R"(
out = np.array(input)
for at in np.ndindex(*index.shape):
    key = list(at)
    key[dim] = index[at]
    out[tuple(key)] += src[at]
return out
)",
          .samples = {"(full((3,), 0.0), 0, array([0, 0, 2]), array([1.0, 2.0, 3.0]))",
                      "(randn(3, 5), 1, randint(0, 5, 3, 2), randn(3, 4))",
                      "(randn(3, 5), 0, randint(0, 3, 0, 5), randn(0, 5))"},
      },
      {
          .signature =
              "scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce) "
              "-> Tensor",
          .doc = "input combined with src at index along `dim` by 'sum', 'prod', 'amax' or 'amin'. "
                 "Equal extrema share the gradient.",
          .composition = compose<&scatter_reduce>,
          .oracle = R"(
out = np.array(input)
function = {'sum': np.add, 'prod': np.multiply, 'amax': np.maximum, 'amin': np.minimum}[reduce]
for at in np.ndindex(*index.shape):
    key = list(at)
    key[dim] = index[at]
    out[tuple(key)] = function(out[tuple(key)], src[at])
return out
)",
          .samples = {"(randn(3), 0, array([0, 0, 2]), randn(3), 'sum')",
                      "(randn(3), 0, array([0, 0, 2]), randn(3), 'prod')",
                      "(randn(3, 5), 1, randint(0, 5, 3, 2), randn(3, 4), 'amax')",
                      "(randn(3, 5), 1, randint(0, 5, 3, 2), randn(3, 4), 'amin')",
                      "(array([0.0, 2.0, 0.0]), 0, array([0, 0, 1, 1, 2, 2]), "
                      "array([3.0, 4.0, 0.0, 5.0, 0.0, 6.0]), 'prod')",
                      "(array([1.0, nan, 2.0]), 0, array([0, 1, 2]), array([1.0, 1.0, 3.0]), "
                      "'amax')"},
      },
      {
          .signature = "index_add(Tensor input, int dim, Tensor index, Tensor source, *, Operand "
                       "alpha=1) -> Tensor",
          .doc = "input with alpha * source added at the positions of `dim` named by a vector.",
          .composition = compose<&index_add>,
          .oracle = R"(
out = np.array(input)
np.add.at(np.moveaxis(out, dim, 0), index, alpha * np.moveaxis(source, dim, 0))
return out
)",
          .samples = {"(randn(3, 5), 0, array([2, 0, 2, 1]), randn(4, 5))",
                      "(randn(3, 5), 1, array([4, 4]), randn(3, 2), alpha=0.5)",
                      "(randn(3, 5), 0, randint(0, 3, 0), randn(0, 5))"},
      },
  };
}

}  // namespace plait
