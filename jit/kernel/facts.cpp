#include "jit/kernel/facts.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/error.h"

namespace plait::kernel {

namespace {

constexpr int kMaxDepth = 5;
constexpr int kMaxSteps = 8;  // of the proofs that tests find, all but a handful take six or fewer
constexpr int64_t kMaxCoefficient = int64_t{1} << 24;

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

// coefficient * factors, for each term of a sum but its number.
struct Monomial {
  int64_t coefficient;
  Expr factors;
};

std::vector<Monomial> monomials_of(Expr e) {
  std::vector<Monomial> result;
  for (Expr term : terms_of(e)) {
    const Product split = split_term(term);
    if (!split.factors.empty()) result.push_back({split.coefficient, product(split.factors)});
  }
  return result;
}

// The largest multiple of the fact's terms of one sign that are in the goal; 0 if it lacks one.
int64_t times_covered(const std::vector<Monomial>& fact, const std::vector<Monomial>& goal,
                      bool positive) {
  std::optional<int64_t> times;
  for (const Monomial& term : fact) {
    if ((term.coefficient > 0) != positive) continue;
    const auto found = std::find_if(goal.begin(), goal.end(), [&](const Monomial& other) {
      return other.factors == term.factors && (other.coefficient > 0) == positive;
    });
    if (found == goal.end()) return 0;
    const int64_t here = found->coefficient / term.coefficient;
    times = std::min(times.value_or(here), here);
  }
  return times.value_or(0);
}

// What makes the fact's first negative term one of the goal's; 1 if it has none.
std::vector<Expr> multipliers(const std::vector<Monomial>& fact,
                              const std::vector<Monomial>& goal) {
  const auto first = std::find_if(fact.begin(), fact.end(),
                                  [](const Monomial& term) { return term.coefficient < 0; });
  if (first == fact.end()) return {1};
  std::vector<Expr> result;
  for (const Monomial& term : goal) {
    if (term.coefficient >= 0) continue;
    const auto rest = divide(split_term(term.factors).factors, split_term(first->factors).factors);
    if (rest) result.push_back(product(*rest));
  }
  return result;
}

// What is nonnegative exactly if e is, without a number that divides all terms but e's number.
Expr without_common_factor(Expr e) {
  int64_t common = 0;
  for (const Monomial& term : monomials_of(e)) common = std::gcd(common, term.coefficient);
  if (common <= 1) return e;
  Expr result = 0;
  for (Expr term : terms_of(e)) result = result + floor_div(term, common);
  return result;
}

// Every floor_div in `e`, each once.
void collect_quotients(Expr e, std::vector<Expr>& found) {
  for (Expr operand : e.operands()) collect_quotients(operand, found);
  if (e.kind() == ExprKind::floor_div && std::find(found.begin(), found.end(), e) == found.end())
    found.push_back(e);
}

// e = factor * extremum + rest, for the first min or max that is a factor of a term.
struct ExtremumTerm {
  Expr extremum;
  int64_t coefficient;
  Expr others;  // factor = coefficient * others
  Expr rest;
};

std::optional<ExtremumTerm> find_extremum(Expr e) {
  for (Expr term : terms_of(e)) {
    const Product product = split_term(term);
    for (size_t i = 0; i < product.factors.size(); ++i) {
      const Expr extremum = product.factors[i];
      if (extremum.kind() != ExprKind::min && extremum.kind() != ExprKind::max) continue;
      std::vector<Expr> others = product.factors;
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
      return ExtremumTerm{extremum, product.coefficient, plait::product(others), e - term};
    }
  }
  return std::nullopt;
}

}  // namespace

void Facts::add_variable(uint32_t variable, Expr extent) {
  ranges_.set(variable, extent);
  variables_.push_back(variable);
  add_less(Expr::variable(variable), extent);
}

// A sum with a min that counts positively is one fact for each operand: min(a, b) + c >= 0 says
// that a + c >= 0 and b + c >= 0. Of a max that counts positively, what cannot suffice falls away:
// max(a, b) + c >= 0 says that a + c >= 0 where b + c is negative. And floor_div(a, d) + c >= 0
// also says that a + d*c >= 0.
void Facts::add_nonnegative(Expr e) {
  for (Expr term : terms_of(e)) {
    const Product product = split_term(term);
    if (product.factors.size() != 1) continue;
    const bool is_min = product.factors[0].kind() == ExprKind::min;
    if (!is_min && product.factors[0].kind() != ExprKind::max) continue;
    const auto with = [&](Expr operand) { return e - term + Expr(product.coefficient) * operand; };
    const std::span<const Expr> operands = product.factors[0].operands();
    if ((product.coefficient > 0) == is_min) {
      for (Expr operand : operands) add_nonnegative(with(operand));
      return;
    }
    std::vector<Expr> left;
    for (Expr operand : operands)
      if (!holds_by_ranges(-1 - with(operand))) left.push_back(operand);
    if (left.size() == 1) return add_nonnegative(with(left.front()));
  }
  facts_.push_back(e);
  for (Expr term : terms_of(e)) {
    const Product product = split_term(term);
    if (product.coefficient < 0 || product.factors.size() != 1) continue;
    if (product.factors[0].kind() != ExprKind::floor_div) continue;
    const Expr a = product.factors[0].operands()[0];
    const Expr d = product.factors[0].operands()[1];
    if (!holds_by_ranges(d - 1)) continue;
    try {
      add_nonnegative(
          without_common_factor(simplify(d * (e - term) + product.coefficient * a, ranges_)));
    } catch (const InternalError&) {
      // Its numbers leave 64 bits.
    }
    return;
  }
}

void Facts::release(Mark mark) {
  facts_.erase(facts_.begin() + static_cast<std::ptrdiff_t>(mark.facts), facts_.end());
  variables_.resize(mark.variables);
}

bool Facts::proves_nonnegative(Expr e) const {
  int budget = kMaxSteps;
  try {
    if (holds_by_cover(e) || holds_by_ranges(e)) return true;
    if (const auto undivided = without_quotient(e)) {
      const bool holds = proves_nonnegative(undivided->goal);
      if (holds || undivided->is_exact) return holds;
    }
    if (is_refuted(e)) return false;
    if (prove(simplify(e, ranges_), with_quotients(e), 0, budget)) return true;
    const Expr rest = without_nonnegative_quotients(e);
    if (!(rest == e) && proves_nonnegative(rest)) return true;
    const Expr quotients = without_remainders(e);
    return !(quotients == e) && proves_nonnegative(quotients);
  } catch (const InternalError&) {
    return false;  // numbers left 64 bits on the way
  }
}

// Takes off multiples of facts (by numbers, sizes and variables) whose positive or whose negative
// terms e covers, those of most terms first, and looks whether the ranges do for what is left:
// enough for most addresses, whose guards are the sums that they consist of.
bool Facts::holds_by_cover(Expr e) const {
  Expr rest = plait::simplify(e, ranges_);
  auto holds = [&] { return bounds(rest, ranges_).lo.value_or(-1) >= 0; };
  if (holds()) return true;
  std::vector<std::pair<std::vector<Monomial>, Expr>> facts;
  for (auto fact = facts_.rbegin(); fact != facts_.rend(); ++fact) {
    facts.emplace_back(monomials_of(*fact), *fact);
  }
  std::stable_sort(facts.begin(), facts.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  for (const auto& [offered, fact] : facts) {
    for (Expr multiplier : multipliers(offered, monomials_of(rest))) {
      if (!holds_by_ranges(multiplier)) continue;
      const Expr more = multiplier * fact;
      const std::vector<Monomial> wanted = monomials_of(rest), given = monomials_of(more);
      const int64_t positive = times_covered(given, wanted, true);
      const int64_t negative = times_covered(given, wanted, false);
      const int64_t times = positive > 0 && negative > 0 ? std::min(positive, negative)
                                                         : std::max(positive, negative);
      if (times == 0) continue;
      rest = rest - times * more;
      if (holds()) return true;
    }
  }
  return holds_by_ranges(plait::simplify(rest, ranges_));
}

// An expression that is nonnegative only if e is, without one of its terms c*floor_div(a, d): with
// d > 0 and c dividing g, g + c*floor_div(a, d) >= 0 if and only if d*g + c*a >= 0, and for
// negative c, d*g + c*(a - d + 1) >= 0. What c does not divide counts by its least value, rounded
// down.
std::optional<Facts::Undivided> Facts::without_quotient(Expr e) const {
  for (Expr term : terms_of(e)) {
    const Product product = split_term(term);
    if (product.factors.size() != 1) continue;
    const Expr quotient = product.factors[0];
    if (quotient.kind() != ExprKind::floor_div) continue;
    const Expr a = quotient.operands()[0];
    const Expr d = quotient.operands()[1];
    if (!holds_by_ranges(d - 1)) continue;
    const int64_t c = product.coefficient, step = std::abs(c);
    Expr multiples = 0;
    for (Expr other : terms_of(e - term))
      if (is_multiple_of(other, step)) multiples = multiples + other;
    const Expr others = e - term - multiples;
    const std::optional<int64_t> least = bounds(others, ranges_).lo;
    if (!least) continue;
    const Expr g = multiples + step * *floor_div(Expr(*least), step).constant();
    return Undivided{simplify(d * g + c * (c > 0 ? a : a - d + 1), ranges_),
                     others.constant().has_value()};
  }
  return std::nullopt;
}

// e less its terms `c * floor_div(a, d)` with c > 0, d > 0 and a >= 0.
Expr Facts::without_nonnegative_quotients(Expr e) const {
  Expr rest = e;
  for (Expr term : terms_of(e)) {
    const Product product = split_term(term);
    if (product.coefficient <= 0 || product.factors.size() != 1) continue;
    const Expr quotient = product.factors[0];
    if (quotient.kind() != ExprKind::floor_div) continue;
    const bool nonnegative =
        holds_by_ranges(quotient.operands()[1] - 1) && proves_nonnegative(quotient.operands()[0]);
    if (nonnegative) rest = rest - term;
  }
  return rest;
}

// e with its terms `c * mod(a, d)`, d > 0, as `c * (a - d * floor_div(a, d))`.
Expr Facts::without_remainders(Expr e) const {
  Expr result = e;
  for (Expr term : terms_of(e)) {
    const Product product = split_term(term);
    if (product.factors.size() != 1 || product.factors[0].kind() != ExprKind::mod) continue;
    const Expr a = product.factors[0].operands()[0];
    const Expr d = product.factors[0].operands()[1];
    if (!holds_by_ranges(d - 1)) continue;
    result = result - term + product.coefficient * (a - d * floor_div(a, d));
  }
  return result;
}

bool Facts::holds_by_ranges(Expr e) const { return prove_less(-1, e, ranges_) == true; }

// What holds of each quotient floor_div(a, d) with d > 0: d*quotient <= a <= d*quotient + d - 1;
// and of those in the goal, from a - fact <= a <= a + fact, the same of the quotients.
std::vector<Expr> Facts::with_quotients(Expr goal) const {
  std::vector<Expr> all;
  std::vector<Expr> quotients;
  collect_quotients(goal, quotients);
  for (Expr quotient : quotients) {
    const Expr a = quotient.operands()[0];
    const Expr d = quotient.operands()[1];
    if (!holds_by_ranges(d - 1)) continue;
    for (Expr fact : facts_) {
      all.push_back(floor_div(a + fact, d) - quotient);
      all.push_back(quotient - floor_div(a - fact, d));
    }
  }
  for (Expr fact : facts_) collect_quotients(fact, quotients);
  for (Expr quotient : quotients) {
    const Expr a = quotient.operands()[0];
    const Expr d = quotient.operands()[1];
    if (!holds_by_ranges(d - 1)) continue;
    all.push_back(d * quotient + d - 1 - a);
    all.push_back(a - d * quotient);
  }
  // The conditions themselves are tried before what follows from them.
  all.insert(all.end(), facts_.begin(), facts_.end());
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

// The goal itself does not hold by the ranges.
bool Facts::prove(Expr goal, const std::vector<Expr>& facts, int depth, int& budget) const {
  if (depth == kMaxDepth || --budget < 0) return false;
  if (const auto found = find_extremum(goal)) {
    // With a factor of the right sign, any operand is a bound; else the extremum is one of them.
    const std::span<const Expr> operands = found->extremum.operands();
    const auto holds_with = [&](Expr operand) {
      const Expr factor = Expr(found->coefficient) * found->others;
      const Expr one = simplify(factor * operand + found->rest, ranges_);
      return holds_by_ranges(one) || prove(one, facts, depth + 1, budget);
    };
    const bool is_bounded = (found->extremum.kind() == ExprKind::min) == (found->coefficient < 0) &&
                            holds_by_ranges(found->others);
    if (!is_bounded) return std::all_of(operands.begin(), operands.end(), holds_with);
    if (std::any_of(operands.begin(), operands.end(), holds_with)) return true;
  }
  const std::vector<Expr> remainders = remainders_of(goal, facts);
  const auto holds = [&](Expr e) { return holds_by_ranges(e); };
  if (std::any_of(remainders.begin(), remainders.end(), holds)) return true;
  return std::any_of(remainders.begin(), remainders.end(),
                     [&](Expr e) { return prove(e, facts, depth + 1, budget); });
}

// What is left of the goal, or of a multiple of it, when a fact has cancelled one of its negative
// terms: goals that imply this one, the most promising first.
std::vector<Expr> Facts::remainders_of(Expr goal, const std::vector<Expr>& facts) const {
  std::vector<Expr> negative;
  for (Expr term : terms_of(goal))
    if (split_term(term).coefficient < 0) negative.push_back(term);
  std::stable_sort(negative.begin(), negative.end(),
                   [&](Expr a, Expr b) { return age(a) > age(b); });
  std::vector<Expr> result;
  for (Expr term : negative) {
    const Product wanted = split_term(term);
    for (auto fact = facts.rbegin(); fact != facts.rend(); ++fact) {
      for (Expr fact_term : terms_of(*fact)) {
        const Product offered = split_term(fact_term);
        if (offered.coefficient >= 0) continue;
        if (offered.factors.empty() && !wanted.factors.empty()) continue;
        const auto rest = divide(wanted.factors, offered.factors);
        if (!rest) continue;
        const Expr factor = product(*rest);
        if (!holds_by_ranges(factor)) continue;
        // scale * goal = times * factor * fact + remainder, without this term.
        const int64_t common = std::gcd(wanted.coefficient, offered.coefficient);
        const int64_t scale = -offered.coefficient / common;
        const int64_t times = -wanted.coefficient / common;
        if (scale > kMaxCoefficient || times > kMaxCoefficient) continue;
        result.push_back(simplify(Expr(scale) * goal - Expr(times) * factor * *fact, ranges_));
      }
    }
  }
  return result;
}

}  // namespace plait::kernel
