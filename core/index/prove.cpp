#include "core/index/prove.h"

#include <algorithm>

namespace plait {

namespace {

constexpr int kMaxExtentDepth = 16;  // of extents that depend on variables
constexpr int kMaxSteps = 64;
constexpr uint32_t kMaxRecursion = 100;
constexpr uint32_t kMaxTree = 400;           // larger expressions get numeric bounds only
constexpr int64_t kLargeSymbol = 1ll << 40;  // a bound beyond this is not substituted

// e = coefficient * atom + rest, where the atom is a factor of neither's terms.
struct Split {
  Expr coefficient;
  Expr rest;
};

std::optional<Split> split_atom(Expr e, Expr atom) {
  std::vector<Term> coefficient, rest;
  for (const Term& term : split_terms(e)) {
    const auto others = divide_monomial(term.monomial, atom);
    if (!others) {
      rest.push_back(term);
    } else if (divide_monomial(*others, atom)) {
      return std::nullopt;
    } else {
      coefficient.push_back({term.coefficient, *others});
    }
  }
  return Split{join_terms(std::move(coefficient)), join_terms(std::move(rest))};
}

// Replaces the atom where it is a factor of a term.
Expr replace_factor(Expr e, Expr atom, Expr value) {
  std::vector<Expr> terms;
  for (const Term& term : split_terms(e)) {
    Expr rest = term.monomial, result = term.coefficient;
    while (auto others = divide_monomial(rest, atom)) {
      rest = *others;
      result = result * value;
    }
    terms.push_back(result * rest);
  }
  return sum(terms);
}

// A point of the domain: every symbol near an end of its bounds, every variable at an end.
class Corner {
 public:
  Corner(const Ranges& ranges, bool high_symbols, bool high_variables)
      : ranges_(ranges), high_symbols_(high_symbols), high_variables_(high_variables) {}

  // Absent if the point is not in the domain, or there is no value.
  std::optional<int64_t> value(Expr e) {
    if (contains_element(e)) return std::nullopt;
    for (uint32_t id : variables_of(e)) {
      const std::optional<int64_t> extent = extent_of(id);
      if (extent && *extent <= 0) return std::nullopt;
      if (!extent && ranges_.extent(id)) return std::nullopt;
    }
    for (Expr s : symbols_of(e)) {
      const Span64 bounds = node_of(s).span;
      symbols_[s.name()] = high_symbols_ ? std::min(bounds.hi, bounds.lo + 4096) : bounds.lo;
    }
    try {
      return evaluate(e, [this](uint32_t id) { return variable(id); }, symbols_);
    } catch (const InternalError&) {  // an overflow, or a division by zero
      return std::nullopt;
    }
  }

 private:
  // Absent if the variable has none, or it has no value here.
  std::optional<int64_t> extent_of(uint32_t id) {
    const auto known = extents_.find(id);
    if (known != extents_.end()) return known->second;
    const auto extent = ranges_.extent(id);
    if (!extent || depth_ == kMaxExtentDepth) return std::nullopt;
    ++depth_;
    const std::optional<int64_t> result = value(*extent);
    --depth_;
    return extents_[id] = result;
  }

  int64_t variable(uint32_t id) const {
    const auto known = extents_.find(id);
    const bool at_end = known != extents_.end() && known->second && high_variables_;
    return at_end ? *known->second - 1 : 0;
  }

