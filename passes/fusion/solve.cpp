#include "passes/fusion/solve.h"

#include <algorithm>

namespace plait::fusion {
namespace {

class Solver {
 public:
  Solver(uint32_t first, const std::vector<Expr>& extents, const Ranges& ranges)
      : first_(first),
        extents_(extents),
        ranges_(ranges),
        solution_(extents.size()),
        digits_(extents.size()) {}

  void add(const Equation& equation) {
    if (const auto unknown = as_unknown(equation.demanded)) {
      set(*unknown, equation.known);
    } else if (!digit(equation)) {
      mixed_radix(equation);
    }
  }

  std::vector<std::optional<Expr>> finish() {
    for (size_t i = 0; i < solution_.size(); ++i) {
      if (!solution_[i] && !digits_[i].empty()) {
        solution_[i] = simplify(sum(digits_[i]), ranges_);
      }
    }
    return std::move(solution_);
  }

 private:
  std::optional<size_t> as_unknown(Expr e) const {
    if (e.kind() != ExprKind::variable) return std::nullopt;
    const uint32_t id = e.id();
    if (id < first_ || id >= first_ + extents_.size()) return std::nullopt;
    return id - first_;
  }

  void set(size_t unknown, Expr value) {
    if (!solution_[unknown]) solution_[unknown] = value;
  }

  // floor_div(w, p) and mod(floor_div(w, p), q) are digits of w: w = Σ digit * p.
  bool digit(const Equation& equation) {
    Expr e = equation.demanded;
    if (e.kind() == ExprKind::mod) e = e.operands()[0];
    Expr weight = 1;
    if (e.kind() == ExprKind::floor_div) {
      weight = e.operands()[1];
      e = e.operands()[0];
    }
    const auto unknown = as_unknown(e);
    if (!unknown) return false;
    digits_[*unknown].push_back(equation.known * weight);
    return true;
  }

  // c1*w1 + c2*w2 + … with falling constant or symbolic strides: each w is a digit of the known.
  void mixed_radix(const Equation& equation) {
    Expr rest = equation.demanded;
    std::vector<std::pair<Expr, size_t>> strides;
    for (uint32_t id : variables_of(equation.demanded)) {
      const auto unknown = as_unknown(Expr::variable(id));
      const auto linear = linear_in(rest, id);
      if (!unknown || !linear) return;
      strides.emplace_back(linear->coefficient, *unknown);
      rest = linear->rest;
    }
    const Expr known = equation.known - rest;
    for (const auto& [stride, unknown] : strides) {
      Expr value = floor_div(known, stride);
      const bool largest = std::all_of(strides.begin(), strides.end(), [&](const auto& other) {
        return other.first == stride || prove_less(other.first, stride, ranges_) == true;
      });
      if (!largest) value = mod(value, extents_[unknown]);
      set(unknown, simplify(value, ranges_));
    }
  }

  uint32_t first_;
  const std::vector<Expr>& extents_;
  const Ranges& ranges_;
  std::vector<std::optional<Expr>> solution_;
  std::vector<std::vector<Expr>> digits_;
};

}  // namespace

std::vector<std::optional<Expr>> solve(const std::vector<Equation>& equations, uint32_t first,
                                       const std::vector<Expr>& extents, const Ranges& ranges) {
  Solver solver(first, extents, ranges);
  for (const Equation& equation : equations) solver.add(equation);
  return solver.finish();
}

}  // namespace plait::fusion
