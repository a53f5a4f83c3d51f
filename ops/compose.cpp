#include "ops/compose.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "core/error.h"
#include "core/index/simplify.h"
#include "core/options.h"

namespace plait::detail {
namespace {

void check_defined(const Tensor& tensor) {
  PLAIT_CHECK(tensor.defined(), op_name(),
              "got a tensor without a value. hint: it was default-constructed");
}

}  // namespace

std::string_view op_name() {
  const std::string_view name = OpName::current();
  return name.empty() ? "tensor" : name;
}

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

std::shared_ptr<Graph> graph_of(const std::vector<Tensor>& tensors) {
  std::shared_ptr<Graph> graph;
  bool one = true;
  for (const Tensor& tensor : tensors) {
    check_defined(tensor);
    if (!graph) graph = tensor.graph();
    one = one && graph == tensor.graph();
  }
  return one && graph ? graph : current_graph();
}

namespace {

// Copies what `tensor` needs of its graph; `copies` holds what has been copied of that graph.
Value copy_into(Graph& graph, const Tensor& tensor, std::unordered_map<Value, Value>& copies) {
  const Graph& source = *tensor.graph();
  std::vector<bool> needed(tensor.value() + 1, false);
  needed[tensor.value()] = !copies.contains(tensor.value());
  for (size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (Value operand : source.node(static_cast<Value>(i)).operands) {
      if (!copies.contains(operand)) needed[operand] = true;
    }
  }
  for (Value v = 0; v < needed.size(); ++v) {
    if (!needed[v]) continue;
    const Node& node = source.node(v);
    std::vector<Value> operands;
    for (Value operand : node.operands) operands.push_back(copies.at(operand));
    const size_t before = graph.size();
    const Value copy = graph.add(node.op, std::move(operands), node.attributes, node.type);
    PLAIT_CHECK(
        node.op != MetaOp::random || graph.size() > before, op_name(),
        "a random tensor of another graph would become equal to a draw of this one; got {}. "
        "hint: draw it in the graph that uses it",
        to_string(tensor.type()));
    for (const Origin& origin : source.origins(v)) graph.add_origin(copy, origin);
    copies.emplace(v, copy);
  }
  for (const SizeGuard& guard : source.guards()) graph.add_guard(guard);
  return copies.at(tensor.value());
}

}  // namespace

Value value_in(Graph& graph, const Tensor& tensor) { return values_in(graph, {tensor})[0]; }

std::vector<Value> values_in(Graph& graph, const std::vector<Tensor>& tensors) {
  std::unordered_map<const Graph*, std::unordered_map<Value, Value>> copies;  // by source
  std::vector<Value> result;
  for (const Tensor& tensor : tensors) {
    check_defined(tensor);
    const Graph* source = tensor.graph().get();
    result.push_back(source == &graph ? tensor.value() : copy_into(graph, tensor, copies[source]));
  }
  return result;
}

Tensor tensor_in(const std::shared_ptr<Graph>& graph, const Tensor& tensor) {
  return {graph, value_in(*graph, tensor)};
}

int64_t normalize_axis(int64_t axis, const Tensor& x) {
  check_defined(x);
  return normalize_axis(axis, x.rank(), x);
}

bool names_rank_zero(int64_t axis, const Tensor& x) {
  check_defined(x);
  return x.rank() == 0 && (axis == 0 || axis == -1);
}

int64_t normalize_axis(int64_t axis, int64_t rank, const Tensor& x) {
  PLAIT_CHECK(axis >= -rank && axis < rank, op_name(),
              "dim out of range; got dim {} for {} where {} dims count. hint: dims lie in [{}, {})",
              axis, to_string(x.type()), rank, -rank, rank);
  return axis < 0 ? axis + rank : axis;
}

std::vector<int64_t> normalize_axes(const Dims& axes, const Tensor& x) {
  check_defined(x);
  std::vector<int64_t> result;
  if (axes.all()) {
    result.resize(x.rank());
    std::iota(result.begin(), result.end(), 0);
    return result;
  }
  const bool one = x.rank() == 0 && axes.values().size() == 1;
  if (one && names_rank_zero(axes.values()[0], x)) return result;
  for (int64_t axis : axes.values()) result.push_back(normalize_axis(axis, x));
  std::sort(result.begin(), result.end());
  const auto twice = std::adjacent_find(result.begin(), result.end());
  PLAIT_CHECK(twice == result.end(), op_name(), "a dim is named twice; got dim {} for {}", *twice,
              to_string(x.type()));
  return result;
}

std::vector<int64_t> expand_list(const IntList& list, int64_t length, std::string_view argument) {
  if (list.size() == 1) return std::vector<int64_t>(length, list[0]);
  PLAIT_CHECK(static_cast<int64_t>(list.size()) == length, op_name(),
              "{} takes 1 or {} numbers; got {}", argument, length, list.size());
  return list.values();
}

int64_t fixed_size(Expr size, std::string_view what) {
  const std::optional<int64_t> number = size.constant();
  PLAIT_CHECK(number.has_value(), op_name(), "{} must be a fixed number; got the symbolic size {}",
              what, to_string(size));
  return *number;
}

Expr broadcast_size(Expr x, Expr y, size_t axis, const Tensor& left, const Tensor& right) {
  if (x == y || y.is_constant(1)) return x;
  if (x.is_constant(1)) return y;
  PLAIT_CHECK(prove_equal(x, y, {}) != false, op_name(),
              "shapes do not broadcast; got a: {}, b: {}; axis {}: {} != {}. hint: sizes must be "
              "equal or 1, aligned at the last axis",
              to_string(left.type()), to_string(right.type()), axis, to_string(x), to_string(y));
  return x;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const Tensor& left, const Tensor& right) {
  const size_t rank = std::max(a.size(), b.size());
  Shape shape(rank);
  for (size_t i = 0; i < rank; ++i) {
    const bool in_a = i + a.size() >= rank;
    const bool in_b = i + b.size() >= rank;
    const Expr x = in_a ? a[i + a.size() - rank] : Expr(1);
    const Expr y = in_b ? b[i + b.size() - rank] : Expr(1);
    shape[i] = broadcast_size(x, y, i, left, right);
  }
  return shape;
}

void check_strict_broadcast(const Tensor& left, const Tensor& right) {
  if (left.shape() == right.shape() || left.rank() == 0 || right.rank() == 0) return;
  PLAIT_CHECK(!OpScope::outermost() || !Options::global().strict_broadcast, op_name(),
              "shapes must be equal under strict_broadcast; got a: {}, b: {}. hint: write the "
              "stretch as expand",
              to_string(left.type()), to_string(right.type()));
}

Tensor broadcast_to_shape(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  std::vector<int64_t> axes(x.rank());
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(shape.size()) - x.rank());
  return {x.graph(), meta::broadcast(*x.graph(), x.value(), shape, std::move(axes))};
}

