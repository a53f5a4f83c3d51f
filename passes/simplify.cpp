#include "passes/simplify.h"

#include <algorithm>

#include "core/interrupt.h"
#include "passes/simplify/simplifier.h"

namespace plait {
namespace {

// Each round settles all local rules; the others unlock a few more. Never reached in practice.
constexpr int kMostRounds = 32;

Graph apply_local_rules(const Graph& graph) {
  return sweep(graph, [&](Graph& g, Value v, std::vector<Value> operands) {
    const Node& node = graph.node(v);
    return Simplifier(g).make(node.op, std::move(operands), node.attributes, node.type);
  });
}

Graph without_dead_nodes(Graph graph) {
  const std::vector<bool> live = live_nodes(graph);
  if (std::ranges::find(live, false) == live.end()) return graph;
  return rewrite_graph(graph, [](Graph&, const Node&, std::span<const Value>) { return kNoValue; });
}

bool same_nodes(const Graph& a, const Graph& b) {
  if (a.size() != b.size()) return false;
  for (Value v = 0; v < a.size(); ++v) {
    const Node& x = a.node(v);
    const Node& y = b.node(v);
    if (x.op != y.op || x.operands != y.operands || x.type != y.type ||
        x.attributes != y.attributes) {
      return false;
    }
  }
  return std::ranges::equal(a.outputs(), b.outputs(),
                            [](const Output& x, const Output& y) { return x.value == y.value; });
}

}  // namespace

Graph sweep(const Graph& graph, const NumberedRewrite& rewrite) {
  const std::vector<bool> live = live_nodes(graph);
  Graph result;
  std::vector<Value> map(graph.size(), kNoValue);
  for (Value v = 0; v < graph.size(); ++v) {
    if (!live[v]) continue;
    check_interrupt();
    std::vector<Value> operands;
    for (Value operand : graph.node(v).operands) operands.push_back(map[operand]);
    const auto before = static_cast<Value>(result.size());
    map[v] = rewrite(result, v, std::move(operands));
    for (const Origin& origin : graph.origins(v)) {
      for (auto added = before; added < result.size(); ++added) result.add_origin(added, origin);
      if (map[v] < before) result.add_origin(map[v], origin);
    }
  }
  for (const Output& output : graph.outputs()) result.add_output(output.name, map[output.value]);
  for (const SizeGuard& guard : graph.guards()) result.add_guard(guard);
  return result;
}

Graph simplify(const Graph& graph, const Options&) {
  Graph current = without_dead_nodes(apply_local_rules(graph));
  for (int round = 0; round < kMostRounds; ++round) {
    Graph next = apply_local_rules(current);
    for (const auto rule : {join_pads, scatter_into_sums, join_window_sums, transpose_products}) {
      next = rule(next);
    }
    next = without_dead_nodes(std::move(next));
    const bool settled = same_nodes(current, next);
    current = std::move(next);
    if (settled) break;
  }
  return current;
}

}  // namespace plait
