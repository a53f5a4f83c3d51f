// live_nodes: what the roots of a graph need.
#include <algorithm>
#include <unordered_set>

#include "core/graph/graph.h"

namespace plait {
namespace {

using Symbols = std::unordered_set<Expr>;

bool has_symbolic_axis(const Type& type) {
  return std::ranges::any_of(type.shape, [](Expr extent) { return !extent.constant(); });
}

// The symbols that nodes have in sizes and maps. An expression is looked at once.
class Needed {
 public:
  Needed(const Graph& graph, const std::vector<bool>& live) {
    for (Value v = 0; v < graph.size(); ++v) {
      if (live[v]) add(graph.node(v));
    }
  }

  void add(const Node& node) {
    for (Expr extent : node.type.shape) add(extent);
    for (Expr index : node.attributes.map) add(index);
    add(node.attributes.size);
  }
  const Symbols& symbols() const { return symbols_; }

 private:
  void add(Expr e) {
    if (e.constant() || !expressions_.insert(e).second) return;
    for (Expr symbol : symbols_of(e)) symbols_.insert(symbol);
  }

  std::unordered_set<Expr> expressions_;
  Symbols symbols_;
};

// Whether the extent tells the symbol, once its other symbols are known.
bool tells(Expr extent, Expr symbol) {
  SymbolValues others;
  for (Expr other : symbols_of(extent)) others[other.name()] = other.symbol_multiple();
  return line_in_symbol(extent, symbol, std::move(others)).has_value();
}

// The symbols whose values follow from the sizes of an array of this type: plain ones first, then
// those that stand in an extent with known ones only.
std::vector<Expr> told_by(const Type& type, const Symbols& known) {
  std::vector<Expr> told;
  for (const bool plain : {true, false}) {
    for (Expr extent : type.shape) {
      if ((extent.kind() == ExprKind::symbol) != plain) continue;
      std::vector<Expr> unknown = symbols_of(extent);
      std::erase_if(unknown, [&](Expr symbol) {
        return known.contains(symbol) || std::ranges::find(told, symbol) != told.end();
      });
      if (unknown.size() == 1 && tells(extent, unknown.front())) {
        told.push_back(unknown.front());
      }
    }
  }
  return told;
}

Symbols told_by_inputs(const Graph& graph, const std::vector<bool>& live) {
  Symbols known;
  for (Value v = 0; v < graph.size(); ++v) {
    if (!live[v] || graph.node(v).op != MetaOp::input) continue;
    for (Expr symbol : told_by(graph.type(v), known)) known.insert(symbol);
  }
  return known;
}

void add_inputs_for_sizes(const Graph& graph, std::vector<bool>& live) {
  std::vector<Value> unread;
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    if (!live[v] && node.op == MetaOp::input && has_symbolic_axis(node.type)) unread.push_back(v);
  }
  if (unread.empty()) return;
  Needed needed(graph, live);
  Symbols known = told_by_inputs(graph, live);
  for (Value v : unread) {
    const std::vector<Expr> told = told_by(graph.type(v), known);
    const auto is_needed = [&](Expr symbol) { return needed.symbols().contains(symbol); };
    if (std::ranges::none_of(told, is_needed)) continue;
    live[v] = true;
    known.insert(told.begin(), told.end());
    needed.add(graph.node(v));
  }
}

}  // namespace

std::vector<bool> live_nodes(const Graph& graph) {
  std::vector<bool> live(graph.size(), false);
  for (Value v : graph.roots()) live[v] = true;
  for (size_t i = graph.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (Value v : graph.node(static_cast<Value>(i)).operands) live[v] = true;
  }
  add_inputs_for_sizes(graph, live);
  return live;
}

std::vector<Expr> untold_symbols(const Graph& graph) {
  const std::vector<bool> live = live_nodes(graph);
  const Symbols known = told_by_inputs(graph, live);
  const Needed needed(graph, live);
  std::vector<Expr> untold;
  for (Expr symbol : needed.symbols()) {
    if (!known.contains(symbol)) untold.push_back(symbol);
  }
  std::ranges::sort(untold, {}, &Expr::name);
  return untold;
}

}  // namespace plait
