#include <algorithm>

#include "core/error.h"
#include "core/rules/evaluate.h"

namespace plait {
namespace {

int64_t value_of(Expr e, const SymbolValues& symbols, std::string_view where) {
  for (Expr symbol : symbols_of(e)) {
    PLAIT_CHECK(symbols.contains(symbol.name()), "run",
                "the size of dimension '{}' is not known; {} needs it. hint: no input has it as an "
                "axis; pass its value",
                symbol.name(), where);
  }
  return evaluate(
      e, [](uint32_t) -> int64_t { PLAIT_UNREACHABLE("a size has no variable"); }, symbols);
}

// The value of the one symbol of `e` that is not known, if e = value tells it; checked afterwards.
void solve(Expr e, int64_t value, SymbolValues& symbols) {
  std::vector<Expr> unknown;
  for (Expr symbol : symbols_of(e)) {
    if (!symbols.contains(symbol.name())) unknown.push_back(symbol);
  }
  if (unknown.size() != 1) return;
  const Expr symbol = unknown.front();
  const std::optional<SymbolLine> line = line_in_symbol(e, symbol, symbols);
  const int64_t step = symbol.symbol_multiple();
  if (!line || (value - line->at_zero) * step % line->slope != 0) return;
  symbols[symbol.name()] = (value - line->at_zero) * step / line->slope;
}

void check_bounds(Expr symbol, const SymbolValues& symbols) {
  auto found = symbols.find(symbol.name());
  if (found == symbols.end()) return;
  const int64_t value = found->second;
  PLAIT_CHECK(value >= symbol.symbol_lo() && value <= symbol.symbol_hi() &&
                  value % symbol.symbol_multiple() == 0,
              "run", "dimension '{}' must lie in {}..{} and be a multiple of {}; got {}",
              symbol.name(), symbol.symbol_lo(), symbol.symbol_hi(), symbol.symbol_multiple(),
              value);
}

void check_guards(const Graph& graph, const SymbolValues& symbols) {
  for (const SizeGuard& guard : graph.guards()) {
    auto known = [&](Expr e) {
      return std::ranges::all_of(symbols_of(e), [&](Expr s) { return symbols.contains(s.name()); });
    };
    if (!known(guard.a) || !known(guard.b)) continue;
    const int64_t a = value_of(guard.a, symbols, "a guard");
    const int64_t b = value_of(guard.b, symbols, "a guard");
    if (a != b) throw UserError(fmt::format("{} ({} != {})", guard.message, a, b));
  }
}

}  // namespace

SymbolValues infer_symbols(const Graph& graph, const std::map<std::string, Array>& inputs,
                           SymbolValues known) {
  const std::vector<bool> live = live_nodes(graph);
  std::vector<Value> live_inputs;
  for (Value v = 0; v < graph.size(); ++v) {
    if (live[v] && graph.node(v).op == MetaOp::input) live_inputs.push_back(v);
  }
  for (Value v : live_inputs) {
    const std::string& name = graph.node(v).attributes.name;
    const Type& type = graph.type(v);
    auto found = inputs.find(name);
    PLAIT_CHECK(found != inputs.end(), "run", "input '{}' ({}) is missing; got {} inputs", name,
                to_string(type), inputs.size());
    const Array& array = found->second;
    PLAIT_CHECK(array.dtype == type.dtype && array.shape.size() == type.rank(), "run",
                "input '{}' must be {}; got {}. hint: convert it", name, to_string(type),
                to_string(array.type()));
  }
  // Plain symbols first: a size such as 2*n + k may need them.
  for (bool plain : {true, false}) {
    for (Value v : live_inputs) {
      const Array& array = inputs.at(graph.node(v).attributes.name);
      for (size_t i = 0; i < array.shape.size(); ++i) {
        const Expr extent = graph.type(v).shape[i];
        if ((extent.kind() == ExprKind::symbol) == plain) solve(extent, array.shape[i], known);
      }
    }
  }
  for (Value v : live_inputs) {
    const Array& array = inputs.at(graph.node(v).attributes.name);
    for (size_t i = 0; i < array.shape.size(); ++i) {
      const Expr extent = graph.type(v).shape[i];
      const std::string& name = graph.node(v).attributes.name;
      const int64_t expected = value_of(extent, known, "input '" + name + "'");
      PLAIT_CHECK(array.shape[i] == expected, "run",
                  "input '{}' must be {}; got {}; axis {}: {} != {}", name,
                  to_string(graph.type(v)), to_string(array.type()), i, array.shape[i], expected);
      for (Expr symbol : symbols_of(extent)) check_bounds(symbol, known);
    }
  }
  check_guards(graph, known);
  return known;
}

}  // namespace plait
