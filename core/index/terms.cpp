// Sums and products: their normal form is a sorted list of coefficient * monomial.
#include <algorithm>

#include "core/index/node.h"

namespace plait {

int64_t checked_add(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_add_overflow(a, b, &result))
    throw IndexOverflow(fmt::format("index arithmetic left 64 bits: {} + {}", a, b));
  return result;
}

int64_t checked_mul(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result))
    throw IndexOverflow(fmt::format("index arithmetic left 64 bits: {} * {}", a, b));
  return result;
}

int64_t floor_div_int(int64_t a, int64_t b) {
  if (b == -1) return checked_mul(a, -1);
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

int64_t mod_int(int64_t a, int64_t b) {
  if (b == -1) return 0;
  int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

uint64_t gcd_u64(uint64_t a, uint64_t b) {
  while (b) {
    a %= b;
    std::swap(a, b);
  }
  return a;
}

uint64_t magnitude(int64_t a) {
  return a < 0 ? ~static_cast<uint64_t>(a) + 1 : static_cast<uint64_t>(a);
}

std::span<const Expr> factors_of(const Expr& monomial) {
  const ExprNode& node = node_of(monomial);
  if (node.kind == ExprKind::constant) return {};
  if (node.kind == ExprKind::mul) return node.operands;
  return {&monomial, 1};
}

Expr make_monomial(std::span<const Expr> factors) {
  if (factors.empty()) return Expr(1);
  if (factors.size() == 1) return factors[0];
  return ExprFactory::intern(ExprKind::mul, 1, 0, factors);
}

Expr make_term(int64_t coefficient, Expr monomial) {
  if (coefficient == 0) return Expr(0);
  if (coefficient == 1) return monomial;
  const auto factors = factors_of(monomial);
  if (factors.empty()) return Expr(coefficient);
  std::vector<Expr> operands{Expr(coefficient)};
  operands.insert(operands.end(), factors.begin(), factors.end());
  return ExprFactory::intern(ExprKind::mul, coefficient, 0, operands, ExprFactory::node(monomial));
}

void append_terms(Expr e, std::vector<Term>& terms) {
  auto append = [&](Expr term) {
    const ExprNode& node = node_of(term);
    if (node.kind == ExprKind::constant) {
      if (node.value != 0) terms.push_back({node.value, Expr(1)});
    } else {
      const int64_t coefficient = node.kind == ExprKind::mul ? node.value : 1;
      terms.push_back({coefficient, ExprFactory::from(node.monomial)});
    }
  };
  if (e.kind() == ExprKind::add) {
    for (Expr term : e.operands()) append(term);
  } else {
    append(e);
  }
}

std::vector<Term> split_terms(Expr e) {
  std::vector<Term> terms;
  terms.reserve(e.kind() == ExprKind::add ? e.operands().size() : 1);
  append_terms(e, terms);
  return terms;
}

namespace {

bool term_before(const Term& a, const Term& b) {
  return Expr::compare(a.monomial, b.monomial) < 0;  // the constant one is last
}

void combine_equal(std::vector<Term>& terms) {
  std::stable_sort(terms.begin(), terms.end(), term_before);
  size_t kept = 0;
  for (size_t i = 0; i < terms.size();) {
    Term total = terms[i++];
    while (i < terms.size() && terms[i].monomial == total.monomial)
      total.coefficient = checked_add(total.coefficient, terms[i++].coefficient);
    if (total.coefficient != 0) terms[kept++] = total;
  }
  terms.erase(terms.begin() + static_cast<ptrdiff_t>(kept), terms.end());
}

// c * floor_div(x, d) * rest, where d divides both c and x, as (c / d) * x * rest.
std::optional<Expr> resolve_exact_div(const Term& term) {
  if (!node_of(term.monomial).has_exact_div) return std::nullopt;
  const auto factors = factors_of(term.monomial);
  for (size_t i = 0; i < factors.size(); ++i) {
    if (!node_of(factors[i]).has_exact_div || factors[i].kind() != ExprKind::floor_div) continue;
    const int64_t divisor = *factors[i].operands()[1].constant();
    if (mod_int(term.coefficient, divisor) != 0) continue;
    std::vector<Expr> rest(factors.begin(), factors.end());
    rest.erase(rest.begin() + static_cast<ptrdiff_t>(i));
    return make_term(floor_div_int(term.coefficient, divisor), make_monomial(rest)) *
           factors[i].operands()[0];
  }
  return std::nullopt;
}

// True if terms were replaced: they must be combined again.
bool resolve_exact_divs(std::vector<Term>& terms) {
  bool changed = false;
  for (size_t i = 0, end = terms.size(); i < end; ++i) {
    if (auto resolved = resolve_exact_div(terms[i])) {
      terms[i].coefficient = 0;
      append_terms(*resolved, terms);
      changed = true;
    }
  }
  return changed;
}

Expr multiply_monomials(Expr a, Expr b) {
  const auto x = factors_of(a), y = factors_of(b);
  if (x.empty()) return b;
  if (y.empty()) return a;
  std::vector<Expr> factors(x.size() + y.size(), Expr());
  std::merge(x.begin(), x.end(), y.begin(), y.end(), factors.begin(),
             [](Expr p, Expr q) { return Expr::compare(p, q) < 0; });
  return make_monomial(factors);
}

}  // namespace

Expr join_terms(std::vector<Term> terms) {
  do {
    combine_equal(terms);
  } while (resolve_exact_divs(terms));
  if (terms.empty()) return Expr(0);
  if (terms.size() == 1) return make_term(terms[0].coefficient, terms[0].monomial);
  std::vector<Expr> operands;
  operands.reserve(terms.size());
  for (const Term& term : terms) operands.push_back(make_term(term.coefficient, term.monomial));
  return ExprFactory::intern(ExprKind::add, 1, 0, operands);
}

Expr sum(std::span<const Expr> terms) {
  std::vector<Term> all;
  for (Expr e : terms) append_terms(e, all);
  return join_terms(std::move(all));
}

Expr product(std::span<const Expr> factors) {
  Expr result = 1;
  for (Expr e : factors) result = result * e;
  return result;
}

Expr operator+(Expr a, Expr b) {
  if (a.is_constant(0)) return b;
  if (b.is_constant(0)) return a;
  const Expr both[] = {a, b};
  return sum(both);
}

Expr operator*(Expr a, Expr b) {
  if (a.is_constant(0) || b.is_constant(0)) return Expr(0);
  if (a.is_constant(1)) return b;
  if (b.is_constant(1)) return a;
  const auto x = split_terms(a), y = split_terms(b);
  std::vector<Term> terms;
  terms.reserve(x.size() * y.size());
  for (const Term& p : x)
    for (const Term& q : y)
      terms.push_back(
          {checked_mul(p.coefficient, q.coefficient), multiply_monomials(p.monomial, q.monomial)});
  return join_terms(std::move(terms));
}

Expr operator-(Expr a) { return a * Expr(-1); }
Expr operator-(Expr a, Expr b) { return a + -b; }

std::optional<Expr> divide_monomial(Expr a, Expr b) {
  if (a == b) return Expr(1);
  const auto x = factors_of(a), y = factors_of(b);
  if (y.empty()) return a;
  if (y.size() >= x.size()) return std::nullopt;
  std::vector<Expr> rest;
  size_t used = 0;
  for (Expr factor : x) {
    if (used < y.size() && factor == y[used]) {
      ++used;
    } else {
      rest.push_back(factor);
    }
  }
  if (used != y.size()) return std::nullopt;
  return make_monomial(rest);
}

Expr common_monomial(Expr a, Expr b) {
  if (a == b) return a;
  const auto x = factors_of(a), y = factors_of(b);
  std::vector<Expr> common;
  std::set_intersection(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(common),
                        [](Expr p, Expr q) { return Expr::compare(p, q) < 0; });
  return make_monomial(common);
}

std::optional<Expr> divide_exactly(Expr e, int64_t coefficient, Expr monomial) {
  auto terms = split_terms(e);
  for (Term& term : terms) {
    if (mod_int(term.coefficient, coefficient) != 0) return std::nullopt;
    auto quotient = divide_monomial(term.monomial, monomial);
    if (!quotient) return std::nullopt;
    term = {floor_div_int(term.coefficient, coefficient), *quotient};
  }
  return join_terms(std::move(terms));
}

Term common_term(Term a, Term b) {
  const uint64_t divisor = gcd_u64(magnitude(a.coefficient), magnitude(b.coefficient));
  // 2^63 is no int64_t; half of it divides too.
  const uint64_t limit = static_cast<uint64_t>(Span64::kMax);
  return {static_cast<int64_t>(divisor > limit ? divisor / 2 : divisor),
          common_monomial(a.monomial, b.monomial)};
}

Term common_term(Expr e) {
  const auto terms = split_terms(e);
  Term common = terms.at(0);
  for (const Term& term : terms) common = common_term(common, term);
  return common;
}

std::vector<Expr> terms_of(Expr e) {
  if (e.kind() != ExprKind::add) return {e};
  return {e.operands().begin(), e.operands().end()};
}

}  // namespace plait
