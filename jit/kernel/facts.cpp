#include "jit/kernel/facts.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/error.h"

namespace plait::kernel {

namespace {

constexpr int kMaxDepth = 12;
constexpr int kMaxSteps = 2000;
constexpr int64_t kMaxCoefficient = int64_t{1} << 40;

// coefficient * product of factors; no factors for a number.
struct Product {
  int64_t coefficient = 1;
  std::vector<Expr> factors;
};

Product split_term(Expr term) {
  if (const auto number = term.constant()) return {*number, {}};
  if (term.kind() != ExprKind::mul) return {1, {term}};
  Product result;
  for (Expr factor : term.operands()) {
    if (const auto number = factor.constant()) {
      result.coefficient *= *number;
    } else {
      result.factors.push_back(factor);
    }
  }
  return result;
}

// The factors of `a` without those of `b`, if `a` has them all.
std::optional<std::vector<Expr>> divide(std::vector<Expr> a, const std::vector<Expr>& b) {
  for (Expr factor : b) {
    const auto found = std::find(a.begin(), a.end(), factor);
    if (found == a.end()) return std::nullopt;
    a.erase(found);
  }
  return a;
}

// Every node of the kinds below `e`, each once, inner ones first.
void collect(Expr e, std::vector<Expr>& found, bool (*wanted)(ExprKind)) {
  for (Expr operand : e.operands()) collect(operand, found, wanted);
  if (wanted(e.kind()) && std::find(found.begin(), found.end(), e) == found.end())
    found.push_back(e);
}

bool is_division(ExprKind kind) { return kind == ExprKind::floor_div || kind == ExprKind::mod; }
bool is_choice(ExprKind kind) { return kind == ExprKind::min || kind == ExprKind::max; }

Expr rebuild(Expr e, const std::vector<Expr>& operands) {
  switch (e.kind()) {
    case ExprKind::add:
      return sum(operands);
    case ExprKind::mul:
      return product(operands);
    case ExprKind::floor_div:
      return floor_div(operands[0], operands[1]);
    case ExprKind::mod:
      return mod(operands[0], operands[1]);
    case ExprKind::min:
    case ExprKind::max: {
      Expr result = operands[0];
      for (size_t i = 1; i < operands.size(); ++i)
        result = e.kind() == ExprKind::min ? min(result, operands[i]) : max(result, operands[i]);
      return result;
    }
    case ExprKind::constant:
    case ExprKind::symbol:
    case ExprKind::variable:
    case ExprKind::element:
      return e;
  }
  PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(e.kind()));
}

Expr replace(Expr e, Expr from, Expr to) {
  if (e == from) return to;
  if (e.operands().empty() || e.kind() == ExprKind::element) return e;
  std::vector<Expr> operands;
  for (Expr operand : e.operands()) operands.push_back(replace(operand, from, to));
  return rebuild(e, operands);
}

}  // namespace

void Facts::add_variable(uint32_t variable, Expr extent) {
  ranges_.set(variable, extent);
  variables_.push_back(variable);
  add_less(Expr::variable(variable), extent);
}

// A sum with a min that counts positively is one fact for each operand: min(a, b) + c >= 0 says
// that a + c >= 0 and b + c >= 0.
void Facts::add_nonnegative(Expr e) {
  for (Expr term : terms_of(e)) {
    const Product product = split_term(term);
    const bool is_number_times_choice = product.factors.size() == 1;
    if (!is_number_times_choice || !is_choice(product.factors[0].kind())) continue;
    const bool is_min = product.factors[0].kind() == ExprKind::min;
    if ((product.coefficient > 0) != is_min) continue;
    for (Expr operand : product.factors[0].operands())
      add_nonnegative(e - term + Expr(product.coefficient) * operand);
    return;
  }
  facts_.push_back(e);
}

void Facts::release(Mark mark) {
  facts_.erase(facts_.begin() + static_cast<std::ptrdiff_t>(mark.facts), facts_.end());
  variables_.resize(mark.variables);
}

