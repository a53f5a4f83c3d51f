#include "core/index/inverse_map.h"

#include <algorithm>
#include <numeric>

#include "core/index/simplify.h"

namespace plait {
namespace {

// A window that steps by more than this asks too often for sources that are not there.
constexpr int64_t kLargestWindowStep = 8;
// Reshapes that join more axes than this are not searched for their order.
constexpr size_t kMostJoinedAxes = 4;

// coefficient * variable, the coefficient positive; `flipped`: the variable counts from its end.
struct Term {
  uint32_t variable;
  Expr coefficient;
  Expr extent;
  bool flipped = false;
};

// A sum of terms of distinct variables plus an offset.
struct LinearForm {
  std::vector<Term> terms;
  Expr offset;
};

class Inverter {
 public:
  Inverter(std::span<const Expr> map, const Shape& from, const Shape& to)
      : from_(from), to_(to), map_(map.begin(), map.end()) {
    result_.index.resize(from.size());
    for (uint32_t v = 0; v < from.size(); ++v) sources_.set(v, from[v]);
    for (uint32_t k = 0; k < to.size(); ++k) destinations_.set(k, to[k]);
  }

  std::optional<InverseMap> run() {
    Substitution trivial;
    for (uint32_t v = 0; v < from_.size(); ++v) {
      if (from_[v].is_constant(1)) trivial.emplace(v, int64_t{0});
    }
    for (Expr& e : map_) {
      if (contains_element(e)) return std::nullopt;
      e = simplify(substitute(e, trivial), sources_);
    }
    for (const std::vector<uint32_t>& axes : components()) {
      if (!solve(axes)) return std::nullopt;
    }
    for (uint32_t v = 0; v < from_.size(); ++v) {
      if (from_[v].is_constant(1)) {
        result_.index[v] = 0;
      } else if (!solved_[v]) {
        result_.index[v] = window(from_[v]);  // no destination axis depends on it
      }
    }
    for (uint32_t j = 0; j < result_.windows.size(); ++j) {
      destinations_.set(static_cast<uint32_t>(to_.size()) + j, result_.windows[j]);
    }
    for (Expr& e : result_.index) e = simplify(e, destinations_);
    std::vector<Expr> guards;
    for (Expr e : result_.guards) {
      e = simplify(e, destinations_);
      if (!e.is_constant(0)) guards.push_back(e);
    }
    result_.guards = std::move(guards);
    return std::move(result_);
  }

 private:
  Expr window(Expr extent) {
    result_.windows.push_back(extent);
    return Expr::variable(static_cast<uint32_t>(to_.size() + result_.windows.size() - 1));
  }

  // Destination axes that share source variables, in order of their first axis.
  std::vector<std::vector<uint32_t>> components() {
    solved_.assign(from_.size(), false);
    std::vector<uint32_t> group(to_.size());
    std::iota(group.begin(), group.end(), 0);
    std::vector<uint32_t> owner(from_.size(), ~uint32_t{0});
    for (uint32_t k = 0; k < to_.size(); ++k) {
      for (uint32_t v : variables_of(map_[k])) {
        solved_[v] = true;
        if (owner[v] == ~uint32_t{0}) owner[v] = k;
        const uint32_t target = group[owner[v]];
        const uint32_t old = group[k];
        std::ranges::replace(group, std::max(old, target), std::min(old, target));
      }
    }
    std::vector<std::vector<uint32_t>> result;
    for (uint32_t k = 0; k < to_.size(); ++k) {
      if (group[k] != k) continue;
      result.emplace_back();
      for (uint32_t j = k; j < to_.size(); ++j) {
        if (group[j] == k) result.back().push_back(j);
      }
    }
    return result;
  }

  bool solve(std::vector<uint32_t> axes) {
    if (axes.size() == 1) {
      const Expr here = Expr::variable(axes[0]);
      const Expr e = map_[axes[0]];
      if (variables_of(e).empty()) {
        result_.guards.push_back(here - e);
        return true;
      }
      const std::optional<LinearForm> form = linear_form(e);
      return form && (solve_digits(*form, here) || solve_window(*form, here));
    }
    // A reshape: the axes joined in some order are one linear index of the sources.
    if (axes.size() > kMostJoinedAxes) return false;
    for (uint32_t k : axes) {
      if (prove_less(map_[k], to_[k], sources_) != true) return false;
      if (prove_less(-1, map_[k], sources_) != true) return false;
    }
    std::vector<uint32_t> order = axes;
    do {
      Expr joined = 0;
      Expr here = 0;
      for (uint32_t k : order) {
        joined = joined * to_[k] + map_[k];
        here = here * to_[k] + Expr::variable(k);
      }
      const std::optional<LinearForm> form = linear_form(simplify(joined, sources_));
      if (form && solve_digits(*form, here)) return true;
    } while (std::ranges::next_permutation(order).found);
    return false;
  }

