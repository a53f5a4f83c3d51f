#include "jit/lower/result_elements.h"

#include <algorithm>

#include "passes/fusion/roles.h"

namespace plait::lower {
namespace {

// Its operands are read at an index tuple that follows from its own.
bool passes_on(const Node& node) {
  constexpr MetaOp kOps[] = {MetaOp::unary, MetaOp::binary, MetaOp::fma,       MetaOp::select,
                             MetaOp::cast,  MetaOp::detach, MetaOp::broadcast, MetaOp::reindex};
  return std::find(std::begin(kOps), std::end(kOps), node.op) != std::end(kOps) &&
         !fusion::is_data_indexed(node);
}

}  // namespace

std::vector<ResultElement> result_elements(const Graph& graph, const fusion::FusionPlan& plan,
                                           const fusion::Nest& nest) {
  constexpr size_t kMost = 12;
  std::vector<ResultElement> elements;
  std::vector<std::pair<Value, fusion::Tuple>> open;
  const auto member = [&](Value v) {
    return std::find_if(nest.members.begin(), nest.members.end(),
                        [&](const fusion::Member& m) { return m.value == v; });
  };
  for (Value v : nest.stores) {
    elements.push_back({v, member(v)->tuple, true});
    open.emplace_back(v, member(v)->tuple);
  }
  std::vector<std::pair<Value, fusion::Tuple>> seen = open;
  while (!open.empty() && elements.size() < kMost) {
    const auto [v, tuple] = std::move(open.back());
    open.pop_back();
    if (v == nest.contraction->reduce || !passes_on(graph.node(v))) continue;
    const Node& node = graph.node(v);
    for (size_t k = 0; k < node.operands.size(); ++k) {
      const std::pair<Value, fusion::Tuple> operand = {
          node.operands[k], fusion::operand_tuple(graph, node, tuple, k)};
      if (std::find(seen.begin(), seen.end(), operand) != seen.end()) continue;
      seen.push_back(operand);
      const bool here = member(operand.first) != nest.members.end();
      if (plan.in_memory[operand.first] && !here) {
        elements.push_back({operand.first, operand.second, false});
      } else {
        open.push_back(operand);
      }
    }
  }
  return elements;
}

}  // namespace plait::lower
