// Random expressions against enumeration: what the constructors and `simplify` build has the value
// that plain integer arithmetic gives at every point of the domain.
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <random>

#include "core/index/simplify.h"

using namespace plait;

namespace {

// An expression as written, evaluated by C++ arithmetic of its own.
struct Tree {
  char op;  // 'c' constant, 'v' variable, 's' symbol, or + - * / % < >
  int64_t value = 0;
  std::shared_ptr<Tree> a, b;
};
using TreePtr = std::shared_ptr<Tree>;

struct Point {
  std::vector<int64_t> variables, symbols;
};

// Absent where a divisor is 0.
std::optional<int64_t> value_of(const Tree& t, const Point& p) {
  if (t.op == 'c') return t.value;
  if (t.op == 'v') return p.variables.at(t.value);
  if (t.op == 's') return p.symbols.at(t.value);
  const auto x = value_of(*t.a, p), y = value_of(*t.b, p);
  if (!x || !y) return std::nullopt;
  switch (t.op) {
    case '+':
      return *x + *y;
    case '-':
      return *x - *y;
    case '*':
      return *x * *y;
    case '<':
      return std::min(*x, *y);
    case '>':
      return std::max(*x, *y);
  }
  if (*y == 0) return std::nullopt;
  int64_t quotient = *x / *y, remainder = *x % *y;
  if (remainder != 0 && (remainder < 0) != (*y < 0)) {
    --quotient;
    remainder += *y;
  }
  return t.op == '/' ? quotient : remainder;
}

struct Symbol {
  const char* name;
  int64_t lo, hi, multiple;
};
const Symbol kSymbols[] = {{"fuzz_n", 1, 5, 1}, {"fuzz_m", 0, 3, 1}, {"fuzz_s", 4, 12, 4}};

Expr symbol(size_t i) {
  return Expr::symbol(kSymbols[i].name, kSymbols[i].lo, kSymbols[i].hi, kSymbols[i].multiple);
}

Expr build(const Tree& t) {
  if (t.op == 'c') return Expr(t.value);
  if (t.op == 'v') return Expr::variable(static_cast<uint32_t>(t.value));
  if (t.op == 's') return symbol(static_cast<size_t>(t.value));
  const Expr x = build(*t.a), y = build(*t.b);
  switch (t.op) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '<':
      return min(x, y);
    case '>':
      return max(x, y);
    case '/':
      return floor_div(x, y);
  }
  return mod(x, y);
}

class Fuzzer {
 public:
  Fuzzer(uint64_t seed, bool symbols) : random_(seed), symbols_(symbols) {}

  int64_t pick(int64_t lo, int64_t hi) {
    return std::uniform_int_distribution<int64_t>(lo, hi)(random_);
  }

  TreePtr leaf(bool divisor) {
    const int64_t kind = pick(0, 9);
    static const int64_t kNumbers[] = {2, 3, 4, 6, 8, 12, 1, 5, -2, -3, -4, -8, 7, 24};
    if (kind < (divisor ? 8 : 3))
      return make('c', kNumbers[pick(0, divisor && pick(0, 3) ? 5 : 13)]);
    if (symbols_ && kind < (divisor ? 10 : 5)) return make('s', pick(0, 2));
    return make('v', pick(0, 2));
  }

  TreePtr tree(int depth) {
    if (depth == 0 || pick(0, 9) == 0) return leaf(false);
    static const char kOps[] = "+++-**////%%%%<>";
    const char op = kOps[pick(0, sizeof kOps - 2)];
    TreePtr right = op == '/' || op == '%' || op == '*'
                        ? (pick(0, 5) ? leaf(op != '*') : tree(depth - 1))
                        : tree(depth - 1);
    auto t = make(op, 0);
    t->a = tree(depth - 1);
    t->b = right;
    return t;
  }

  // A row-major index split by another shape's strides, as a reshape makes it.
  TreePtr reshape() {
    TreePtr x = leaf(false);
    for (int i = 0; i < 2; ++i) x = binary('+', binary('*', x, leaf(true)), leaf(false));
    TreePtr total = make('c', 0);
    const TreePtr a = leaf(true), b = leaf(true), k = leaf(false);
    const TreePtr ab = binary('*', a, b);
    total = binary('+', total, binary('*', binary('*', binary('/', x, ab), ab), k));
    total = binary('+', total, binary('*', binary('*', binary('%', binary('/', x, b), a), b), k));
    total = binary('+', total, binary('*', binary('%', x, b), k));
    return pick(0, 1) ? total : binary(pick(0, 1) ? '/' : '%', total, leaf(true));
  }

  static TreePtr make(char op, int64_t value) {
    auto t = std::make_shared<Tree>();
    t->op = op;
    t->value = value;
    return t;
  }
  static TreePtr binary(char op, TreePtr a, TreePtr b) {
    auto t = make(op, 0);
    t->a = std::move(a);
    t->b = std::move(b);
    return t;
  }

 private:
  std::mt19937_64 random_;
  bool symbols_;
};

