#include "passes/densify_scatter.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "core/graph/build.h"

namespace plait {
namespace {

// The destination axis that the data index, if all others are the update's axes in order and the
// index is one element per update.
std::optional<size_t> indexed_axis(const Graph& graph, const Node& scatter) {
  if (scatter.attributes.replace || scatter.reduce() != ReduceOp::sum) return std::nullopt;
  if (scatter.operands.size() != 3) return std::nullopt;
  const auto rank = static_cast<uint32_t>(graph.type(scatter.operands[1]).rank());
  std::vector<Expr> identity;
  for (uint32_t axis = 0; axis < rank; ++axis) identity.push_back(Expr::variable(axis));
  const Expr element = Expr::element(0, identity);
  std::optional<size_t> found;
  uint32_t next = 0;
  for (size_t axis = 0; axis < scatter.attributes.map.size(); ++axis) {
    const Expr e = scatter.attributes.map[axis];
    if (e == element && !found) {
      found = axis;
    } else if (next < rank && e == Expr::variable(next)) {
      // An update beyond the destination would have to be dropped.
      if (!(scatter.type.shape[axis] == graph.type(scatter.operands[1]).shape[next])) {
        return std::nullopt;
      }
      ++next;
    } else {
      return std::nullopt;
    }
  }
  return next == rank ? found : std::nullopt;
}

// The gathers that report a bad index, each by what it reads at which index from which shape.
class Reports {
 public:
  explicit Reports(const Graph& graph) {
    for (Value v = 0; v < graph.size(); ++v) {
      const Node& node = graph.node(v);
      if (node.op == MetaOp::reindex && node.attributes.out_of_range == OutOfRange::error &&
          node.operands.size() == 2) {
        by_key_.emplace(
            key(node.operands[1], node.attributes.map, graph.type(node.operands[0]).shape));
      }
    }
  }
  bool contain(const Node& scatter) const {
    return by_key_.contains(key(scatter.operands[2], scatter.attributes.map, scatter.type.shape));
  }

 private:
  using Key = std::tuple<Value, std::vector<Expr>, Shape>;
  struct Hash {
    size_t operator()(const Key& key) const {
      size_t hash = std::get<0>(key);
      for (Expr e : std::get<1>(key)) hash = hash * 31 + e.hash();
      for (Expr e : std::get<2>(key)) hash = hash * 31 + e.hash();
      return hash;
    }
  };
  static Key key(Value index, const std::vector<Expr>& map, const Shape& shape) {
    return {index, map, shape};
  }

  std::unordered_set<Key, Hash> by_key_;
};

Value mask(Graph& g, const Node& scatter, std::span<const Value> operands, size_t axis) {
  const Shape& shape = scatter.type.shape;
  std::vector<int64_t> kept;
  for (size_t k = 0; k < shape.size(); ++k) {
    if (k != axis) kept.push_back(static_cast<int64_t>(k));
  }
  const Value index = meta::cast(g, operands[2], DType::i64);
  const Value position = meta::iota(g, DType::i64, shape, static_cast<int64_t>(axis));
  const Value hit = meta::binary(g, BinaryOp::eq, position, meta::broadcast(g, index, shape, kept));
  const Value update = meta::broadcast(g, operands[1], shape, kept);
  return meta::select(g, hit, meta::binary(g, BinaryOp::add, operands[0], update), operands[0]);
}

}  // namespace

Graph densify_scatter(const Graph& graph, const Options&) {
  const Reports reports(graph);
  return rewrite_graph(graph, [&](Graph& g, const Node& node, std::span<const Value> operands) {
    if (node.op != MetaOp::scatter) return kNoValue;
    const std::optional<size_t> axis = indexed_axis(graph, node);
    if (!axis) return kNoValue;
    if (node.attributes.out_of_range == OutOfRange::error && !reports.contain(node)) {
      return kNoValue;
    }
    return mask(g, node, operands, *axis);
  });
}

}  // namespace plait
