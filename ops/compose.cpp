#include "ops/compose.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/index/simplify.h"

namespace plait::detail {
namespace {

std::string_view op_name() {
  const std::string_view name = OpName::current();
  return name.empty() ? "tensor" : name;
}

void check_defined(const Tensor& tensor) {
  PLAIT_CHECK(tensor.defined(), op_name(),
              "got a tensor without a value. hint: it was default-constructed");
}

}  // namespace

std::shared_ptr<Graph> graph_of(std::initializer_list<const Tensor*> tensors) {
  std::shared_ptr<Graph> graph;
  bool one = true;
  for (const Tensor* tensor : tensors) {
    check_defined(*tensor);
    if (!graph) graph = tensor->graph();
    one = one && graph == tensor->graph();
  }
  return one && graph ? graph : current_graph();
}

std::shared_ptr<Graph> graph_of(std::vector<Tensor>& tensors) {
  std::shared_ptr<Graph> graph;
  bool one = true;
  for (const Tensor& tensor : tensors) {
    check_defined(tensor);
    if (!graph) graph = tensor.graph();
    one = one && graph == tensor.graph();
  }
  return one && graph ? graph : current_graph();
}

Value value_in(Graph& graph, const Tensor& tensor) {
  check_defined(tensor);
  const Graph& source = *tensor.graph();
  if (&source == &graph) return tensor.value();
  std::vector<bool> needed(tensor.value() + 1, false);
  needed[tensor.value()] = true;
  for (size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (Value operand : source.node(static_cast<Value>(i)).operands) needed[operand] = true;
  }
  std::vector<Value> map(needed.size(), kNoValue);
  for (Value v = 0; v < needed.size(); ++v) {
    if (!needed[v]) continue;
    const Node& node = source.node(v);
    std::vector<Value> operands;
    for (Value operand : node.operands) operands.push_back(map[operand]);
    map[v] = graph.add(node.op, std::move(operands), node.attributes, node.type);
    for (const Origin& origin : source.origins(v)) graph.add_origin(map[v], origin);
  }
  for (const SizeGuard& guard : source.guards()) graph.add_guard(guard);
  return map[tensor.value()];
}

int64_t normalize_axis(int64_t axis, const Tensor& x) {
  check_defined(x);
  const int64_t rank = x.rank();
  PLAIT_CHECK(axis >= -rank && axis < rank, op_name(),
              "dim out of range; got dim {} for {} of rank {}. hint: dims lie in [{}, {})", axis,
              to_string(x.type()), rank, -rank, rank);
  return axis < 0 ? axis + rank : axis;
}

std::vector<int64_t> normalize_axes(const std::optional<std::vector<int64_t>>& axes,
                                    const Tensor& x) {
  check_defined(x);
  std::vector<int64_t> result;
  if (!axes) {
    result.resize(x.rank());
    std::iota(result.begin(), result.end(), 0);
    return result;
  }
  for (int64_t axis : *axes) result.push_back(normalize_axis(axis, x));
  std::sort(result.begin(), result.end());
  const auto twice = std::adjacent_find(result.begin(), result.end());
  PLAIT_CHECK(twice == result.end(), op_name(), "a dim is named twice; got dim {} for {}", *twice,
              to_string(x.type()));
  return result;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const Tensor& left, const Tensor& right) {
  const size_t rank = std::max(a.size(), b.size());
  Shape shape(rank);
  for (size_t i = 0; i < rank; ++i) {
    const bool in_a = i + a.size() >= rank;
    const bool in_b = i + b.size() >= rank;
    const Expr x = in_a ? a[i + a.size() - rank] : Expr(1);
    const Expr y = in_b ? b[i + b.size() - rank] : Expr(1);
    shape[i] = x.is_constant(1) ? y : x;
    if (x == y || x.is_constant(1) || y.is_constant(1)) continue;
    PLAIT_CHECK(prove_equal(x, y, {}) != false, op_name(),
                "shapes do not broadcast; got a: {}, b: {}; axis {}: {} != {}. hint: sizes must be "
                "equal or 1, aligned at the last axis",
                to_string(left.type()), to_string(right.type()), i, to_string(x), to_string(y));
  }
  return shape;
}

Tensor broadcast_to_shape(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  std::vector<int64_t> axes(x.rank());
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(shape.size()) - x.rank());
  return {x.graph(), meta::broadcast(*x.graph(), x.value(), shape, std::move(axes))};
}

Pair promote_and_broadcast(const Operand& a, const Operand& b) {
  if (!a.is_tensor() && !b.is_tensor()) {
    const std::shared_ptr<Graph> graph = current_graph();
    const DType dtype =
        promote_scalar(promote_scalar(DType::boolean, a.number().dtype()), b.number().dtype());
    return {Tensor(graph, meta::constant(*graph, a.number().cast(dtype))),
            Tensor(graph, meta::constant(*graph, b.number().cast(dtype)))};
  }
  if (!a.is_tensor() || !b.is_tensor()) {
    const Tensor& tensor = a.is_tensor() ? a.tensor() : b.tensor();
    check_defined(tensor);
    const Scalar number = a.is_tensor() ? b.number() : a.number();
    const DType dtype = promote_scalar(tensor.dtype(), number.dtype());
    Graph& graph = *tensor.graph();
    const Tensor scalar(
        tensor.graph(),
        meta::broadcast_scalar(graph, meta::constant(graph, number.cast(dtype)), tensor.shape()));
    const Tensor cast = cast_to(tensor, dtype);
    return a.is_tensor() ? Pair{cast, scalar} : Pair{scalar, cast};
  }
  const std::shared_ptr<Graph> graph = graph_of({&a.tensor(), &b.tensor()});
  Tensor left(graph, value_in(*graph, a.tensor()));
  Tensor right(graph, value_in(*graph, b.tensor()));
  const Shape shape = broadcast_shapes(left.shape(), right.shape(), left, right);
  const DType dtype = promote(left.dtype(), right.dtype());
  left = broadcast_to_shape(cast_to(left, dtype), shape);
  right = broadcast_to_shape(cast_to(right, dtype), shape);
  return {left, right};
}

Tensor to_float(const Tensor& x) { return is_float(x.dtype()) ? x : cast_to(x, DType::f32); }

Tensor unary(UnaryOp op, const Tensor& x) {
  check_defined(x);
  return {x.graph(), meta::unary(*x.graph(), op, x.value())};
}

Tensor binary(BinaryOp op, const Operand& a, const Operand& b) {
  const Pair pair = promote_and_broadcast(a, b);
  Graph& graph = *pair.a.graph();
  return {pair.a.graph(), meta::binary(graph, op, pair.a.value(), pair.b.value())};
}

Tensor reduce(ReduceOp op, const Tensor& x, const std::vector<int64_t>& axes, bool keepdim) {
  check_defined(x);
  Graph& graph = *x.graph();
  const Value result = meta::reduce(graph, op, x.value(), axes);
  if (!keepdim) return {x.graph(), result};
  Shape shape = x.shape();
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (std::find(axes.begin(), axes.end(), i) != axes.end()) {
      shape[i] = 1;
    } else {
      kept.push_back(i);
    }
  }
  return {x.graph(), meta::broadcast(graph, result, std::move(shape), std::move(kept))};
}

Tensor full_like(const Tensor& x, double value) {
  return {x.graph(), meta::scalar_like(*x.graph(), x.value(), value)};
}

Tensor cast_to(const Tensor& x, DType dtype) {
  check_defined(x);
  return {x.graph(), meta::cast(*x.graph(), x.value(), dtype)};
}

}  // namespace plait::detail
