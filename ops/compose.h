// What compositions share: the graph of the operands, promotion, broadcasting, axes, and thin
// covers of the meta-op builders over tensors.
#pragma once

#include <initializer_list>
#include <limits>
#include <string_view>
#include <vector>

#include "core/graph/build.h"
#include "ops/tensor.h"

namespace plait::detail {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The op that the user called, for the prefix of errors.
std::string_view op_name();

// The one graph of all these tensors; the thread's current graph if there are none or several.
// UserError for an undefined tensor.
std::shared_ptr<Graph> graph_of(std::initializer_list<const Tensor*> tensors);
std::shared_ptr<Graph> graph_of(const std::vector<Tensor>& tensors);
// The same tensor as a value of `graph`, copied into it if it lives in another one. UserError if
// the copy would merge two random draws into one.
Value value_in(Graph& graph, const Tensor& tensor);
Tensor tensor_in(const std::shared_ptr<Graph>& graph, const Tensor& tensor);
// The same for several: a draw that some of them share stays one draw.
std::vector<Value> values_in(Graph& graph, const std::vector<Tensor>& tensors);

// axis in [-rank, rank) -> [0, rank). UserError names axis, rank and the tensor.
int64_t normalize_axis(int64_t axis, const Tensor& x);
// Whether x has rank 0 and the axis is 0 or -1, which PyTorch lets stand for its one element.
bool names_rank_zero(int64_t axis, const Tensor& x);
// The same for an axis of a result of `rank` axes, made from x.
int64_t normalize_axis(int64_t axis, int64_t rank, const Tensor& x);
// Sorted and distinct. Of a tensor of rank 0 the axes 0 and -1 stand for no axis.
std::vector<int64_t> normalize_axes(const Dims& axes, const Tensor& x);
// One number per spatial axis: a list of one is repeated. UserError for other lengths.
std::vector<int64_t> expand_list(const IntList& list, int64_t length, std::string_view argument);
// The number, or UserError: `what` must not be a symbol here.
int64_t fixed_size(Expr size, std::string_view what);

// numpy's rules: axes align at the end, an axis of size 1 stretches. A symbol never broadcasts
// as 1. UserError with both shapes, the axis and the two sizes.
Shape broadcast_shapes(const Shape& a, const Shape& b, const Tensor& left, const Tensor& right);
// The sizes of one result axis; `axis` is its number in the message.
Expr broadcast_size(Expr x, Expr y, size_t axis, const Tensor& left, const Tensor& right);
// UserError if the shapes differ while options.strict_broadcast is on and the user called this op.
void check_strict_broadcast(const Tensor& left, const Tensor& right);
Tensor broadcast_to_shape(const Tensor& x, const Shape& shape);  // axes align at the end
// Axis i of x becomes axes[i] (rising) of `shape`.
Tensor broadcast(const Tensor& x, const Shape& shape, std::vector<int64_t> axes);

// Two operands of one dtype, shape and graph: promoted, then broadcast.
struct Pair {
  Tensor a, b;
};
Pair promote_and_broadcast(const Operand& a, const Operand& b);
// A number or size as a rank-0 tensor of `dtype`, a tensor as it is (in `graph`).
Tensor as_tensor(const std::shared_ptr<Graph>& graph, const Operand& operand, DType dtype);
// A floating version of x: itself, or f32 from integers and bools.
Tensor to_float(const Tensor& x);
// A float in which composites compute before they round once: f32 from halves, integers and bools.
Tensor wide(const Tensor& x);
// The dtype of a float function of x: its own, or f32 from integers and bools.
DType float_dtype(const Tensor& x);

Tensor unary(UnaryOp op, const Tensor& x);
Tensor binary(BinaryOp op, const Operand& a, const Operand& b);
Tensor reduce(ReduceOp op, const Tensor& x, const std::vector<int64_t>& axes, bool keepdim);
Tensor select(const Tensor& condition, const Tensor& yes, const Tensor& no);  // of equal shapes
Tensor full_like(const Tensor& x, double value);  // a constant of x's dtype, broadcast
Tensor cast_to(const Tensor& x, DType dtype);
// A gather (meta::reindex) whose map is simplified over the result's axes.
Tensor reindex(const Tensor& x, const Shape& shape, std::vector<Expr> map, Scalar fill = {},
               const std::vector<Tensor>& indices = {}, OutOfRange out_of_range = OutOfRange::fill);
// Result axis k of a reindex map.
Expr axis_variable(int64_t k);
// All result axes, in order: the identity map of a tensor of that rank.
std::vector<Expr> axis_variables(int64_t rank);
// Element (axes…) of index tensor number t, at all of the result's axes.
Expr element_at(uint32_t tensor, int64_t rank);

// 0, 1, 2 … along `axis` of `shape`.
Tensor iota(const std::shared_ptr<Graph>& graph, const Shape& shape, int64_t axis, DType dtype);
// Of x's last two axes: True where column <= row + diagonal; bool[rows, columns].
Tensor below_diagonal(const Tensor& x, int64_t diagonal);
// i32 if every index below `size` fits, else i64.
DType index_dtype(Expr size);
// The number of elements along these axes, as a rank-0 tensor.
Tensor count(const Tensor& x, const std::vector<int64_t>& axes, DType dtype);
// sqrt whose gradient at 0 is 0.
Tensor sqrt_flat_at_zero(const Tensor& x);

}  // namespace plait::detail
