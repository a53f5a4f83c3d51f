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

// Whether one of the names in `list`, joined by commas, is a run of whole parts of the scope.
bool names_scope(std::string_view list, const std::string& scope) {
  const std::string path = "/" + scope + "/";
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string name(list.substr(0, comma));
    if (!name.empty() && path.find("/" + name + "/") != std::string::npos) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

bool is_kept(const Graph& graph, Value v, const Options& options) {
  const std::span<const Origin> origins = graph.origins(v);
  return std::any_of(origins.begin(), origins.end(), [&](const Origin& origin) {
    return names_scope(options.autocast_keep, origin.scope);
  });
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
  size_t kept = 0;
  for (Value v = 0; v < graph.size(); ++v) {
    if (graph.type(v).dtype != DType::f32 || !fusion::match_contraction(graph, v)) continue;
    if (is_kept(graph, v, options)) {
      ++kept;
    } else {
      products.insert(&graph.node(v));
    }
  }
  PLAIT_LOG(info, "factors of {} products rounded to bf16; {} products kept in f32 by `{}`",
            products.size(), kept, options.autocast_keep);
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
