#include <algorithm>

#include "core/index/prove.h"

namespace plait {

namespace {

enum class Direction : uint8_t { none, up, down, unknown };

Direction flip(Direction d) {
  if (d == Direction::up) return Direction::down;
  return d == Direction::down ? Direction::up : d;
}

Direction join(Direction a, Direction b) {
  if (a == b || b == Direction::none) return a;
  return a == Direction::none ? b : Direction::unknown;
}

constexpr uint32_t kMaxTree = 400;

// How an expression moves with one variable, the others held.
class Monotony {
 public:
  Monotony(Prover& prover, uint32_t variable) : prover_(prover), variable_(variable) {}

  Direction of(Expr e) {
    if (!contains_variable(e, variable_)) return Direction::none;
    switch (e.kind()) {
      case ExprKind::variable:
        return Direction::up;
      case ExprKind::add:
      case ExprKind::mul:
        return of_sum(e);
      case ExprKind::floor_div:
        if (contains_variable(e.operands()[1], variable_)) return Direction::unknown;
        return signed_by(e.operands()[1], of(e.operands()[0]));
      case ExprKind::mod: {
        const Expr x = e.operands()[0], b = e.operands()[1];
        const bool whole =
            !contains_variable(b, variable_) && prover_.nonnegative(x) && prover_.less(x, b);
        return whole ? of(x) : Direction::unknown;
      }
      case ExprKind::min:
      case ExprKind::max: {
        Direction result = Direction::none;
        for (Expr operand : e.operands()) result = join(result, of(operand));
        return result;
      }
      case ExprKind::element:
        return Direction::unknown;
      case ExprKind::constant:
      case ExprKind::symbol:
        break;
    }
    PLAIT_UNREACHABLE("{} contains no variable", to_string(e));
  }

 private:
  Direction signed_by(Expr factor, Direction direction) {
    if (prover_.nonnegative(factor)) return direction;
    return prover_.nonnegative(-factor) ? flip(direction) : Direction::unknown;
  }

  Direction of_sum(Expr e) {
    if (auto linear = linear_in(e, variable_)) return signed_by(linear->coefficient, Direction::up);
    Direction result = Direction::none;
    for (const Term& term : split_terms(e)) result = join(result, of_term(term));
    return result;
  }

  Direction of_term(const Term& term) {
    Direction result = Direction::none;
    std::vector<Expr> others, moving;
    for (Expr factor : factors_of(term.monomial)) {
      const Direction direction = of(factor);
      if (direction == Direction::none) {
        others.push_back(factor);
      } else {
        moving.push_back(factor);
        result = join(result, direction);
      }
    }
    // A product of several moves with them only if none is negative.
    if (moving.size() > 1)
      for (Expr factor : moving)
        if (!prover_.nonnegative(factor)) return Direction::unknown;
    return signed_by(make_term(term.coefficient, make_monomial(others)), result);
  }

  Prover& prover_;
  uint32_t variable_;
};

std::optional<Expr> extreme(Expr e, const Ranges& ranges, Direction wanted) {
  try {
    e = simplify(e, ranges);
    while (node_of(e).has_variable) {
      if (node_of(e).tree_size > kMaxTree) return std::nullopt;
      Prover prover(ranges);
      const uint32_t variable = innermost_variable(variables_of(e), ranges);
      const auto extent = ranges.extent(variable);
      const Direction direction = Monotony(prover, variable).of(e);
      if (direction == Direction::unknown || !extent || contains_variable(*extent, variable))
        return std::nullopt;
      const Expr end = direction == wanted ? *extent - Expr(1) : Expr(0);
      e = simplify(substitute(e, {{variable, end}}), ranges);
    }
  } catch (const IndexOverflow&) {
    return std::nullopt;
  }
  if (contains_element(e)) return std::nullopt;
  return e;
}

}  // namespace

std::optional<Expr> Ranges::extent(uint32_t variable) const {
  auto it = extents_.find(variable);
  if (it == extents_.end()) return std::nullopt;
  return it->second;
}

Interval bounds(Expr e, const Ranges& ranges) {
  const Span64 span = Prover(ranges).span(e);
  Interval result;
  if (span.lo != Span64::kMin) result.lo = span.lo;
  if (span.hi != Span64::kMax) result.hi = span.hi;
  return result;
}

std::optional<Expr> upper_bound(Expr e, const Ranges& ranges) {
  return extreme(e, ranges, Direction::up);
}

std::optional<Expr> lower_bound(Expr e, const Ranges& ranges) {
  return extreme(e, ranges, Direction::down);
}

std::optional<bool> prove_less(Expr a, Expr b, const Ranges& ranges) {
  Prover prover(ranges);
  if (prover.less(a, b)) return true;
  if (prover.less_equal(b, a)) return false;
  try {
    const Expr difference = simplify(b - a, ranges);
    if (prover.nonnegative(difference - Expr(1))) return true;
    if (prover.nonnegative(-difference)) return false;
  } catch (const IndexOverflow&) {
    // Too large to tell.
  }
  return std::nullopt;
}

std::optional<bool> prove_equal(Expr a, Expr b, const Ranges& ranges) {
  if (a == b) return true;
  try {
    const Expr difference = simplify(a - b, ranges);
    if (auto constant = difference.constant()) return *constant == 0;
    Prover prover(ranges);
    const bool up = prover.nonnegative(difference), down = prover.nonnegative(-difference);
    if (up && down) return true;
    if (up && prover.nonnegative(difference - Expr(1))) return false;
    if (down && prover.nonnegative(-difference - Expr(1))) return false;
    // A constant that the rest, a multiple of something, can't cancel.
    uint64_t step = 0;
    int64_t constant = 0;
    for (const Term& term : split_terms(difference)) {
      if (term.monomial.is_constant(1)) {
        constant = term.coefficient;
      } else {
        step = gcd_u64(step, node_of(make_term(term.coefficient, term.monomial)).multiple);
      }
    }
    if (step > 1 && magnitude(constant) % step != 0) return false;
  } catch (const IndexOverflow&) {
    // Too large to tell.
  }
  return std::nullopt;
}

namespace {

// e with x in place of mod(x, m), where m times its coefficient is a multiple of the divisor: the
// two differ by one.
Expr congruent(Expr e, int64_t divisor) {
  if (e.kind() != ExprKind::add) return e;
  Expr result = e;
  for (Expr term : e.operands()) {
    int64_t coefficient = 1;
    Expr remainder = term;
    if (term.kind() == ExprKind::mul && term.operands().size() == 2) {
      coefficient = term.operands()[0].constant().value_or(0);
      remainder = term.operands()[1];
    }
    if (coefficient == 0 || remainder.kind() != ExprKind::mod) continue;
    const std::optional<int64_t> modulus = remainder.operands()[1].constant();
    const auto scaled = static_cast<__int128>(coefficient) * modulus.value_or(1);
    if (!modulus || scaled % divisor != 0) continue;
    result = result - term + Expr(coefficient) * remainder.operands()[0];
  }
  return result;
}

}  // namespace

bool is_multiple_of(Expr e, int64_t divisor) {
  PLAIT_INTERNAL_CHECK(divisor != 0, "nothing is a multiple of 0");
  if (node_of(e).multiple % magnitude(divisor) == 0) return true;
  try {
    return node_of(congruent(e, divisor)).multiple % magnitude(divisor) == 0;
  } catch (const IndexOverflow&) {
    return false;
  }
}

}  // namespace plait
