// Internals of index expressions, shared by the files of this folder: the node, its cached facts,
// and sums as term lists.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/index/expr.h"

namespace plait {

// A closed interval. The extreme values of int64_t mean unbounded.
struct Span64 {
  static constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  static constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t lo = kMin;
  int64_t hi = kMax;
};

struct ExprNode {
  ExprKind kind;
  bool has_variable = false;
  bool has_element = false;
  bool has_exact_div = false;  // a factor is floor_div(x, c) with x a known multiple of c
  uint32_t id = 0;             // variable, element
  uint32_t depth = 0;
  uint32_t divisions = 0;              // floor_div and mod nodes, as a tree, saturating
  uint32_t tree_size = 1;              // nodes, as a tree, saturating
  int64_t value = 1;                   // the constant; the coefficient of a mul; 1 for other terms
  uint64_t hash = 0;                   // of the structure: the same in every run
  uint64_t variable_mask = 0;          // bit id % 64 of each variable
  uint64_t multiple = 1;               // a number that divides the value; 0 for the constant 0
  Span64 span;                         // from the bounds of symbols alone
  const ExprNode* monomial = nullptr;  // the term without its coefficient
  std::vector<Expr> operands;
  std::string name;  // symbol, as are the next three
  int64_t symbol_lo = 0;
  int64_t symbol_hi = 0;
  int64_t symbol_multiple = 1;
};

// Folding constants left 64 bits.
class IndexOverflow : public InternalError {
  using InternalError::InternalError;
};

struct ExprFactory {
  static const ExprNode* node(Expr e) { return e.node_; }
  static Expr from(const ExprNode* node) { return Expr(*node); }
  // Interns a node as it stands. The caller has put it in normal form. `monomial` null: the node
  // itself.
  static Expr intern(ExprKind kind, int64_t value, uint32_t id, std::span<const Expr> operands,
                     const ExprNode* monomial = nullptr);
};

inline const ExprNode& node_of(Expr e) { return *ExprFactory::node(e); }

// The symbols made so far: null if there is none of that name; the names sorted.
const ExprNode* find_symbol(std::string_view name);
std::vector<std::string> symbol_names();

// One term of a sum. `monomial` has no coefficient; that of the constant term is 1.
struct Term {
  int64_t coefficient;
  Expr monomial;
};

// The terms of a sum, sorted, the constant one last; none for 0.
void append_terms(Expr e, std::vector<Term>& terms);
std::vector<Term> split_terms(Expr e);
// The sum of terms in any order.
Expr join_terms(std::vector<Term> terms);
Expr make_term(int64_t coefficient, Expr monomial);

// The factors of a monomial, sorted; none for 1. The span refers to `monomial` itself or its node.
std::span<const Expr> factors_of(const Expr& monomial);
std::span<const Expr> factors_of(Expr&& monomial) = delete;
Expr make_monomial(std::span<const Expr> sorted_factors);
// a / b if every factor of b occurs in a.
std::optional<Expr> divide_monomial(Expr a, Expr b);
Expr common_monomial(Expr a, Expr b);

// e / (c * monomial) if that divides every term; the known multiples of symbols are not used.
std::optional<Expr> divide_exactly(Expr e, int64_t coefficient, Expr monomial);
// The largest c * monomial (c > 0) that divides every term of e; e is not 0.
Term common_term(Expr e);
Term common_term(Term a, Term b);

int64_t checked_add(int64_t a, int64_t b);
int64_t checked_mul(int64_t a, int64_t b);
int64_t floor_div_int(int64_t a, int64_t b);  // b != 0; IndexOverflow for the one case that leaves
int64_t mod_int(int64_t a, int64_t b);
uint64_t gcd_u64(uint64_t a, uint64_t b);
uint64_t magnitude(int64_t a);

// interval.cpp: the interval of a node from those of its operands.
Span64 combine_spans(const ExprNode& node, std::span<const Span64> operands);

// The operands of every node come before it; each node once.
std::vector<Expr> post_order(Expr root);

// The node with other operands. It may take another form.
Expr rebuild(Expr e, std::span<const Expr> operands);

// For a divisor, which is not 0 where there is a value.
inline bool is_positive_divisor(Expr e) { return node_of(e).span.lo >= 0; }

}  // namespace plait
