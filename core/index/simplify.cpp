#include "core/index/simplify.h"

#include <algorithm>

#include "core/index/prove.h"

namespace plait {

namespace {

constexpr int kMaxPasses = 64;
constexpr size_t kMaxExtremumOperands = 16;

uint64_t multiple_of(const Term& term) {
  return node_of(make_term(term.coefficient, term.monomial)).multiple;
}

// Divisions count first.
std::pair<uint32_t, uint32_t> cost_of(Expr e) {
  return {node_of(e).divisions, node_of(e).tree_size};
}

int64_t coefficient_in(const std::vector<Term>& terms, Expr monomial) {
  for (const Term& term : terms)
    if (term.monomial == monomial) return term.coefficient;
  return 0;
}

// a = multiple + rest with the multiple a multiple of `step`; the constant term is in both.
struct Parts {
  Expr multiple;
  Expr rest;
};

class Simplifier {
 public:
  explicit Simplifier(const Ranges& ranges) : prover_(ranges) {}

  Expr run(Expr e) {
    for (int i = 0; i < kMaxPasses; ++i) {
      const Expr next = pass(e);
      if (next == e) break;
      e = next;
    }
    return e;
  }

 private:
  // Every node once, bottom up. Results are kept over passes: a node has one result.
  Expr pass(Expr root) {
    if (auto it = done_.find(root); it != done_.end()) return it->second;
    for (Expr e : post_order(root)) {
      if (done_.count(e)) continue;
      std::vector<Expr> operands;
      for (Expr operand : e.operands()) operands.push_back(done_.at(operand));
      done_.emplace(e, improve(e, operands));
    }
    return done_.at(root);
  }

  // Rules that would leave 64 bits are not applied.
  Expr improve(Expr e, std::span<const Expr> operands) {
    Expr rebuilt = e;
    try {
      rebuilt = rebuild(e, operands);
      return apply_rules(rebuilt);
    } catch (const IndexOverflow&) {
      return rebuilt;
    }
  }

  Expr apply_rules(Expr e) {
    const Span64 span = prover_.span(e);
    if (span.lo == span.hi) return Expr(span.lo);
    switch (e.kind()) {
      case ExprKind::floor_div:
      case ExprKind::mod:
        return divide(e);
      case ExprKind::min:
      case ExprKind::max:
        return drop_operands(e);
      case ExprKind::add:
        return combine(e);
      case ExprKind::constant:
      case ExprKind::symbol:
      case ExprKind::variable:
      case ExprKind::element:
      case ExprKind::mul:
        return e;
    }
    PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(e.kind()));
  }

  // Numbers and terms, at least 2, that divide b and some of a's terms; the largest first, b itself
  // before all.
  static std::vector<Expr> steps_of(Expr a, Expr b) {
    std::vector<Expr> steps{b};
    if (auto c = b.constant()) {
      std::vector<int64_t> numbers;
      for (const Term& term : split_terms(a))
        numbers.push_back(static_cast<int64_t>(gcd_u64(multiple_of(term), magnitude(*c))));
      std::sort(numbers.rbegin(), numbers.rend());
      for (int64_t number : numbers)
        if (number > 1 && !steps.back().is_constant(number)) steps.push_back(Expr(number));
    } else if (b.kind() != ExprKind::add) {
      std::vector<Expr> terms;
      const Term divisor = split_terms(b)[0];
      for (const Term& term : split_terms(a)) {
        if (term.monomial.is_constant(1)) continue;
        const Term common = common_term(term, divisor);
        terms.push_back(make_term(common.coefficient, common.monomial));
      }
      std::sort(terms.begin(), terms.end(), [](Expr x, Expr y) {
        const size_t p = x.operands().size(), q = y.operands().size();
        return p != q ? p > q : Expr::compare(x, y) < 0;
      });
      terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
      for (Expr term : terms)
        if (!term.is_constant(1) && !(term == b)) steps.push_back(term);
    }
    return steps;
  }

  static Parts split_by_step(Expr a, Expr step) {
    Expr multiple = 0, rest = 0;
    const auto number = step.constant();
    for (const Term& term : split_terms(a)) {
      const Expr e = make_term(term.coefficient, term.monomial);
      if (!number) {
        const Term divisor = split_terms(step)[0];
        const bool divides = step.kind() != ExprKind::add &&
                             divide_exactly(e, divisor.coefficient, divisor.monomial);
        (divides ? multiple : rest) = (divides ? multiple : rest) + e;
      } else if (auto constant = e.constant()) {
        const int64_t left = mod_int(*constant, *number);
        multiple = multiple + Expr(checked_add(*constant, -left));
        rest = rest + Expr(left);
      } else {
        const bool divides = multiple_of(term) % magnitude(*number) == 0;
        (divides ? multiple : rest) = (divides ? multiple : rest) + e;
      }
    }
    return {multiple, rest};
  }

