// Integer index expressions: dimensions, maps of reindex and scatter, loop bounds, addresses.
//
// Immutable and interned: equal pointers are equal expressions, in a normal form in which sums are
// sorted lists of `coefficient * monomial` and constants are folded. The constructors apply the
// rules that need no bounds; `simplify` (simplify.h) applies those that do.
// Division is floor division and `mod` has the sign of the divisor, as in Python.
// Interning is thread safe; nodes live as long as the process.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace plait {

enum class ExprKind : uint8_t {
  constant,   // value()
  symbol,     // a named dimension, fixed for one run
  variable,   // an axis or loop variable, by number
  element,    // element `operands()` of the integer tensor number `id()`
  add,        // two or more operands
  mul,        // two or more factors, the constant one first
  floor_div,  // two operands
  mod,        // two operands
  min,        // two or more
  max,
};

struct ExprNode;

class Expr {
 public:
  Expr(int64_t value = 0);  // NOLINT: a number is an expression

  // A named size in [lo, hi] that is a multiple of `multiple`. The name identifies it: UserError if
  // the same name was made with other bounds.
  static Expr symbol(const std::string& name, int64_t lo, int64_t hi, int64_t multiple = 1);
  static Expr variable(uint32_t id);
  static Expr element(uint32_t tensor, std::vector<Expr> indices);

  ExprKind kind() const;
  std::span<const Expr> operands() const;
  uint32_t id() const;              // variable, element
  const std::string& name() const;  // symbol
  int64_t symbol_lo() const;
  int64_t symbol_hi() const;
  int64_t symbol_multiple() const;
  std::optional<int64_t> constant() const;  // the number, if this is one
  bool is_constant(int64_t value) const { return constant() == value; }
  size_t hash() const { return reinterpret_cast<size_t>(node_) >> 4; }

  friend bool operator==(Expr a, Expr b) { return a.node_ == b.node_; }
  // A total order that is the same in every run (by structure, not by address).
  static int compare(Expr a, Expr b);

 private:
  friend struct ExprFactory;
  explicit Expr(const ExprNode& node) : node_(&node) {}
  const ExprNode* node_;
};

Expr operator+(Expr a, Expr b);
Expr operator-(Expr a, Expr b);
Expr operator*(Expr a, Expr b);
Expr operator-(Expr a);
Expr floor_div(Expr a, Expr b);
Expr mod(Expr a, Expr b);
Expr min(Expr a, Expr b);
Expr max(Expr a, Expr b);
Expr ceil_div(Expr a, Expr b);
Expr product(std::span<const Expr> factors);
Expr sum(std::span<const Expr> terms);

// Text: `4*i0 + batch`, `floor_div(i1, 3)`, `mod(i1, 3)`, `min(a, b)`, `t0[i0, i1]` for an element.
// A variable prints as `i<id>` unless `variable_name` says otherwise.
std::string to_string(Expr e, const std::function<std::string(uint32_t)>& variable_name = {});
// Symbols must have been made before (UserError names the unknown one and the nearest).
Expr parse_expr(std::string_view text);

using Substitution = std::unordered_map<uint32_t, Expr>;
Expr substitute(Expr e, const Substitution& variables);
// Replaces every `element` by f(tensor number, indices).
Expr replace_elements(Expr e, const std::function<Expr(uint32_t, std::span<const Expr>)>& f);

bool contains_variable(Expr e, uint32_t id);
bool contains_element(Expr e);
std::vector<uint32_t> variables_of(Expr e);  // sorted, each once
std::vector<Expr> symbols_of(Expr e);        // sorted by name, each once

// If e = c * variable + rest with neither c nor rest containing the variable: {c, rest}.
struct Linear {
  Expr coefficient;
  Expr rest;
};
std::optional<Linear> linear_in(Expr e, uint32_t id);

// Terms of the outermost sum: e = Σ terms (one term if e is no sum).
std::vector<Expr> terms_of(Expr e);

// The number, given numbers for variables and symbols. InternalError if one is missing.
using SymbolValues = std::unordered_map<std::string, int64_t>;
int64_t evaluate(Expr e, const std::function<int64_t(uint32_t)>& variable,
                 const SymbolValues& symbols);

// A size e as a function of one symbol, with numbers for the others: at_zero + slope * symbol /
// multiple. Absent if its first values do not rise or fall by equal steps: e does not tell the
// symbol.
struct SymbolLine {
  int64_t at_zero, slope;
};
std::optional<SymbolLine> line_in_symbol(Expr e, Expr symbol, SymbolValues others);

}  // namespace plait

template <>
struct std::hash<plait::Expr> {
  size_t operator()(plait::Expr e) const { return e.hash(); }
};
