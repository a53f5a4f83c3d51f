// One function per meta-operator: the only way that passes, rules and composites add nodes.
// All raise UserError as Graph::add does.
#pragma once

#include "core/graph/graph.h"

namespace plait::meta {

Value input(Graph& g, std::string name, Type type);
Value parameter(Graph& g, std::shared_ptr<Slot> slot);
Value constant(Graph& g, Scalar value);                                // rank 0
Value constant(Graph& g, Type type, std::span<const std::byte> data);  // row-major elements
Value iota(Graph& g, DType dtype, Shape shape, int64_t axis);
Value size(Graph& g, Expr size);                                // i64, rank 0
Value random(Graph& g, Value key, Shape shape, uint64_t salt);  // key: i64[2]; u32 bits
Value unary(Graph& g, UnaryOp op, Value x);
Value binary(Graph& g, BinaryOp op, Value a, Value b);
Value fma(Graph& g, Value a, Value b, Value c);  // a*b + c, rounded once
Value select(Graph& g, Value condition, Value yes, Value no);
Value cast(Graph& g, Value x, DType dtype);  // x itself if it has the dtype
Value detach(Graph& g, Value x);
Value broadcast(Graph& g, Value x, Shape shape, std::vector<int64_t> axes);
Value reduce(Graph& g, ReduceOp op, Value x, std::vector<int64_t> axes);
Value reindex(Graph& g, Value x, Shape shape, std::vector<Expr> map, Scalar fill = {},
              std::vector<Value> indices = {}, OutOfRange out_of_range = OutOfRange::fill);
Value scatter(Graph& g, ReduceOp op, Value destination, Value updates, std::vector<Expr> map,
              std::vector<Value> indices = {}, OutOfRange out_of_range = OutOfRange::fill);
Value scatter_replace(Graph& g, Value destination, Value updates, std::vector<Expr> map,
                      std::vector<Value> indices = {}, OutOfRange out_of_range = OutOfRange::fill);
Value concat(Graph& g, std::vector<Value> parts, int64_t axis);
Value scan(Graph& g, ReduceOp op, Value x, int64_t axis, bool reverse = false);
Value sort(Graph& g, Value x, int64_t axis, bool descending = false);
Value assign(Graph& g, std::shared_ptr<Slot> slot, Value x);

// Shorthands that rules use all the time. Shapes are taken by value: a reference into the graph
// would not survive its growth.
Value scalar_like(Graph& g, Value x,
                  double value);  // a constant of x's dtype, broadcast to x's shape
Value broadcast_scalar(Graph& g, Value scalar, Shape shape);
// Undoes a reduce over `axes`: x gets those axes back, of `shape`'s extents.
Value restore_axes(Graph& g, Value x, Shape shape, std::span<const int64_t> axes);
Value transpose(Graph& g, Value x, std::span<const int64_t> permutation);

}  // namespace plait::meta
