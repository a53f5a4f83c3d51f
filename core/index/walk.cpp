// Traversals of index expressions: substitution, questions, evaluation.
#include <algorithm>
#include <unordered_set>

#include "core/index/node.h"

namespace plait {

Expr rebuild(Expr e, std::span<const Expr> operands) {
  Expr result = 0;
  switch (e.kind()) {
    case ExprKind::constant:
    case ExprKind::symbol:
    case ExprKind::variable:
      return e;
    case ExprKind::element:
      return Expr::element(e.id(), {operands.begin(), operands.end()});
    case ExprKind::add:
      return sum(operands);
    case ExprKind::mul:
      return product(operands);
    case ExprKind::floor_div:
      return floor_div(operands[0], operands[1]);
    case ExprKind::mod:
      return mod(operands[0], operands[1]);
    case ExprKind::min:
    case ExprKind::max:
      result = operands[0];
      for (Expr operand : operands.subspan(1))
        result = e.kind() == ExprKind::min ? min(result, operand) : max(result, operand);
      return result;
  }
  PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(e.kind()));
}

namespace {

constexpr uint32_t kSmallTree = 4096;  // up to here recursion without a table is faster
constexpr uint32_t kSmallDepth = 200;

bool is_small(Expr e) {
  return node_of(e).tree_size <= kSmallTree && node_of(e).depth <= kSmallDepth;
}

int64_t value_of(const ExprNode& node, std::span<const int64_t> operands,
                 const std::function<int64_t(uint32_t)>& variable, const SymbolValues& symbols) {
  int64_t result = 0;
  switch (node.kind) {
    case ExprKind::constant:
      return node.value;
    case ExprKind::symbol: {
      auto it = symbols.find(node.name);
      PLAIT_INTERNAL_CHECK(it != symbols.end(), "no value for the dimension {}", node.name);
      return it->second;
    }
    case ExprKind::variable:
      PLAIT_INTERNAL_CHECK(variable, "no value for i{}", node.id);
      return variable(node.id);
    case ExprKind::element:
      PLAIT_UNREACHABLE("no value for an element of t{}", node.id);
    case ExprKind::add:
      for (int64_t v : operands) result = checked_add(result, v);
      return result;
    case ExprKind::mul:
      result = 1;
      for (int64_t v : operands) result = checked_mul(result, v);
      return result;
    case ExprKind::floor_div:
      PLAIT_INTERNAL_CHECK(operands[1] != 0, "floor_div({}, 0)", operands[0]);
      return floor_div_int(operands[0], operands[1]);
    case ExprKind::mod:
      PLAIT_INTERNAL_CHECK(operands[1] != 0, "mod({}, 0)", operands[0]);
      return mod_int(operands[0], operands[1]);
    case ExprKind::min:
      return *std::min_element(operands.begin(), operands.end());
    case ExprKind::max:
      return *std::max_element(operands.begin(), operands.end());
  }
  PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(node.kind));
}

struct Evaluator {
  const std::function<int64_t(uint32_t)>& variable;
  const SymbolValues& symbols;

  int64_t small(Expr e) const {
    const ExprNode& node = node_of(e);
    if (node.kind == ExprKind::constant) return node.value;
    constexpr size_t kInline = 8;
    int64_t few[kInline];
    const size_t count = node.operands.size();
    if (count <= kInline) {
      for (size_t i = 0; i < count; ++i) few[i] = small(node.operands[i]);
      return value_of(node, {few, count}, variable, symbols);
    }
    std::vector<int64_t> values;
    for (Expr operand : node.operands) values.push_back(small(operand));
    return value_of(node, values, variable, symbols);
  }

  int64_t large(Expr root) const {
    std::unordered_map<Expr, int64_t> values;
    std::vector<int64_t> operands;
    for (Expr e : post_order(root)) {
      operands.clear();
      for (Expr operand : e.operands()) operands.push_back(values.at(operand));
      values[e] = value_of(node_of(e), operands, variable, symbols);
    }
    return values.at(root);
  }
};

// Rebuilds an expression bottom up. `replace` gives the new form of a node from its new operands,
// or nothing where it is to be rebuilt as it was.
template <class Skip, class Replace>
Expr rewrite(Expr root, const Skip& skip, const Replace& replace) {
  if (skip(root)) return root;
  std::unordered_map<Expr, Expr> done;
  std::vector<std::pair<Expr, bool>> stack{{root, false}};
  std::vector<Expr> operands;
  while (!stack.empty()) {
    const auto [e, ready] = stack.back();
    stack.pop_back();
    if (done.count(e)) continue;
    if (skip(e)) {
      done.emplace(e, e);
      continue;
    }
    if (!ready) {
      stack.push_back({e, true});
      for (Expr operand : e.operands())
        if (!done.count(operand)) stack.push_back({operand, false});
      continue;
    }
    operands.clear();
    for (Expr operand : e.operands()) operands.push_back(done.at(operand));
    std::optional<Expr> fresh = replace(e, operands);
    if (!fresh) {
      const bool same = std::equal(operands.begin(), operands.end(), e.operands().begin());
      fresh = same ? e : rebuild(e, operands);
    }
    done.emplace(e, *fresh);
  }
  return done.at(root);
}

}  // namespace