int64_t value_of(Expr e, const Point& p) {
  SymbolValues symbols;
  for (size_t i = 0; i < std::size(kSymbols); ++i) symbols[kSymbols[i].name] = p.symbols[i];
  return evaluate(e, [&](uint32_t id) { return p.variables.at(id); }, symbols);
}

// Every point, or nothing for the symbols that are not used.
void for_each_point(const std::vector<Expr>& extents, bool symbols,
                    const std::function<void(const Point&)>& f) {
  Point p{{0, 0, 0}, {0, 0, 0}};
  std::function<void(size_t)> variable = [&](size_t i) {
    if (i == extents.size()) return f(p);
    const int64_t extent = value_of(extents[i], p);
    for (p.variables[i] = 0; p.variables[i] < extent; ++p.variables[i]) variable(i + 1);
    p.variables[i] = 0;
  };
  std::function<void(size_t)> dimension = [&](size_t i) {
    if (i == std::size(kSymbols)) return variable(0);
    const Symbol& s = kSymbols[i];
    for (int64_t v = (s.lo + s.multiple - 1) / s.multiple * s.multiple; v <= s.hi;
         v += s.multiple) {
      p.symbols[i] = v;
      dimension(i + 1);
      if (!symbols) break;
    }
  };
  dimension(0);
}

void check_bounds(const Tree& tree, Expr e, const std::vector<Expr>& extents, bool symbols,
                  const Ranges& ranges) {
  const Interval interval = bounds(e, ranges);
  const auto up = upper_bound(e, ranges), down = lower_bound(e, ranges);
  const Expr other = Expr::variable(0) * Expr(2) + Expr(1);
  const auto less = prove_less(e, other, ranges), equal = prove_equal(e, other, ranges);
  // By symbol values: the extreme values, where the expression has one at every point.
  std::map<std::vector<int64_t>, std::optional<std::pair<int64_t, int64_t>>> seen;
  for_each_point(extents, symbols, [&](const Point& p) {
    const auto v = value_of(tree, p);
    if (!v) {
      seen[p.symbols] = std::nullopt;
      return;
    }
    const int64_t o = value_of(other, p);
    if ((interval.lo && *v < *interval.lo) || (interval.hi && *v > *interval.hi) ||
        (less && *less != (*v < o)) || (equal && *equal != (*v == o))) {
      CAPTURE(p.variables, p.symbols, *v, o, interval.lo, interval.hi, less, equal);
      FAIL("wrong bound or proof");
    }
    const auto it = seen.try_emplace(p.symbols, std::pair{*v, *v}).first;
    if (it->second)
      it->second = {std::min(it->second->first, *v), std::max(it->second->second, *v)};
  });
  for (const auto& [values, extremes] : seen) {
    if (!extremes) continue;
    const Point p{{0, 0, 0}, values};
    if (down) REQUIRE(value_of(*down, p) == extremes->first);
    if (up) REQUIRE(value_of(*up, p) == extremes->second);
  }
}

void fuzz(uint64_t seed, bool symbols, int count) {
  Fuzzer fuzzer(seed, symbols);
  int proved = 0;
  for (int i = 0; i < count; ++i) {
    std::vector<Expr> extents;
    for (int v = 0; v < 3; ++v) {
      const int64_t kind = fuzzer.pick(0, 3);
      if (symbols && kind == 0) {
        extents.push_back(symbol(fuzzer.pick(0, 2)));
      } else if (v > 0 && kind == 1) {
        extents.push_back(Expr::variable(v - 1) + Expr(1));
      } else {
        extents.push_back(Expr(fuzzer.pick(1, 9)));
      }
    }
    Ranges ranges;
    for (int v = 0; v < 3; ++v) ranges.set(v, extents[v]);
    const TreePtr tree = fuzzer.pick(0, 2) ? fuzzer.tree(4) : fuzzer.reshape();
    const Expr e = build(*tree);
    const Expr simple = simplify(e, ranges);
    CAPTURE(seed, i, to_string(e), to_string(simple), to_string(extents[0]), to_string(extents[1]),
            to_string(extents[2]));
    REQUIRE(simplify(simple, ranges) == simple);
    REQUIRE(parse_expr(to_string(simple)) == simple);
    for_each_point(extents, symbols, [&](const Point& p) {
      const auto wanted = value_of(*tree, p);
      if (!wanted) return;
      const int64_t built = value_of(e, p), simplified = value_of(simple, p);
      if (built != *wanted || simplified != *wanted) {
        CAPTURE(p.variables, p.symbols);
        REQUIRE(built == *wanted);
        REQUIRE(simplified == *wanted);
      }
    });
    if (i % 4 == 0) check_bounds(*tree, e, extents, symbols, ranges);
    proved += !(simple == e);
  }
  CHECK(proved > count / 10);  // the rules do fire
}

}  // namespace

TEST_CASE("random index expressions equal their enumeration", "[index][fuzz]") {
  for (uint64_t seed = 1; seed <= 4; ++seed) fuzz(seed, false, 1500);
}

TEST_CASE("random index expressions with symbols equal their enumeration", "[index][fuzz]") {
  for (uint64_t seed = 11; seed <= 14; ++seed) fuzz(seed, true, 500);
}