  const Ranges& ranges_;
  bool high_symbols_, high_variables_;
  SymbolValues symbols_;
  std::unordered_map<uint32_t, std::optional<int64_t>> extents_;
  int depth_ = 0;
};

}  // namespace

uint32_t innermost_variable(const std::vector<uint32_t>& variables, const Ranges& ranges) {
  for (size_t i = variables.size(); i-- > 0;) {
    bool needed = false;
    for (size_t j = 0; j < variables.size() && !needed; ++j) {
      const auto extent = ranges.extent(variables[j]);
      needed = j != i && extent && contains_variable(*extent, variables[i]);
    }
    if (!needed) return variables[i];
  }
  return variables.back();
}

Span64 Prover::variable_span(uint32_t id, int depth) {
  const auto extent = ranges_.extent(id);
  if (!extent || depth >= kMaxExtentDepth) return extent ? Span64{0, Span64::kMax} : Span64{};
  const int64_t hi = span(*extent, depth + 1).hi;
  return {0, hi == Span64::kMax ? hi : std::max<int64_t>(hi, 1) - 1};
}

Span64 Prover::node_span(Expr e, int depth) {
  const ExprNode& node = node_of(e);
  if (node.kind == ExprKind::variable) return variable_span(node.id, depth);
  constexpr size_t kInline = 8;
  Span64 few[kInline];
  std::vector<Span64> many;
  Span64* operands = few;
  if (node.operands.size() > kInline) {
    many.resize(node.operands.size());
    operands = many.data();
  }
  for (size_t i = 0; i < node.operands.size(); ++i) operands[i] = span(node.operands[i], depth);
  return combine_spans(node, {operands, node.operands.size()});
}

Span64 Prover::span(Expr e, int depth) {
  const ExprNode& node = node_of(e);
  if (!node.has_variable) return node.span;
  auto it = spans_.find(e);
  if (it != spans_.end()) return it->second;
  if (node.depth > kMaxRecursion) fill_spans(e, depth);
  const Span64 result = node_span(e, depth);
  spans_.emplace(e, result);
  return result;
}

// Those below `root`, so that its own needs no recursion.
void Prover::fill_spans(Expr root, int depth) {
  const auto open = [this](Expr e) { return node_of(e).has_variable && !spans_.count(e); };
  std::vector<std::pair<Expr, bool>> stack{{root, false}};
  while (!stack.empty()) {
    const auto [e, ready] = stack.back();
    stack.pop_back();
    if (!open(e)) continue;
    if (ready) {
      spans_.emplace(e, node_span(e, depth));
      continue;
    }
    if (!(e == root)) stack.push_back({e, true});
    for (Expr operand : e.operands())
      if (open(operand)) stack.push_back({operand, false});
  }
}

Span64 Prover::span(Expr e) { return span(e, 0); }

// True if a corner of the domain shows that e < 0 there.
bool Prover::refuted(Expr e) const {
  if (node_of(e).has_element) return false;
  for (const bool high_symbols : {false, true}) {
    for (const bool high_variables : {false, true}) {
      const auto value = Corner{ranges_, high_symbols, high_variables}.value(e);
      if (value && *value < 0) return true;
    }
  }
  return false;
}

bool Prover::nonnegative(Expr e) {
  const Span64 bounds = span(e);
  if (bounds.lo >= 0) return true;
  if (bounds.hi < 0 || node_of(e).tree_size > kMaxTree || refuted(e)) return false;
  try {
    steps_ = kMaxSteps;
    return prove(e);
  } catch (const IndexOverflow&) {
    return false;
  }
}

bool Prover::less_equal(Expr a, Expr b) {
  try {
    return nonnegative(b - a);
  } catch (const IndexOverflow&) {
    return false;
  }
}

bool Prover::less(Expr a, Expr b) {
  try {
    return nonnegative(b - a - Expr(1));
  } catch (const IndexOverflow&) {
    return false;
  }
}

// Divisions and extrema first: what bounds them brings variables. Variables from the inside out,
// as extents bring variables and symbols. Symbols last.
std::optional<Expr> Prover::next_atom(Expr e) const {
  std::optional<Expr> symbol;
  std::vector<uint32_t> variables;
  for (const Term& term : split_terms(e)) {
    for (Expr factor : factors_of(term.monomial)) {
      switch (factor.kind()) {
        case ExprKind::floor_div:
        case ExprKind::mod:
        case ExprKind::min:
        case ExprKind::max:
          return factor;
        case ExprKind::variable:
          variables.push_back(factor.id());
          break;
        case ExprKind::symbol:
          if (!symbol) symbol = factor;
          break;
        case ExprKind::element:
        case ExprKind::constant:
        case ExprKind::add:
        case ExprKind::mul:
          break;
      }
    }
  }
  if (variables.empty()) return symbol;
  std::sort(variables.begin(), variables.end());
  variables.erase(std::unique(variables.begin(), variables.end()), variables.end());
  return Expr::variable(innermost_variable(variables, ranges_));
}

bool Prover::prove(Expr e) {
  if (span(e).lo >= 0) return true;
  if (--steps_ < 0 || span(e).hi < 0 || node_of(e).tree_size > kMaxTree) return false;
  const auto atom = next_atom(e);
  if (!atom) return false;
  if (atom->kind() == ExprKind::symbol && by_shifted_symbols(e)) return true;
  return eliminate(e, *atom);
}

// With every symbol written as its lower bound plus something not negative, no term is negative.
bool Prover::by_shifted_symbols(Expr e) {
  if (node_of(e).has_element || node_of(e).has_variable) return false;
  for (Expr s : symbols_of(e)) e = replace_factor(e, s, s + Expr(node_of(s).span.lo));
  for (const Term& term : split_terms(e)) {
    if (term.coefficient < 0) return false;
    for (Expr factor : factors_of(term.monomial))
      if (node_of(factor).span.lo < 0) return false;
  }
  return true;
}

bool Prover::eliminate(Expr e, Expr atom) {
  const auto split = split_atom(e, atom);
  const ExprKind kind = atom.kind();
  if (kind == ExprKind::variable || kind == ExprKind::symbol) {
    Expr lo = 0;
    std::optional<Expr> hi;
    if (kind == ExprKind::variable) {
      const auto extent = ranges_.extent(atom.id());
      if (!extent) return false;
      hi = *extent - Expr(1);
    } else {
      const Span64 bounds = node_of(atom).span;
      lo = bounds.lo;
      if (bounds.hi < kLargeSymbol) hi = Expr(bounds.hi);
    }
    if (split) return eliminate_between(lo, hi, split->coefficient, split->rest);
    return hi && eliminate_power(e, atom, lo, *hi);
  }
  if (!split) return false;
  if (kind == ExprKind::floor_div)
    return eliminate_floor_div(atom, split->coefficient, split->rest);
  if (kind == ExprKind::mod) return eliminate_mod(atom, split->coefficient, split->rest);
  return eliminate_extremum(atom, split->coefficient, split->rest);
}

// The atom lies in [lo, hi]; a linear function is smallest at an end.
bool Prover::eliminate_between(Expr lo, std::optional<Expr> hi, Expr coefficient, Expr rest) {
  const Span64 sign = span(coefficient);
  if (sign.lo < 0 && (!hi || !prove(coefficient * *hi + rest))) {
    if (hi || !prove(coefficient)) return false;
  }
  return (sign.lo < 0 && sign.hi <= 0) || prove(coefficient * lo + rest);
}

// Powers of an atom in [lo, hi], lo >= 0, term by term.
bool Prover::eliminate_power(Expr e, Expr atom, Expr lo, Expr hi) {
  std::vector<Expr> terms;
  for (const Term& term : split_terms(e)) {
    Expr rest = term.monomial, at_lo = 1, at_hi = 1;
    while (auto others = divide_monomial(rest, atom)) {
      rest = *others;
      at_lo = at_lo * lo;
      at_hi = at_hi * hi;
    }
    const Expr coefficient = make_term(term.coefficient, rest);
    const Span64 sign = span(coefficient);
    if (sign.lo < 0 && sign.hi > 0 && !(at_lo == at_hi)) return false;
    terms.push_back(coefficient * (sign.lo >= 0 ? at_lo : at_hi));
  }
  return prove(sum(terms));
}

// With q = floor_div(x, b), b > 0: x - b + 1 <= b*q <= x. If m divides e, e >= 0 follows from
// b*e + b*m - 1 >= 0.
bool Prover::eliminate_floor_div(Expr atom, Expr coefficient, Expr rest) {
  const Expr x = atom.operands()[0], b = atom.operands()[1];
  if (span(b).lo < 0) return false;
  const Span64 sign = span(coefficient), value = span(atom);
  if (sign.lo < 0 && sign.hi > 0) return false;
  const Expr bound = sign.lo >= 0 ? x - b + Expr(1) : x;
  constexpr uint64_t kMost = 1 << 20;  // any smaller m does, too
  const uint64_t divisor = node_of(coefficient * atom + rest).multiple;
  const Expr m = static_cast<int64_t>(std::clamp<uint64_t>(divisor, 1, kMost));
  if (prove(b * rest + coefficient * bound + b * m - Expr(1))) return true;
  const int64_t end = sign.lo >= 0 ? value.lo : value.hi;
  if (end == Span64::kMin || end == Span64::kMax) return false;
  return prove(rest + coefficient * Expr(end));
}

bool Prover::eliminate_mod(Expr atom, Expr coefficient, Expr rest) {
  const Expr x = atom.operands()[0], b = atom.operands()[1];
  if (span(b).lo < 0) return false;
  const Span64 sign = span(coefficient);
  if (sign.lo >= 0) return prove(rest);
  if (sign.hi > 0) return false;
  if (prove(rest + coefficient * (b - Expr(1)))) return true;
  return span(x).lo >= 0 && prove(rest + coefficient * x);
}

// min(a, b) is one of its operands, and at most each of them.
bool Prover::eliminate_extremum(Expr atom, Expr coefficient, Expr rest) {
  const Span64 sign = span(coefficient);
  const bool any = atom.kind() == ExprKind::min ? sign.hi <= 0 : sign.lo >= 0;
  for (Expr operand : atom.operands())
    if (prove(coefficient * operand + rest) == any) return any;
  return !any;
}

}  // namespace plait
