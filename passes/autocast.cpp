#include "passes/autocast.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "core/graph/build.h"
#include "core/log.h"
#include "passes/fusion/contraction.h"
#include "passes/fusion/instance.h"

namespace plait {
namespace {

// A name of `autocast_keep`, and how many products it kept.
struct Kept {
  std::string name;
  size_t products = 0;
};

std::vector<Kept> names_of(std::string_view list) {
  std::vector<Kept> result;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) result.push_back({std::string(list.substr(0, comma))});
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return result;
}

// Whether a name is a run of whole parts of one of the value's scopes; each that is counts it.
bool is_kept(const Graph& graph, Value v, std::vector<Kept>& names) {
  const std::span<const Origin> origins = graph.origins(v);
  bool result = false;
  for (Kept& kept : names) {
    const bool holds = std::any_of(origins.begin(), origins.end(), [&](const Origin& origin) {
      return ("/" + origin.scope + "/").find("/" + kept.name + "/") != std::string::npos;
    });
    kept.products += holds ? 1 : 0;
    result = result || holds;
  }
  return result;
}

// What only moves elements that are rounded already.
bool moves(const Node& node) {
  if (node.op == MetaOp::broadcast || node.op == MetaOp::detach) return true;
  const Scalar& fill = node.attributes.fill;
  return node.op == MetaOp::reindex && !fusion::is_data_indexed(node) &&
         fill.cast(DType::bf16).as_double() == fill.as_double();
}

// The factor with its elements rounded to bf16.
Value rounded(Graph& g, Value factor) {
  std::vector<Value> path;
  Value v = factor;
  for (; moves(g.node(v)); v = g.node(v).operands[0]) path.push_back(v);
  if (g.node(v).op == MetaOp::cast && g.type(g.node(v).operands[0]).dtype == DType::bf16) {
    return factor;
  }
  Value result = meta::cast(g, meta::cast(g, v, DType::bf16), DType::f32);
  for (auto it = path.rbegin(); it != path.rend(); ++it) {
    const Node node = g.node(*it);
    std::vector<Value> operands = node.operands;
    operands[0] = result;
    result = g.add(node.op, operands, node.attributes, node.type);
  }
  return result;
}

}  // namespace

Graph autocast(const Graph& graph, const Options& options) {
  if (options.autocast == Autocast::off) return graph;
  std::unordered_set<const Node*> products;
  std::vector<Kept> names = names_of(options.autocast_keep);
  for (Value v = 0; v < graph.size(); ++v) {
    if (graph.type(v).dtype != DType::f32 || !fusion::match_contraction(graph, v)) continue;
    if (!is_kept(graph, v, names)) products.insert(&graph.node(v));
  }
  PLAIT_LOG(info, "factors of {} products rounded to bf16", products.size());
  for (const Kept& kept : names) PLAIT_LOG(info, "`{}` keeps {} in f32", kept.name, kept.products);
  const Graph cast =
      rewrite_graph(graph, [&](Graph& g, const Node& node, std::span<const Value> operands) {
        if (!products.contains(&node)) return kNoValue;
        const std::vector<Value> factors = g.node(operands[0]).operands;
        const Value left = rounded(g, factors[0]), right = rounded(g, factors[1]);
        const Value product = meta::binary(g, BinaryOp::mul, left, right);
        return g.add(node.op, {product}, node.attributes, node.type);
      });
  // Without the products as they were.
  return rewrite_graph(cast, [](Graph&, const Node&, std::span<const Value>) { return kNoValue; });
}

}  // namespace plait
