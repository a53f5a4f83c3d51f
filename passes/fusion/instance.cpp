#include "passes/fusion/instance.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace plait::fusion {

bool is_data_indexed(const Node& node) {
  return std::any_of(node.attributes.map.begin(), node.attributes.map.end(),
                     [](Expr e) { return contains_element(e); });
}

namespace {

Tuple broadcast_operand(const Graph& graph, const Node& node, const Tuple& tuple) {
  const Shape& shape = graph.type(node.operands[0]).shape;
  Tuple result(shape.size());
  for (size_t k = 0; k < shape.size(); ++k) {
    const int64_t axis = node.attributes.axes[k];
    const bool stretched = shape[k].is_constant(1) && !node.type.shape[axis].is_constant(1);
    result[k] = stretched ? Expr() : tuple[axis];
  }
  return result;
}

}  // namespace

Tuple mapped_tuple(const Node& node, const Tuple& tuple, size_t first_index) {
  Substitution axes;
  for (size_t k = 0; k < tuple.size(); ++k) axes.emplace(static_cast<uint32_t>(k), tuple[k]);
  Tuple result;
  for (Expr e : node.attributes.map) {
    // Elements first get the global name of their tensor, then both kinds of index are replaced.
    const Expr named = replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
      return Expr::element(node.operands[first_index + tensor], {indices.begin(), indices.end()});
    });
    result.push_back(substitute(named, axes));
  }
  return result;
}

Tuple operand_tuple(const Graph& graph, const Node& node, const Tuple& tuple, size_t operand,
                    const std::vector<Expr>& reduced) {
  switch (kind_of(node.op)) {
    case OpKind::elementwise:
    case OpKind::state:
      return tuple;
    case OpKind::generated:
      return {};
    case OpKind::movement:
      if (node.op == MetaOp::broadcast) return broadcast_operand(graph, node, tuple);
      PLAIT_INTERNAL_CHECK(operand == 0, "the indices of a {} have no tuple of their own",
                           name_of(node.op));
      return mapped_tuple(node, tuple, 1);
    case OpKind::reduction: {
      Tuple result;
      size_t kept = 0, gone = 0;
      for (size_t k = 0; k < graph.type(node.operands[0]).rank(); ++k) {
        const bool is_reduced = gone < node.attributes.axes.size() &&
                                node.attributes.axes[gone] == static_cast<int64_t>(k);
        result.push_back(is_reduced ? reduced.at(gone++) : tuple[kept++]);
      }
      return result;
    }
    case OpKind::join: {
      const int64_t axis = node.attributes.axes[0];
      Expr offset = 0;
      for (size_t i = 0; i < operand; ++i) {
        offset = offset + graph.type(node.operands[i]).shape[axis];
      }
      Tuple result = tuple;
      result[axis] = result[axis] - offset;
      return result;
    }
    case OpKind::source:
    case OpKind::whole:
      break;
  }
  PLAIT_UNREACHABLE("{} has no operand tuple", name_of(node.op));
}

std::vector<uint32_t> ranges_of(const Graph& graph, Value value, const Tuple& tuple) {
  std::set<uint32_t> ranges;
  std::vector<std::pair<Value, Tuple>> open = {{value, tuple}};
  // A cone shared many times would be walked many times: past a size, take every range there is.
  constexpr size_t kMostVisits = 256;
  for (size_t visits = 0; !open.empty(); ++visits) {
    const auto [v, at] = std::move(open.back());
    open.pop_back();
    const Node& node = graph.node(v);
    const bool walk =
        (is_elementwise(node.op) || node.op == MetaOp::broadcast || node.op == MetaOp::reindex) &&
        visits < kMostVisits;
    if (!walk) {
      for (Expr e : at) {
        for (uint32_t id : variables_of(e)) ranges.insert(id);
      }
      continue;
    }
    const size_t data_operands = node.op == MetaOp::reindex ? 1 : node.operands.size();
    for (size_t i = 0; i < data_operands; ++i) {
      open.emplace_back(node.operands[i], operand_tuple(graph, node, at, i));
    }
  }
  return {ranges.begin(), ranges.end()};
}

}  // namespace plait::fusion
