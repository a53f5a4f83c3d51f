// What compositions share: the graph of the operands, promotion, broadcasting, axes.
#pragma once

#include <initializer_list>
#include <vector>

#include "core/graph/build.h"
#include "ops/tensor.h"

namespace plait::detail {

// The one graph of all these tensors (merged if there are several); the thread's current graph if
// there are none. UserError for an undefined tensor.
std::shared_ptr<Graph> graph_of(std::initializer_list<const Tensor*> tensors);
std::shared_ptr<Graph> graph_of(std::vector<Tensor>& tensors);
// The same tensor as a value of `graph`, copied into it if it lives in another one.
Value value_in(Graph& graph, const Tensor& tensor);

// axis in [-rank, rank) -> [0, rank). UserError names axis, rank and the tensor.
int64_t normalize_axis(int64_t axis, const Tensor& x);
// Sorted and distinct; all axes when absent.
std::vector<int64_t> normalize_axes(const std::optional<std::vector<int64_t>>& axes,
                                    const Tensor& x);

// numpy's rules: axes align at the end, an axis of size 1 stretches. A symbol never broadcasts
// as 1. UserError with both shapes, the axis and the two sizes.
Shape broadcast_shapes(const Shape& a, const Shape& b, const Tensor& left, const Tensor& right);
Tensor broadcast_to_shape(const Tensor& x, const Shape& shape);

// Two operands of one dtype, shape and graph: promoted, then broadcast.
struct Pair {
  Tensor a, b;
};
Pair promote_and_broadcast(const Operand& a, const Operand& b);
// A floating version of x: itself, or f32 from integers and bools.
Tensor to_float(const Tensor& x);

Tensor unary(UnaryOp op, const Tensor& x);
Tensor binary(BinaryOp op, const Operand& a, const Operand& b);
Tensor reduce(ReduceOp op, const Tensor& x, const std::vector<int64_t>& axes, bool keepdim);
Tensor full_like(const Tensor& x, double value);  // a constant of x's dtype, broadcast
Tensor cast_to(const Tensor& x, DType dtype);

}  // namespace plait::detail