bool Facts::proves_nonnegative(Expr e) const {
  const Expr goal = simplify(e, ranges_);
  if (has_lower_bound(goal)) return true;
  std::vector<Expr> choices;
  collect(goal, choices, is_choice);
  if (!choices.empty() && choices.size() <= 6) {
    // A min or max is one of its operands: the goal must hold with each.
    const std::span<const Expr> operands = choices.back().operands();
    return std::all_of(operands.begin(), operands.end(), [&](Expr operand) {
      return proves_nonnegative(replace(goal, choices.back(), operand));
    });
  }
  int budget = kMaxSteps;
  return prove(goal, with_divisions(goal), 0, budget);
}

bool Facts::has_lower_bound(Expr e) const {
  const Interval interval = bounds(e, ranges_);
  return interval.lo && *interval.lo >= 0;
}

// What holds of each quotient and remainder in the goal and the facts.
std::vector<Expr> Facts::with_divisions(Expr goal) const {
  std::vector<Expr> all = facts_;
  std::vector<Expr> divisions;
  for (Expr fact : facts_) collect(fact, divisions, is_division);
  collect(goal, divisions, is_division);
  for (Expr division : divisions) {
    const Expr a = division.operands()[0];
    const Expr d = division.operands()[1];
    if (!has_lower_bound(d - 1)) continue;
    if (division.kind() == ExprKind::mod) {
      all.push_back(d - 1 - division);
      continue;
    }
    all.push_back(a - d * division);
    all.push_back(d * division + d - 1 - a);
    // a <= U gives floor_div(a, d) <= floor_div(U, d).
    for (Expr fact : facts_) {
      const Expr upper = fact + a;
      const auto variables = variables_of(a);
      const bool is_free = std::none_of(variables.begin(), variables.end(),
                                        [&](uint32_t v) { return contains_variable(upper, v); });
      if (is_free) all.push_back(floor_div(upper, d) - division);
    }
    if (const auto upper = upper_bound(a, ranges_)) all.push_back(floor_div(*upper, d) - division);
  }
  return all;
}

// 0 for a number, 1 for symbols alone, then by the newest variable.
size_t Facts::age(Expr term) const {
  if (term.constant()) return 0;
  size_t newest = 1;
  for (uint32_t v : variables_of(term)) {
    const auto found = std::find(variables_.rbegin(), variables_.rend(), v);
    if (found != variables_.rend())
      newest = std::max(newest, static_cast<size_t>(variables_.rend() - found) + 1);
  }
  return newest;
}

bool Facts::prove(Expr goal, const std::vector<Expr>& facts, int depth, int& budget) const {
  if (has_lower_bound(goal)) return true;
  if (depth == kMaxDepth || --budget < 0) return false;
  std::vector<Expr> negative;
  for (Expr term : terms_of(goal))
    if (split_term(term).coefficient < 0) negative.push_back(term);
  std::stable_sort(negative.begin(), negative.end(),
                   [&](Expr a, Expr b) { return age(a) > age(b); });
  for (Expr term : negative) {
    const Product wanted = split_term(term);
    for (auto fact = facts.rbegin(); fact != facts.rend(); ++fact) {
      for (Expr fact_term : terms_of(*fact)) {
        const Product offered = split_term(fact_term);
        if (offered.coefficient >= 0) continue;
        const auto rest = divide(wanted.factors, offered.factors);
        if (!rest) continue;
        const Expr factor = product(*rest);
        if (!has_lower_bound(factor)) continue;
        // scale * goal = times * factor * fact + remainder, without this term.
        const int64_t common = std::gcd(wanted.coefficient, offered.coefficient);
        const int64_t scale = -offered.coefficient / common;
        const int64_t times = -wanted.coefficient / common;
        if (scale > kMaxCoefficient || times > kMaxCoefficient) continue;
        const Expr remainder = simplify(Expr(scale) * goal - Expr(times) * factor * *fact, ranges_);
        if (prove(remainder, facts, depth + 1, budget)) return true;
        if (budget < 0) return false;
      }
    }
  }
  return false;
}

}  // namespace plait::kernel