  // floor_div(e, step) if that is one number over the domain.
  std::optional<int64_t> constant_quotient(Expr e, Expr step) {
    const Span64 span = prover_.span(e);
    const auto number = step.constant();
    if (number && span.lo != Span64::kMin && span.hi != Span64::kMax) {
      const int64_t lo = floor_div_int(span.lo, *number), hi = floor_div_int(span.hi, *number);
      if (lo == hi) return lo;
    }
    if (prover_.nonnegative(e) && prover_.less(e, step)) return 0;
    if (prover_.less(e, Expr(0)) && prover_.nonnegative(e + step)) return -1;
    return std::nullopt;
  }

  // Where b = step * c with c > 0 and a = step * m + r with r in [q*step, (q+1)*step), r can't
  // carry: floor_div(a, b) = floor_div(step*m + step*q, b), and mod keeps r - step*q besides.
  Expr divide(Expr e) {
    const Expr a = e.operands()[0], b = e.operands()[1];
    if (b.is_constant(0)) return e;
    for (Expr step : steps_of(a, b)) {
      const Parts parts = split_by_step(a, step);
      if (parts.rest.is_constant(0)) continue;
      if (!(step == b) && (prover_.span(step).lo < 0 || prover_.span(b).lo < 0)) continue;
      const auto q = constant_quotient(parts.rest, step);
      if (!q || (step.constant() && *step.constant() < 0)) continue;
      const Expr base = step * Expr(*q), kept = parts.multiple + base;
      if (e.kind() == ExprKind::floor_div) return floor_div(kept, b);
      return mod(kept, b) + parts.rest - base;
    }
    return e;
  }

  Expr drop_operands(Expr e) {
    if (e.operands().size() > kMaxExtremumOperands) return e;
    std::vector<Expr> kept(e.operands().begin(), e.operands().end());
    const bool smallest = e.kind() == ExprKind::min;
    for (size_t i = 0; i < kept.size();) {
      bool needless = false;
      for (size_t j = 0; j < kept.size() && !needless; ++j)
        needless = j != i && (smallest ? prover_.less_equal(kept[j], kept[i])
                                       : prover_.less_equal(kept[i], kept[j]));
      if (needless) {
        kept.erase(kept.begin() + static_cast<ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    Expr result = kept[0];
    for (Expr operand : kept) result = smallest ? min(result, operand) : max(result, operand);
    return result;
  }

  // Joins quotients and remainders of one dividend.
  Expr combine(Expr e) {
    if (node_of(e).divisions == 0) return e;
    const auto terms = split_terms(e);
    for (const Term& term : terms) {
      if (node_of(term.monomial).divisions == 0) continue;
      const auto factors = factors_of(term.monomial);
      for (size_t i = 0; i < factors.size(); ++i) {
        const ExprKind kind = factors[i].kind();
        if (kind != ExprKind::mod && kind != ExprKind::floor_div) continue;
        if (factors[i].operands()[1].is_constant(0)) continue;
        std::vector<Expr> others(factors.begin(), factors.end());
        others.erase(others.begin() + static_cast<ptrdiff_t>(i));
        const Expr rest = make_term(term.coefficient, make_monomial(others));
        const auto result = kind == ExprKind::mod ? absorb_mod(e, terms, rest, factors[i])
                                                  : make_mod(e, terms, rest, factors[i]);
        if (result && cost_of(*result) < cost_of(e)) return *result;
      }
    }
    return e;
  }

  // rest*mod(x, n) + rest*n*floor_div(x, n) -> rest*x.
  static std::optional<Expr> absorb_mod(Expr e, const std::vector<Term>& terms, Expr rest,
                                        Expr remainder) {
    const Expr x = remainder.operands()[0], n = remainder.operands()[1];
    const Expr quotient = rest * n * floor_div(x, n);
    for (const Term& term : split_terms(quotient))
      if (node_of(term.monomial).divisions > 0 &&
          coefficient_in(terms, term.monomial) != term.coefficient)
        return std::nullopt;
    return e - rest * remainder + rest * x - quotient;
  }

  // rest*x - rest*n*floor_div(x, n) -> rest*mod(x, n); `factor` is -rest*n.
  static std::optional<Expr> make_mod(Expr e, const std::vector<Term>& terms, Expr factor,
                                      Expr quotient) {
    const Expr x = quotient.operands()[0], n = quotient.operands()[1];
    if (n.kind() == ExprKind::add) return std::nullopt;
    const Term divisor = split_terms(n)[0];
    const auto rest = divide_exactly(-factor, divisor.coefficient, divisor.monomial);
    if (!rest) return std::nullopt;
    const Expr whole = *rest * x;
    for (const Term& term : split_terms(whole))
      if (!term.monomial.is_constant(1) && coefficient_in(terms, term.monomial) != term.coefficient)
        return std::nullopt;
    return e - factor * quotient - whole + *rest * mod(x, n);
  }

  Prover prover_;
  std::unordered_map<Expr, Expr> done_;
};

}  // namespace

Expr simplify(Expr e, const Ranges& ranges) { return Simplifier(ranges).run(e); }

}  // namespace plait
