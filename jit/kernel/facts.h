// Proves inequalities between index expressions from what holds at one place of a kernel: the
// ranges of loop and bound variables, and the conditions of the `when`s around it.
//
// Everything known is written as `fact >= 0`, and a goal G >= 0 follows if
// G = sum of (something >= 0) * fact + rest, where core/index proves rest >= 0 from the ranges. The
// search cancels negative terms of G one by one: the newest variable first, the newest fact first.
// It gives up after a fixed number of steps: it may fail to prove what is true, never the other
// way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/index/expr.h"
#include "core/index/simplify.h"

namespace plait::kernel {

class Facts {
 public:
  // The variable lies in [0, extent).
  void add_variable(uint32_t variable, Expr extent);
  // The same of a variable that no search needs to walk: it stands for something else.
  void set_range(uint32_t variable, Expr extent) { ranges_.set(variable, extent); }
  void add_nonnegative(Expr e);
  void add_less(Expr a, Expr b) { add_nonnegative(b - a - 1); }

  bool proves_nonnegative(Expr e) const;
  bool proves_in_range(Expr index, Expr size) const {
    return proves_nonnegative(index) && proves_nonnegative(size - index - 1);
  }
  // Tries e >= 0 out (search.cpp): true if it holds at every point, false with a point where it
  // does not, absent if it held at all of many points of a domain too large to walk.
  std::optional<bool> search_nonnegative(Expr e, std::string& point) const;
  const Ranges& ranges() const { return ranges_; }

  // Scopes: what was added after mark() goes with release(mark).
  struct Mark {
    size_t facts, variables;
  };
  Mark mark() const { return {facts_.size(), variables_.size()}; }
  void release(Mark mark);

 private:
  struct Undivided {
    Expr goal;
    bool is_exact;  // e is negative if the goal is
  };

  std::vector<Expr> conditions() const;
  bool is_refuted(Expr e) const;  // (search.cpp) a few points tell
  bool prove(Expr goal, const std::vector<Expr>& facts, int depth, int& budget) const;
  std::vector<Expr> remainders_of(Expr goal, const std::vector<Expr>& facts) const;
  bool holds_by_cover(Expr e) const;
  bool holds_by_ranges(Expr e) const;  // e >= 0, without the conditions
  size_t age(Expr monomial) const;
  std::vector<Expr> with_quotients(Expr goal) const;
  Expr without_nonnegative_quotients(Expr e) const;
  std::optional<Undivided> without_quotient(Expr e) const;
  Expr without_remainders(Expr e) const;

  std::vector<Expr> facts_;
  std::vector<uint32_t> variables_;  // in order of definition
  Ranges ranges_;
};

}  // namespace plait::kernel