Tensor broadcast(const Tensor& x, const Shape& shape, std::vector<int64_t> axes) {
  return {x.graph(), meta::broadcast(*x.graph(), x.value(), shape, std::move(axes))};
}

Tensor as_tensor(const std::shared_ptr<Graph>& graph, const Operand& operand, DType dtype) {
  if (operand.is_tensor()) return tensor_in(graph, operand.tensor());
  if (!operand.is_size()) return {graph, meta::constant(*graph, operand.number().cast(dtype))};
  return {graph, meta::cast(*graph, meta::size(*graph, operand.size()), dtype)};
}

Pair promote_and_broadcast(const Operand& a, const Operand& b) {
  if (!a.is_tensor() && !b.is_tensor()) {
    const std::shared_ptr<Graph> graph = current_graph();
    const DType dtype =
        promote_scalar(promote_scalar(DType::boolean, a.number_dtype()), b.number_dtype());
    return {as_tensor(graph, a, dtype), as_tensor(graph, b, dtype)};
  }
  if (!a.is_tensor() || !b.is_tensor()) {
    const Tensor& tensor = a.is_tensor() ? a.tensor() : b.tensor();
    check_defined(tensor);
    const Operand& number = a.is_tensor() ? b : a;
    const DType dtype = promote_scalar(tensor.dtype(), number.number_dtype());
    const Tensor scalar =
        broadcast_to_shape(as_tensor(tensor.graph(), number, dtype), tensor.shape());
    const Tensor cast = cast_to(tensor, dtype);
    return a.is_tensor() ? Pair{cast, scalar} : Pair{scalar, cast};
  }
  const std::shared_ptr<Graph> graph = graph_of({&a.tensor(), &b.tensor()});
  Tensor left = tensor_in(graph, a.tensor());
  Tensor right = tensor_in(graph, b.tensor());
  check_strict_broadcast(left, right);
  const Shape shape = broadcast_shapes(left.shape(), right.shape(), left, right);
  const DType dtype = promote(left.dtype(), right.dtype());
  left = broadcast_to_shape(cast_to(left, dtype), shape);
  right = broadcast_to_shape(cast_to(right, dtype), shape);
  return {left, right};
}

