// Bounds of index expressions and the simplifications that need them.
//
// All of it holds at the points of the domain where the expression has a value: no divisor is 0
// there. Proofs take the domain to have points.
#pragma once

#include <optional>
#include <unordered_map>

#include "core/index/expr.h"

namespace plait {

// What is known of variables: each lies in [0, extent).
class Ranges {
 public:
  void set(uint32_t variable, Expr extent) { extents_.insert_or_assign(variable, extent); }
  std::optional<Expr> extent(uint32_t variable) const;

 private:
  std::unordered_map<uint32_t, Expr> extents_;
};

struct Interval {
  std::optional<int64_t> lo, hi;  // inclusive; absent: unbounded
};

// Numeric bounds (symbols by their bounds).
Interval bounds(Expr e, const Ranges& ranges);
// The largest and smallest value as expressions of symbols only, where e is monotone in each
// variable; absent if that can't be seen.
std::optional<Expr> upper_bound(Expr e, const Ranges& ranges);
std::optional<Expr> lower_bound(Expr e, const Ranges& ranges);

// Three-valued proofs: true and false are certain, absent means undecided.
std::optional<bool> prove_less(Expr a, Expr b, const Ranges& ranges);  // a < b everywhere?
std::optional<bool> prove_equal(Expr a, Expr b, const Ranges& ranges);
bool is_multiple_of(Expr e, int64_t divisor);

// Rewrites with bounds: floor_div(8*i + j, 8) -> i for j < 8; mod likewise;
// n*floor_div(x, n) + mod(x, n) -> x; min/max decided; nested div and mod merged. Idempotent.
Expr simplify(Expr e, const Ranges& ranges);

}  // namespace plait