std::vector<Expr> post_order(Expr root) {
  std::vector<Expr> order;
  std::unordered_set<Expr> done;
  std::vector<std::pair<Expr, bool>> stack{{root, false}};
  while (!stack.empty()) {
    const auto [e, ready] = stack.back();
    stack.pop_back();
    if (done.count(e)) continue;
    if (ready || e.operands().empty()) {
      done.insert(e);
      order.push_back(e);
      continue;
    }
    stack.push_back({e, true});
    for (size_t i = e.operands().size(); i-- > 0;)
      if (!done.count(e.operands()[i])) stack.push_back({e.operands()[i], false});
  }
  return order;
}

Expr substitute(Expr e, const Substitution& variables) {
  if (variables.empty()) return e;
  uint64_t mask = 0;
  for (const auto& entry : variables) mask |= 1ull << (entry.first % 64);
  return rewrite(
      e, [mask](Expr x) { return (node_of(x).variable_mask & mask) == 0; },
      [&](Expr x, std::span<const Expr>) -> std::optional<Expr> {
        if (x.kind() != ExprKind::variable) return std::nullopt;
        auto it = variables.find(x.id());
        return it == variables.end() ? x : it->second;
      });
}

Expr replace_elements(Expr e, const std::function<Expr(uint32_t, std::span<const Expr>)>& f) {
  return rewrite(
      e, [](Expr x) { return !node_of(x).has_element; },
      [&](Expr x, std::span<const Expr> operands) -> std::optional<Expr> {
        if (x.kind() != ExprKind::element) return std::nullopt;
        return f(x.id(), operands);
      });
}

bool contains_variable(Expr e, uint32_t id) {
  const uint64_t bit = 1ull << (id % 64);
  std::vector<Expr> stack{e};
  std::unordered_set<Expr> seen;
  while (!stack.empty()) {
    const Expr x = stack.back();
    stack.pop_back();
    if (!(node_of(x).variable_mask & bit)) continue;
    if (x.kind() == ExprKind::variable && x.id() == id) return true;
    if (!x.operands().empty() && !seen.insert(x).second) continue;
    for (Expr operand : x.operands()) stack.push_back(operand);
  }
  return false;
}

bool contains_element(Expr e) { return node_of(e).has_element; }

std::vector<uint32_t> variables_of(Expr e) {
  std::vector<uint32_t> result;
  if (!node_of(e).has_variable) return result;
  for (Expr x : post_order(e))
    if (x.kind() == ExprKind::variable) result.push_back(x.id());
  std::sort(result.begin(), result.end());
  return result;
}

std::vector<Expr> symbols_of(Expr e) {
  std::vector<Expr> result;
  for (Expr x : post_order(e))
    if (x.kind() == ExprKind::symbol) result.push_back(x);
  std::sort(result.begin(), result.end(), [](Expr a, Expr b) { return Expr::compare(a, b) < 0; });
  return result;
}

std::optional<Linear> linear_in(Expr e, uint32_t id) {
  std::vector<Term> coefficient, rest;
  for (const Term& term : split_terms(e)) {
    if (!contains_variable(term.monomial, id)) {
      rest.push_back(term);
      continue;
    }
    std::vector<Expr> others;
    size_t plain = 0;
    for (Expr factor : factors_of(term.monomial)) {
      if (factor.kind() == ExprKind::variable && factor.id() == id) {
        ++plain;
      } else if (contains_variable(factor, id)) {
        return std::nullopt;
      } else {
        others.push_back(factor);
      }
    }
    if (plain != 1) return std::nullopt;
    coefficient.push_back({term.coefficient, make_monomial(others)});
  }
  return Linear{join_terms(std::move(coefficient)), join_terms(std::move(rest))};
}

int64_t evaluate(Expr e, const std::function<int64_t(uint32_t)>& variable,
                 const SymbolValues& symbols) {
  const Evaluator evaluator{variable, symbols};
  return is_small(e) ? evaluator.small(e) : evaluator.large(e);
}

std::optional<SymbolLine> line_in_symbol(Expr e, Expr symbol, SymbolValues others) {
  constexpr int kValues = 4;
  int64_t values[kValues];
  for (int i = 0; i < kValues; ++i) {
    others[symbol.name()] = i * symbol.symbol_multiple();
    values[i] = evaluate(
        e, [](uint32_t) -> int64_t { PLAIT_UNREACHABLE("a size has no variable"); }, others);
  }
  const int64_t slope = values[1] - values[0];
  for (int i = 2; i < kValues; ++i) {
    if (values[i] - values[i - 1] != slope) return std::nullopt;
  }
  if (slope == 0) return std::nullopt;
  return SymbolLine{values[0], slope};
}

}  // namespace plait