  std::optional<LinearForm> linear_form(Expr e) const {
    LinearForm form;
    for (uint32_t v : variables_of(e)) {
      const std::optional<Linear> linear = linear_in(e, v);
      if (!linear || !variables_of(linear->coefficient).empty()) return std::nullopt;
      Term term{v, linear->coefficient, from_[v]};
      e = linear->rest;
      const Interval sign = bounds(term.coefficient, sources_);
      if (sign.hi && *sign.hi < 0) {
        // c v = |c| (extent - 1 - v) + c (extent - 1)
        e = e + term.coefficient * (term.extent - 1);
        term.coefficient = -term.coefficient;
        term.flipped = true;
      } else if (!sign.lo || *sign.lo < 1) {
        return std::nullopt;
      }
      form.terms.push_back(term);
    }
    form.offset = e;
    return form;
  }

  void set(const Term& term, Expr digit) {
    result_.index[term.variable] = term.flipped ? term.extent - 1 - digit : digit;
  }

  // Terms whose coefficients are the place values of a mixed-radix number.
  bool solve_digits(const LinearForm& form, Expr here) {
    std::vector<Term> left = form.terms;
    std::vector<Term> sorted;
    std::vector<Expr> radix;
    // The lowest place is the one whose coefficient divides the others.
    auto lowest = std::ranges::find_if(left, [&](const Term& low) {
      return std::ranges::all_of(left, [&](const Term& other) {
        return &other == &low || next_place(low, other).has_value();
      });
    });
    if (lowest == left.end()) return false;
    sorted.push_back(*lowest);
    left.erase(lowest);
    while (!left.empty()) {
      auto next = std::ranges::find_if(left, [&](const Term& candidate) {
        return next_place(sorted.back(), candidate) &&
               std::ranges::all_of(left, [&](const Term& other) {
                 return &other == &candidate || next_place(candidate, other).has_value();
               });
      });
      if (next == left.end()) return false;
      radix.push_back(*next_place(sorted.back(), *next));
      sorted.push_back(*next);
      left.erase(next);
    }
    const Expr number = here - form.offset;
    for (size_t j = 0; j < sorted.size(); ++j) {
      const Expr quotient = floor_div(number, sorted[j].coefficient);
      set(sorted[j], j < radix.size() ? mod(quotient, radix[j]) : quotient);
    }
    if (!sorted[0].coefficient.is_constant(1)) {
      result_.guards.push_back(mod(number, sorted[0].coefficient));
    }
    return true;
  }

  // The radix r with high = low * r, if digits of `low` do not reach into those of `high`.
  std::optional<Expr> next_place(const Term& low, const Term& high) const {
    if (high.coefficient == low.coefficient * low.extent) return low.extent;
    const auto a = low.coefficient.constant();
    const auto b = high.coefficient.constant();
    if (a && b && *b % *a == 0) {
      const Expr radix = *b / *a;
      if (prove_less(low.extent - 1, radix, {}) == true) return radix;
      return std::nullopt;
    }
    // Symbolic places: high = low * extent * more.
    const Expr quotient = simplify(floor_div(high.coefficient, low.coefficient * low.extent), {});
    if (quotient * low.coefficient * low.extent == high.coefficient) {
      return quotient * low.extent;
    }
    return std::nullopt;
  }

  // Solves for one variable; the others run over the window.
  bool solve_window(const LinearForm& form, Expr here) {
    const Term* best = nullptr;
    for (const Term& term : form.terms) {
      const auto step = term.coefficient.constant();
      if (!step || *step > kLargestWindowStep) continue;
      if (!best || larger(term.extent, best->extent)) best = &term;
    }
    if (!best) return false;
    if (solve_phases(form, *best, here)) return true;
    Expr number = here - form.offset;
    for (const Term& term : form.terms) {
      if (&term == best) continue;
      const Expr w = window(term.extent);
      set(term, w);
      number = number - term.coefficient * w;
    }
    set(*best, floor_div(number, best->coefficient));
    if (!best->coefficient.is_constant(1)) {
      result_.guards.push_back(mod(number, best->coefficient));
    }
    return true;
  }

  // step * v + w = here: of the positions of the window, only those of one remainder by the step
  // have a source. The window runs over those.
  bool solve_phases(const LinearForm& form, const Term& best, Expr here) {
    const int64_t step = *best.coefficient.constant();
    if (step == 1 || form.terms.size() != 2) return false;
    const Term& other = form.terms[&best == &form.terms[0] ? 1 : 0];
    const auto extent = other.extent.constant();
    if (!other.coefficient.is_constant(1) || !extent || *extent <= step) return false;
    const Expr number = here - form.offset;
    const Expr w = window(ceil_div(other.extent, step));
    set(other, step * w + mod(number, step));
    set(best, floor_div(number, step) - w);
    return true;
  }

  bool larger(Expr a, Expr b) const {
    const Interval x = bounds(a, {});
    const Interval y = bounds(b, {});
    if (!x.hi || !y.hi) return !x.hi && y.hi;
    return *x.hi > *y.hi;
  }

  const Shape& from_;
  const Shape& to_;
  std::vector<Expr> map_;
  std::vector<bool> solved_;
  Ranges sources_;
  Ranges destinations_;
  InverseMap result_;
};

}  // namespace

std::optional<InverseMap> invert_map(std::span<const Expr> map, const Shape& from,
                                     const Shape& to) {
  return Inverter(map, from, to).run();
}

}  // namespace plait