Tensor to_float(const Tensor& x) { return cast_to(x, float_dtype(x)); }

DType float_dtype(const Tensor& x) {
  check_defined(x);
  return is_float(x.dtype()) ? x.dtype() : DType::f32;
}

Tensor wide(const Tensor& x) { return cast_to(x, compute_type(float_dtype(x))); }

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

Tensor select(const Tensor& condition, const Tensor& yes, const Tensor& no) {
  Graph& graph = *condition.graph();
  return {condition.graph(),
          meta::select(graph, condition.value(), value_in(graph, yes), value_in(graph, no))};
}

Tensor full_like(const Tensor& x, double value) {
  return {x.graph(), meta::scalar_like(*x.graph(), x.value(), value)};
}

Tensor cast_to(const Tensor& x, DType dtype) {
  check_defined(x);
  return {x.graph(), meta::cast(*x.graph(), x.value(), dtype)};
}

Tensor reindex(const Tensor& x, const Shape& shape, std::vector<Expr> map, Scalar fill,
               const std::vector<Tensor>& indices, OutOfRange out_of_range) {
  Ranges ranges;
  for (size_t i = 0; i < shape.size(); ++i) ranges.set(static_cast<uint32_t>(i), shape[i]);
  for (Expr& e : map) e = simplify(e, ranges);
  std::vector<Value> values;
  for (const Tensor& index : indices) values.push_back(value_in(*x.graph(), index));
  return {x.graph(), meta::reindex(*x.graph(), x.value(), shape, std::move(map), fill,
                                   std::move(values), out_of_range)};
}

Expr axis_variable(int64_t k) { return Expr::variable(static_cast<uint32_t>(k)); }

std::vector<Expr> axis_variables(int64_t rank) {
  std::vector<Expr> variables;
  for (int64_t k = 0; k < rank; ++k) variables.push_back(axis_variable(k));
  return variables;
}

Expr element_at(uint32_t tensor, int64_t rank) {
  return Expr::element(tensor, axis_variables(rank));
}

Tensor iota(const std::shared_ptr<Graph>& graph, const Shape& shape, int64_t axis, DType dtype) {
  return {graph, meta::iota(*graph, dtype, shape, axis)};
}

Tensor below_diagonal(const Tensor& x, int64_t diagonal) {
  const Shape shape(x.shape().end() - 2, x.shape().end());
  const DType dtype = index_dtype(shape[0] + shape[1] + Expr(diagonal < 0 ? -diagonal : diagonal));
  const Tensor row = iota(x.graph(), shape, 0, dtype);
  const Tensor column = iota(x.graph(), shape, 1, dtype);
  const Tensor limit = diagonal == 0 ? row : binary(BinaryOp::add, row, diagonal);
  return binary(BinaryOp::le, column, limit);
}

DType index_dtype(Expr size) {
  const std::optional<int64_t> most = bounds(size, {}).hi;
  return most && *most <= int64_t{1} << 31 ? DType::i32 : DType::i64;
}

Tensor count(const Tensor& x, const std::vector<int64_t>& axes, DType dtype) {
  std::vector<Expr> sizes;
  for (int64_t axis : axes) sizes.push_back(x.shape()[axis]);
  return as_tensor(x.graph(), Operand(product(sizes)), dtype);
}

Tensor sqrt_flat_at_zero(const Tensor& x) {
  const Tensor zero = full_like(x, 0.0);
  const Tensor at_zero = binary(BinaryOp::eq, x, zero);
  return select(at_zero, zero, unary(UnaryOp::sqrt, select(at_zero, full_like(x, 1.0), x)));
}

}  // namespace plait::detail
