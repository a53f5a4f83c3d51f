// The local rules of `simplify`: constructors of nodes that return the simplest equal value.
#pragma once

#include <optional>

#include "core/graph/build.h"
#include "core/index/simplify.h"

namespace plait {

class Simplifier {
 public:
  explicit Simplifier(Graph& graph) : g(graph) {}

  // The node with these parts, or a simpler value equal to it. Operands are simple already.
  Value make(MetaOp op, std::vector<Value> operands, Attributes attributes, Type result);

 private:
  using Rule = std::optional<Value>;

  // One file per family: elementwise.cpp, movement.cpp, combine.cpp (reduce, scan, scatter,
  // concat), fold.cpp.
  Rule fold(MetaOp op, const std::vector<Value>& operands, const Attributes& a, const Type& type);
  Rule fold_uniform_sum(const std::vector<Value>& operands, const Attributes& a, const Type& type);
  Rule constant_rule(const Attributes& a, const Type& type);

  Rule before_broadcast(MetaOp op, const std::vector<Value>& operands, const Attributes& a,
                        const Type& type);
  Rule unary_rule(UnaryOp op, Value x);
  Rule binary_rule(BinaryOp op, Value a, Value b);
  Rule arithmetic_rule(BinaryOp op, Value a, Value b);
  Rule integer_rule(BinaryOp op, Value a, Value b);
  Rule select_rule(Value condition, Value yes, Value no);
  Rule cast_rule(Value x, DType dtype);
  Rule fma_rule(Value a, Value b, Value c);

  Rule broadcast_rule(Value x, const Attributes& a, const Type& type);
  Rule reindex_rule(const std::vector<Value>& operands, const Attributes& a, const Type& type);
  Rule reindex_source_rule(const std::vector<Value>& operands, const Attributes& a,
                           const Type& type, const std::vector<bool>& inside);
  Rule reindex_of_reindex(const std::vector<Value>& operands, const Attributes& a, const Type& type,
                          const std::vector<bool>& inside);
  Rule reindex_of_broadcast(const std::vector<Value>& operands, const Attributes& a,
                            const Type& type, const std::vector<bool>& inside);
  Rule reindex_of_concat(const std::vector<Value>& operands, const Attributes& a, const Type& type,
                         const std::vector<bool>& inside);
  Rule reindex_of_iota(Value x, const Attributes& a, const Type& type,
                       const std::vector<bool>& inside);

  Rule reduce_rule(Value x, const Attributes& a, const Type& type);
  Value fold_of_one(ReduceOp op, Value x);
  Value reduce_of_one(Value x, ReduceOp op, const std::vector<int64_t>& axes, int64_t axis);
  Rule reduce_of_broadcast(Value x, const Attributes& a, const Type& type);
  Rule scan_rule(Value x, const Attributes& a, const Type& type);
  Rule sort_rule(Value x, const Attributes& a, const Type& type);
  Rule concat_rule(const std::vector<Value>& parts, const Attributes& a, const Type& type);
  Rule scatter_rule(const std::vector<Value>& operands, const Attributes& a, const Type& type);
  Value inverse_scatter(const std::vector<Value>& operands, const Attributes& a,
                        const struct InverseMap& inverse);

  // Simplified nodes.
  Value unary(UnaryOp op, Value x);
  Value binary(BinaryOp op, Value a, Value b);
  Value select(Value condition, Value yes, Value no);
  Value cast(Value x, DType dtype);
  Value broadcast(Value x, Shape shape, std::vector<int64_t> axes);
  Value reduce(ReduceOp op, Value x, std::vector<int64_t> axes);
  Value reindex(std::vector<Value> operands, Shape shape, std::vector<Expr> map, Scalar fill,
                OutOfRange policy = OutOfRange::fill);
  // Every element is `value`.
  Value uniform(Scalar value, Shape shape);

  const Node& node(Value v) const { return g.node(v); }
  const Type& type_of(Value v) const { return g.type(v); }
  bool is(Value v, MetaOp op) const { return g.node(v).op == op; }
  bool is_unary(Value v, UnaryOp op) const { return is(v, MetaOp::unary) && node(v).unary() == op; }
  // The number that every element of v is, if that can be seen.
  std::optional<Scalar> uniform_of(Value v) const;
  // Uniform and equal to the number, in value and in the sign of zero.
  bool is_uniform(Value v, double value) const;

  Graph& g;
};

// Range of the variables of a map over axes of this shape.
Ranges ranges_of(const Shape& shape);
// Per entry whether it lies inside the extent at every position.
std::vector<bool> entries_inside(const std::vector<Expr>& map, const Shape& extents,
                                 const Ranges& ranges);
bool all_of(const std::vector<bool>& flags);
std::vector<Expr> identity_map(size_t rank);
// Adds `offset` to the number of every index tensor that the expression reads.
Expr renumber_elements(Expr e, uint32_t offset);

// The rules that need to know a value's users: they look at the whole graph once.
Graph join_pads(const Graph& graph);
Graph scatter_into_sums(const Graph& graph);
// A contraction whose transpose is a result is computed as it will lie in memory.
Graph transpose_products(const Graph& graph);
// A sum over windows of a sum of products is one sum of products.
Graph join_window_sums(const Graph& graph);

// A copy of the live nodes, each passed through `rewrite` (given the node's number in the old graph
// and its operands in the new one); every node that this adds has the old node's origins.
using NumberedRewrite = std::function<Value(Graph&, Value, std::vector<Value>)>;
Graph sweep(const Graph& graph, const NumberedRewrite& rewrite);

}  // namespace plait
