// Proofs about index expressions from the bounds of variables and symbols.
#pragma once

#include <optional>
#include <unordered_map>

#include "core/index/node.h"
#include "core/index/simplify.h"

namespace plait {

// A domain without points is taken to have some: what is proved then holds of nothing.
class Prover {
 public:
  explicit Prover(const Ranges& ranges) : ranges_(ranges) {}
  Prover(const Prover&) = delete;
  Prover& operator=(const Prover&) = delete;

  const Ranges& ranges() const { return ranges_; }
  Span64 span(Expr e);
  // True only if e >= 0 at every point; false is no proof of anything. Does not throw.
  bool nonnegative(Expr e);
  bool less(Expr a, Expr b);  // a < b everywhere
  bool less_equal(Expr a, Expr b);

 private:
  Span64 variable_span(uint32_t id, int depth);
  Span64 span(Expr e, int depth);
  Span64 node_span(Expr e, int depth);
  void fill_spans(Expr root, int depth);

  bool refuted(Expr e) const;
  bool prove(Expr e);
  bool by_shifted_symbols(Expr e);
  // One of these takes the atom out of `e`, which is `coefficient * atom + rest`.
  bool eliminate(Expr e, Expr atom);
  bool eliminate_floor_div(Expr atom, Expr coefficient, Expr rest);
  bool eliminate_mod(Expr atom, Expr coefficient, Expr rest);
  bool eliminate_extremum(Expr atom, Expr coefficient, Expr rest);
  bool eliminate_between(Expr lo, std::optional<Expr> hi, Expr coefficient, Expr rest);
  bool eliminate_power(Expr e, Expr atom, Expr lo, Expr hi);
  std::optional<Expr> next_atom(Expr e) const;

  const Ranges& ranges_;
  std::unordered_map<Expr, Span64> spans_;
  int steps_ = 0;  // left for the current question
};

// Of the variables in `e`, one on which no other one's extent depends, if there is one; else the
// last.
uint32_t innermost_variable(const std::vector<uint32_t>& variables, const Ranges& ranges);

}  // namespace plait
