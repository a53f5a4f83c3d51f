// Normal forms of floor_div, mod, min and max that need no bounds of variables.
//
// The rules hold wherever the expression has a value: a divisor is then not 0.
#include <algorithm>

#include "core/index/node.h"

namespace plait {

namespace {

// a = quotient * b + remainder, with what of `a` is visibly a multiple of b in the quotient.
struct Division {
  Expr quotient;
  Expr remainder;
};

uint64_t multiple_of(const Term& term) {
  return node_of(make_term(term.coefficient, term.monomial)).multiple;
}

// term / divisor, where the known multiples of the factors make that a whole number. A factor f
// that must be divided becomes f/m, with m all that is known to divide f, so that no second form
// arises.
Expr exact_quotient(const Term& term, int64_t divisor) {
  uint64_t left = static_cast<uint64_t>(divisor);
  const uint64_t common = gcd_u64(magnitude(term.coefficient), left);
  left /= common;
  Expr result = term.coefficient / static_cast<int64_t>(common);
  for (Expr factor : factors_of(term.monomial)) {
    const uint64_t multiple = node_of(factor).multiple, shared = gcd_u64(multiple, left);
    if (shared > 1) {
      const Expr operands[] = {factor, Expr(static_cast<int64_t>(multiple))};
      factor = ExprFactory::intern(ExprKind::floor_div, 1, 0, operands) *
               Expr(static_cast<int64_t>(multiple / shared));
      left /= shared;
    }
    result = result * factor;
  }
  PLAIT_INTERNAL_CHECK(left == 1, "{} does not divide the term", divisor);
  return result;
}

Division split_by_constant(Expr a, int64_t c) {
  Expr quotient = 0;
  std::vector<Term> rest;
  for (const Term& term : split_terms(a)) {
    int64_t q = term.coefficient / c, r = term.coefficient % c;
    if (term.monomial.is_constant(1)) {
      q = floor_div_int(term.coefficient, c);
      r = mod_int(term.coefficient, c);
    } else if (r != 0 && multiple_of(term) % static_cast<uint64_t>(c) == 0) {
      quotient = quotient + exact_quotient(term, c);
      continue;
    }
    quotient = quotient + make_term(q, term.monomial);
    if (r != 0) rest.push_back({r, term.monomial});
  }
  return {quotient, join_terms(std::move(rest))};
}

Division split_by_term(Expr a, const Term& b) {
  Expr quotient = 0;
  std::vector<Term> rest;
  for (const Term& term : split_terms(a)) {
    const auto monomial = divide_monomial(term.monomial, b.monomial);
    if (!monomial || b.coefficient == -1) {
      rest.push_back(term);
      continue;
    }
    quotient = quotient + make_term(term.coefficient / b.coefficient, *monomial);
    const int64_t r = term.coefficient % b.coefficient;
    if (r != 0) rest.push_back({r, term.monomial});
  }
  return {quotient, join_terms(std::move(rest))};
}

// By a sum: polynomial division, each step of which must leave fewer terms.
Division split_by_sum(Expr a, Expr b) {
  const auto divisor = split_terms(b);
  const Term* lead = &divisor[0];
  for (const Term& term : divisor)
    if (factors_of(term.monomial).size() > factors_of(lead->monomial).size()) lead = &term;
  Expr quotient = 0;
  for (bool changed = true; changed;) {
    changed = false;
    const auto terms = split_terms(a);
    for (const Term& term : terms) {
      const auto monomial = divide_monomial(term.monomial, lead->monomial);
      if (!monomial || mod_int(term.coefficient, lead->coefficient) != 0) continue;
      const Expr q = make_term(floor_div_int(term.coefficient, lead->coefficient), *monomial);
      const Expr left = a - q * b;
      if (split_terms(left).size() >= terms.size()) continue;
      quotient = quotient + q;
      a = left;
      changed = true;
      break;
    }
  }
  return {quotient, a};
}

Division split_multiples(Expr a, Expr b) {
  if (auto c = b.constant()) return split_by_constant(a, *c);
  if (b.kind() == ExprKind::add) return split_by_sum(a, b);
  return split_by_term(a, split_terms(b)[0]);
}

// True if the divisor is to be made positive.
bool is_negative(Expr b) {
  if (b.kind() == ExprKind::add) return node_of(b).span.hi <= -1;
  return split_terms(b)[0].coefficient < 0;
}

// Divides both by their common factor and returns that.
Expr cancel(Expr& a, Expr& b) {
  const Term common = common_term(common_term(a), common_term(b));
  if (common.coefficient == 1 && common.monomial.is_constant(1)) return Expr(1);
  a = *divide_exactly(a, common.coefficient, common.monomial);
  b = *divide_exactly(b, common.coefficient, common.monomial);
  return make_term(common.coefficient, common.monomial);
}

// The part of the constant term that can't carry: 3 of 4*i + 7 by 8, as all else is a multiple
// of 4.
int64_t idle_constant(Expr a, Expr b) {
  const auto c = b.constant();
  if (!c) return 0;
  uint64_t step = magnitude(*c);
  int64_t constant = 0;
  for (const Term& term : split_terms(a)) {
    if (term.monomial.is_constant(1)) {
      constant = term.coefficient;
    } else {
      step = gcd_u64(step, multiple_of(term));
    }
  }
  return mod_int(constant, static_cast<int64_t>(step));
}

// floor_div(r + floor_div(x, d), b) = floor_div(d*r + x, d*b) for b > 0. One quotient at most is
// taken: with two there would be a choice.
bool merge_nested(Expr& a, Expr& b) {
  if (!is_positive_divisor(b)) return false;
  std::optional<Expr> nested;
  for (const Term& term : split_terms(a)) {
    if (term.coefficient != 1 || term.monomial.kind() != ExprKind::floor_div) continue;
    if (nested) return false;
    nested = term.monomial;
  }
  if (!nested) return false;
  const Expr x = nested->operands()[0], d = nested->operands()[1];
  if (d.is_constant(0)) return false;
  a = (a - *nested) * d + x;
  b = b * d;
  return true;
}

// floor_div(mod(x, k*b), b) = mod(floor_div(x, b), k) for b, k > 0.
std::optional<Expr> divide_remainder(Expr a, Expr b) {
  if (a.kind() != ExprKind::mod || b.kind() == ExprKind::add || !is_positive_divisor(b))
    return std::nullopt;
  const Term divisor = split_terms(b)[0];
  const auto k = divide_exactly(a.operands()[1], divisor.coefficient, divisor.monomial);
  if (!k || !is_positive_divisor(*k)) return std::nullopt;
  return mod(floor_div(a.operands()[0], b), *k);
}

Expr raw(ExprKind kind, Expr a, Expr b) {
  const Expr operands[] = {a, b};
  return ExprFactory::intern(kind, 1, 0, operands);
}

Expr normal_floor_div(Expr a, Expr b) {
  if (is_negative(b)) {
    a = -a;
    b = -b;
  }
  Expr quotient = 0;
  while (true) {
    const Division parts = split_multiples(a, b);
    quotient = quotient + parts.quotient;
    a = parts.remainder;
    if (a.is_constant(0)) return quotient;
    cancel(a, b);
    if (b.is_constant(1)) return quotient + a;
    if (int64_t idle = idle_constant(a, b)) {
      a = a - Expr(idle);
    } else if (auto result = divide_remainder(a, b)) {
      return quotient + *result;
    } else if (!merge_nested(a, b)) {
      if (split_multiples(a, b).quotient.is_constant(0)) break;
    }
  }
  return quotient + raw(ExprKind::floor_div, a, b);
}

// Replaces one mod(x, m) within `a`, as a factor of a term c*mod(x, m) with b | c*m, by x.
bool drop_inner_mod(Expr& a, Expr b) {
  const auto terms = split_terms(a);
  for (const Term& term : terms) {
    const auto factors = factors_of(term.monomial);
    for (size_t i = 0; i < factors.size(); ++i) {
      if (factors[i].kind() != ExprKind::mod) continue;
      std::vector<Expr> others(factors.begin(), factors.end());
      others.erase(others.begin() + static_cast<ptrdiff_t>(i));
      const Expr rest = make_term(term.coefficient, make_monomial(others));
      const Expr x = factors[i].operands()[0], m = factors[i].operands()[1];
      if (m.is_constant(0) || !split_multiples(rest * m, b).remainder.is_constant(0)) continue;
      a = a - make_term(term.coefficient, term.monomial) + rest * x;
      return true;
    }
  }
  return false;
}

Expr normal_mod(Expr a, Expr b) {
  Expr factor = 1, offset = 0;
  if (is_negative(b)) {
    a = -a;
    b = -b;
    factor = -1;
  }
  while (true) {
    a = split_multiples(a, b).remainder;
    if (a.is_constant(0)) return offset;
    factor = factor * cancel(a, b);
    if (b.is_constant(1)) return offset;
    if (int64_t idle = idle_constant(a, b)) {
      a = a - Expr(idle);
      offset = offset + factor * Expr(idle);
    } else if (!drop_inner_mod(a, b)) {
      if (split_multiples(a, b).quotient.is_constant(0)) break;
    }
  }
  return offset + factor * raw(ExprKind::mod, a, b);
}

// a = base + constant.
struct Offset {
  Expr base;
  int64_t constant;
};

Offset split_constant(Expr a) {
  if (auto c = a.constant()) return {Expr(0), *c};
  auto terms = split_terms(a);
  if (!terms.back().monomial.is_constant(1)) return {a, 0};
  const int64_t constant = terms.back().coefficient;
  terms.pop_back();
  return {join_terms(std::move(terms)), constant};
}

Expr extremum(ExprKind kind, Expr a, Expr b) {
  std::vector<Offset> operands;
  for (Expr e : {a, b}) {
    if (e.kind() == kind) {
      for (Expr operand : e.operands()) operands.push_back(split_constant(operand));
    } else {
      operands.push_back(split_constant(e));
    }
  }
  std::sort(operands.begin(), operands.end(), [kind](const Offset& x, const Offset& y) {
    if (int order = Expr::compare(x.base, y.base)) return order < 0;
    return kind == ExprKind::min ? x.constant < y.constant : x.constant > y.constant;
  });
  std::vector<Expr> kept;
  for (size_t i = 0; i < operands.size(); ++i)
    if (i == 0 || !(operands[i].base == operands[i - 1].base))
      kept.push_back(operands[i].base + Expr(operands[i].constant));
  if (kept.size() == 1) return kept[0];
  return ExprFactory::intern(kind, 1, 0, kept);
}

}  // namespace

Expr floor_div(Expr a, Expr b) {
  if (b.is_constant(0)) return raw(ExprKind::floor_div, a, b);  // has no value; folds to nothing
  if (a.is_constant(0) || b.is_constant(1)) return a;
  if (a == b) return Expr(1);
  try {
    return normal_floor_div(a, b);
  } catch (const IndexOverflow&) {
    return raw(ExprKind::floor_div, a, b);
  }
}

Expr mod(Expr a, Expr b) {
  if (b.is_constant(0)) return raw(ExprKind::mod, a, b);
  if (a.is_constant(0) || b.is_constant(1) || a == b) return Expr(0);
  try {
    return normal_mod(a, b);
  } catch (const IndexOverflow&) {
    return raw(ExprKind::mod, a, b);
  }
}

Expr min(Expr a, Expr b) { return a == b ? a : extremum(ExprKind::min, a, b); }
Expr max(Expr a, Expr b) { return a == b ? a : extremum(ExprKind::max, a, b); }

Expr ceil_div(Expr a, Expr b) {
  if (is_positive_divisor(b)) return floor_div(a + b - Expr(1), b);
  return -floor_div(-a, b);
}

}  // namespace plait
