#include "passes/fusion/contraction.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/fusion/instance.h"

namespace plait::fusion {

namespace {

// Whether every element is a bf16 number: a cast from bf16, seen through views.
bool is_widened_bf16(const Graph& graph, Value v) {
  while (true) {
    const Node& node = graph.node(v);
    switch (node.op) {
      case MetaOp::cast:
        return graph.type(node.operands[0]).dtype == DType::bf16;
      case MetaOp::reindex: {
        const Scalar& fill = node.attributes.fill;
        if (fill.cast(DType::bf16).as_double() != fill.as_double()) return false;
        break;
      }
      case MetaOp::broadcast:
      case MetaOp::detach:
        break;
      default:
        return false;
    }
    v = node.operands[0];
  }
}

}  // namespace

std::optional<Contraction> match_contraction(const Graph& graph, Value reduce, std::string* why) {
  const Node& node = graph.node(reduce);
  if (node.op != MetaOp::reduce || node.reduce() != ReduceOp::sum) return std::nullopt;
  const Node& product = graph.node(node.operands[0]);
  if (product.op != MetaOp::binary || product.binary() != BinaryOp::mul) return std::nullopt;

  if (compute_type(product.type.dtype) != product.type.dtype) {
    if (why) {
      *why = fmt::format(
          "%{}: products of {} round before they are summed. hint: cast the factors "
          "to f32",
          reduce, dtype_name(product.type.dtype));
    }
    return std::nullopt;
  }

  Contraction result;
  result.reduce = reduce;
  const auto rank = static_cast<uint32_t>(node.type.rank());
  Tuple tuple, reduced;
  for (uint32_t axis = 0; axis < rank; ++axis) tuple.push_back(Expr::variable(axis));
  for (int64_t axis : node.attributes.axes) {
    const auto id = static_cast<uint32_t>(rank + reduced.size());
    reduced.push_back(Expr::variable(id));
    result.k.push_back(id);
    result.k_extents.push_back(product.type.shape[axis]);
  }
  const Tuple at = operand_tuple(graph, node, tuple, 0, reduced);
  result.left = product.operands[0];
  result.right = product.operands[1];
  if (product.type.dtype == DType::f32 && is_widened_bf16(graph, result.left) &&
      is_widened_bf16(graph, result.right)) {
    result.order = ContractionOrder::pairs;
  }
  result.left_tuple = at;
  result.right_tuple = at;

  const std::vector<uint32_t> left = ranges_of(graph, result.left, at);
  const std::vector<uint32_t> right = ranges_of(graph, result.right, at);
  for (uint32_t axis = 0; axis < rank; ++axis) {
    const bool in_left = std::binary_search(left.begin(), left.end(), axis);
    const bool in_right = std::binary_search(right.begin(), right.end(), axis);
    if (in_left == in_right) {
      result.batch.push_back(axis);
    } else {
      (in_left ? result.m : result.n).push_back(axis);
    }
  }
  if (result.m.empty() || result.n.empty()) {
    if (why) {
      *why = fmt::format("%{}: a sum of products without {} is a plain reduction", reduce,
                         result.m.empty() ? "an axis of the left factor alone"
                                          : "an axis of the right factor alone");
    }
    return std::nullopt;
  }
  return result;
}

}  // namespace plait::fusion
