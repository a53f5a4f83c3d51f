#include "core/index/expr.h"

#include <catch2/catch.hpp>

#include "core/error.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

Expr v(uint32_t id) { return Expr::variable(id); }
const int64_t kMax = std::numeric_limits<int64_t>::max();
const int64_t kMin = std::numeric_limits<int64_t>::min();

int64_t at(Expr e, int64_t i0, int64_t i1 = 0) {
  return evaluate(e, [&](uint32_t id) { return id == 0 ? i0 : i1; }, {});
}

TEST_CASE("a size tells a symbol where equal steps change it equally") {
  const Expr s = Expr::symbol("line_s", 0, 100), even = Expr::symbol("line_even", 0, 100, 2);
  const auto slope = [](Expr e, Expr symbol, const SymbolValues& others = {}) {
    const std::optional<SymbolLine> line = line_in_symbol(e, symbol, others);
    return line ? line->slope : 0;
  };
  CHECK(slope(s * 3 + 5, s) == 3);
  CHECK(line_in_symbol(s * 3 + 5, s, {})->at_zero == 5);
  CHECK(slope(Expr(7) - s, s) == -1);
  CHECK(slope(s * even, s, {{"line_even", 4}}) == 4);
  CHECK(slope(s * even, s, {{"line_even", 0}}) == 0);
  CHECK(slope(floor_div(even, 2), even) == 1);
  CHECK(slope(floor_div(s, 2), s) == 0);
  CHECK(slope(s * s, s) == 0);
}

}  // namespace

TEST_CASE("equal expressions are one node", "[index]") {
  const Expr a = v(0), b = v(1), n = Expr::symbol("expr_n", 1, 64);
  CHECK(a + b == b + a);
  CHECK(a * b * n == n * (b * a));
  CHECK((a + b) * (a - b) == a * a - b * b);
  CHECK(a - a == Expr(0));
  CHECK(a + a + a == Expr(3) * a);
  CHECK(Expr(2) * (a + 3) == a * 2 + 6);
  CHECK_FALSE(a + b == a - b);
  CHECK_FALSE(a == b);
  CHECK(min(a, min(b, n)) == min(min(n, a), b));
  CHECK(min(a, a + 1) == a);
  CHECK(max(a, a + 1) == a + 1);
  CHECK(min(Expr(3), Expr(-4)) == Expr(-4));
  CHECK(Expr() == Expr(0));
  CHECK(Expr(1000000) == Expr(999999) + 1);
  const Expr factors[] = {a, 3, n}, terms[] = {a, n, a, -1};
  CHECK(product(factors) == 3 * (a * n));
  CHECK(sum(terms) == 2 * a + n - 1);
  CHECK(Expr::element(2, {a, b}) == Expr::element(2, {a, b}));
  CHECK_FALSE(Expr::element(2, {a, b}) == Expr::element(2, {b, a}));
  CHECK_FALSE(Expr::element(2, {a}) == Expr::element(1, {a}));
}

TEST_CASE("division is floor division, for every sign (A21)", "[index]") {
  for (int64_t x = -30; x <= 30; ++x) {
    for (int64_t y = -7; y <= 7; ++y) {
      if (y == 0) continue;
      const int64_t q = *floor_div(Expr(x), Expr(y)).constant();
      const int64_t r = *mod(Expr(x), Expr(y)).constant();
      CHECK(q * y + r == x);
      CHECK((r == 0 || (r < 0) == (y < 0)));
      CHECK(std::abs(r) < std::abs(y));
      // The same with the dividend known at run time only.
      CHECK(at(floor_div(v(0), Expr(y)), x) == q);
      CHECK(at(mod(v(0), Expr(y)), x) == r);
      CHECK(at(floor_div(v(0), v(1)), x, y) == q);
      CHECK(at(mod(v(0), v(1)), x, y) == r);
      CHECK(*ceil_div(Expr(x), Expr(y)).constant() == -*floor_div(Expr(-x), Expr(y)).constant());
    }
  }
  const Expr a = v(0);
  for (int64_t value : {-4, 0, 5}) {
    CHECK(at(floor_div(-3 * (a + 5), 6), value) ==
          *floor_div(Expr(-3 * (value + 5)), Expr(6)).constant());
    CHECK(at(floor_div(67 * 120 * (a - 73), -69), value) ==
          *floor_div(Expr(67 * 120 * (value - 73)), Expr(-69)).constant());
  }
}

TEST_CASE("divisions without bounds", "[index]") {
  const Expr i = v(0), j = v(1);
  const Expr n = Expr::symbol("expr_n", 1, 64), s = Expr::symbol("expr_s", 8, 2048, 8);
  const Expr m = Expr::symbol("expr_m", 0, 64);
  CHECK(floor_div(n * i + j, n) == i + floor_div(j, n));
  CHECK(mod(n * i + j, n) == mod(j, n));
  CHECK(floor_div((n + m) * i + j, n + m) == i + floor_div(j, n + m));
  CHECK(mod((n + m) * i + j, n + m) == mod(j, n + m));
  CHECK(floor_div(floor_div(i, 3), 5) == floor_div(i, 15));
  CHECK(floor_div(floor_div(i, n), m) == floor_div(i, n * m));
  CHECK(floor_div(floor_div(i, -3), 5) == floor_div(-i, 15));
  CHECK_FALSE(floor_div(floor_div(i, 5), -3) == floor_div(i, -15));
  CHECK(mod(mod(i, 12), 4) == mod(i, 4));
  CHECK(mod(mod(i, n * m), m) == mod(i, m));
  CHECK(mod(mod(i, 4), 12).kind() == ExprKind::mod);
  CHECK(mod(i + 5 * n, n) == mod(i, n));
  CHECK(floor_div(mod(i, 12), 4) == mod(floor_div(i, 4), 3));
  CHECK(floor_div(4 * i + 3, 8) == floor_div(i, 2));
  CHECK(mod(4 * i + 3, 8) == 4 * mod(i, 2) + 3);
  CHECK(mod(6 * n * i, 4 * n) == 2 * n * mod(i, 2));
  CHECK(mod(i, -4) == -mod(-i, 4));
  // The multiple of a symbol.
  CHECK(8 * floor_div(s, 8) == s);
  CHECK(8 * ceil_div(s, 8) == s);
  CHECK(mod(s * i + j, 8) == mod(j, 8));
  CHECK(floor_div(s, 4) == 2 * floor_div(s, 8));
  CHECK_FALSE(16 * floor_div(s, 16) == s);
  // No value: stays, and says so when asked.
  CHECK(floor_div(i, 0).kind() == ExprKind::floor_div);
  CHECK_THROWS_AS(at(mod(i, 0), 3), InternalError);
  CHECK_THROWS_AS(at(floor_div(i, j), 3, 0), InternalError);
}

TEST_CASE("what leaves 64 bits is refused, never wrapped", "[index]") {
  const Expr i = v(0);
  CHECK_THROWS_WITH(Expr(kMax) + 1, Contains("left 64 bits"));
  CHECK_THROWS_AS(Expr(kMax) * 2, InternalError);
  CHECK_THROWS_AS(-Expr(kMin), InternalError);
  CHECK_THROWS_AS(i * kMax + i, InternalError);
  CHECK_THROWS_AS(Expr(kMin) - 1, InternalError);
  CHECK((i + kMax) + (-kMax) == i);
  // Divisions keep their form where a rule would overflow.
  CHECK(floor_div(Expr(kMin), -1).kind() == ExprKind::floor_div);
  const Expr nested = floor_div(floor_div(i, kMax), kMax);
  CHECK(at(nested, kMax) == 0);
  CHECK(at(nested, kMin) == -1);
  CHECK(at(floor_div(i * kMin, kMin + 1), 1) == 1);
  CHECK(at(mod(i, kMin), 5) == kMin + 5);
  CHECK_THROWS_AS(at(i * i, kMax), InternalError);
  CHECK_THROWS_AS(at(i + 1, kMax), InternalError);
}

TEST_CASE("a symbol's name identifies it", "[index]") {
  const Expr n = Expr::symbol("expr_batch", 2, 100, 4);
  CHECK(n == Expr::symbol("expr_batch", 2, 100, 4));
  CHECK(n.kind() == ExprKind::symbol);
  CHECK(n.name() == "expr_batch");
  CHECK(n.symbol_lo() == 2);
  CHECK(n.symbol_hi() == 100);
  CHECK(n.symbol_multiple() == 4);
  CHECK_THROWS_WITH(Expr::symbol("expr_batch", 1, 100, 4),
                    "[dim] one name is one dimension; got expr_batch: [1, 100] multiple 4, before "
                    "expr_batch: [2, 100] multiple 4. hint: give the dimensions different names");
  CHECK_THROWS_WITH(Expr::symbol("i3", 1, 2), Contains("must be an identifier") && Contains("i3"));
  CHECK_THROWS_AS(Expr::symbol("", 1, 2), UserError);
  CHECK_THROWS_AS(Expr::symbol("mod", 1, 2), UserError);
  CHECK_THROWS_AS(Expr::symbol("a b", 1, 2), UserError);
  CHECK_THROWS_WITH(Expr::symbol("expr_x", -1, 2), Contains("0 <= lo <= hi; got expr_x: [-1, 2]"));
  CHECK_THROWS_AS(Expr::symbol("expr_x", 3, 2), UserError);
  CHECK_THROWS_WITH(Expr::symbol("expr_x", 1, 2, 0), Contains("at least 1"));
  CHECK_THROWS_WITH(Expr::symbol("expr_x", 5, 7, 4), Contains("no multiple of 4 lies within"));
  CHECK_NOTHROW(Expr::symbol("expr_x", 5, 8, 4));
}

TEST_CASE("the order is total and does not depend on addresses", "[index]") {
  const Expr n = Expr::symbol("expr_n", 1, 64), m = Expr::symbol("expr_m", 0, 64);
  const std::vector<Expr> sorted{v(0) * v(1),
                                 v(0) * n,
                                 v(0),
                                 2 * v(0),
                                 v(1),
                                 Expr::element(0, {v(0)}),
                                 Expr::element(1, {v(0)}),
                                 floor_div(v(0), 2),
                                 floor_div(v(0), 3),
                                 mod(v(0), 2),
                                 min(v(0), n),
                                 max(v(0), n),
                                 m * n,
                                 m,
                                 n,
                                 v(0) + v(1),
                                 v(0) + n,
                                 Expr(-1),
                                 Expr(7)};
  for (size_t i = 0; i < sorted.size(); ++i) {
    for (size_t j = 0; j < sorted.size(); ++j) {
      CAPTURE(to_string(sorted[i]), to_string(sorted[j]));
      const int order = Expr::compare(sorted[i], sorted[j]);
      CHECK((order < 0) == (i < j));
      CHECK((order == 0) == (i == j));
    }
  }
}

TEST_CASE("substitution replaces all variables at once", "[index]") {
  const Expr n = Expr::symbol("expr_n", 1, 64);
  const Expr e = floor_div(v(0), n) + 2 * v(1) + v(2);
  CHECK(substitute(e, {{0, v(1)}, {1, v(0)}}) == floor_div(v(1), n) + 2 * v(0) + v(2));
  CHECK(substitute(e, {{0, n * v(3)}}) == v(3) + 2 * v(1) + v(2));
  CHECK(substitute(e, {}) == e);
  CHECK(substitute(e, {{64, Expr(1)}}) == e);  // 64 shares a mask bit with 0
  const Expr t = Expr::element(1, {v(0), Expr::element(2, {v(0)})});
  CHECK(to_string(substitute(t, {{0, v(5) + 1}})) == "t1[i5 + 1, t2[i5 + 1]]");
  // Inner elements first; the outer one sees their replacements.
  const Expr replaced =
      replace_elements(t + v(0), [](uint32_t tensor, std::span<const Expr> index) {
        return tensor == 2 ? Expr(10) * index[0] : Expr::element(9, {index.begin(), index.end()});
      });
  CHECK(to_string(replaced) == "i0 + t9[i0, 10*i0]");
}

TEST_CASE("questions about an expression", "[index]") {
  const Expr n = Expr::symbol("expr_n", 1, 64), m = Expr::symbol("expr_m", 0, 64);
  const Expr e = floor_div(v(70), n) + v(6) * m + Expr::element(0, {v(3)});
  CHECK(contains_variable(e, 70));
  CHECK(contains_variable(e, 3));
  CHECK_FALSE(contains_variable(e, 134));
  CHECK(contains_element(e));
  CHECK_FALSE(contains_element(e - Expr::element(0, {v(3)})));
  CHECK(variables_of(e) == std::vector<uint32_t>{3, 6, 70});
  CHECK(symbols_of(e) == std::vector<Expr>{m, n});
  CHECK(terms_of(e).size() == 3);
  CHECK(sum(terms_of(e)) == e);
  CHECK(terms_of(v(0) * n) == std::vector<Expr>{v(0) * n});
}

TEST_CASE("linear_in is exact", "[index]") {
  const Expr n = Expr::symbol("expr_n", 1, 64), i = v(0), j = v(1);
  auto linear = linear_in((2 * i + j) * (n + 1) + 3, 0);
  REQUIRE(linear);
  CHECK(linear->coefficient == 2 * n + 2);
  CHECK(linear->rest == j * n + j + 3);
  linear = linear_in(i * j - i * n + floor_div(j, 2), 0);
  REQUIRE(linear);
  CHECK(linear->coefficient == j - n);
  CHECK(linear->rest == floor_div(j, 2));
  linear = linear_in(j + 3, 0);
  REQUIRE(linear);
  CHECK(linear->coefficient == Expr(0));
  CHECK(linear->rest == j + 3);
  CHECK_FALSE(linear_in(i * i, 0));
  CHECK_FALSE(linear_in(floor_div(i, 2), 0));
  CHECK_FALSE(linear_in(i + mod(i + j, 4), 0));
  CHECK_FALSE(linear_in(i * mod(i, 4), 0));
  CHECK_FALSE(linear_in(i + Expr::element(0, {i}), 0));
  CHECK(linear_in(i + Expr::element(0, {j}), 0));
}

TEST_CASE("evaluate names what is missing", "[index]") {
  const Expr n = Expr::symbol("expr_n", 1, 64);
  CHECK(evaluate(v(0) * n + 1, [](uint32_t) { return 3; }, {{"expr_n", 5}}) == 16);
  CHECK_THROWS_WITH(evaluate(n, {}, {}), Contains("expr_n"));
  CHECK_THROWS_AS(evaluate(n, {}, {}), InternalError);
  CHECK_THROWS_WITH(evaluate(v(7), {}, {}), Contains("i7"));
  CHECK_THROWS_WITH(evaluate(Expr::element(2, {0}), {}, {}), Contains("t2"));
}

TEST_CASE("depth is no limit", "[index]") {
  Expr e = v(0);
  int64_t expected = 5;
  for (int i = 0; i < 100000; ++i) {
    e = mod(3 * e + 1, 7 + i % 5);
    expected = (3 * expected + 1) % (7 + i % 5);
  }
  CHECK(at(e, 5) == expected);
  CHECK(contains_variable(e, 0));
  CHECK(variables_of(e) == std::vector<uint32_t>{0});
  const Expr other = substitute(e, {{0, v(1)}});
  CHECK_FALSE(other == e);
  CHECK(at(other, 0, 5) == expected);
  CHECK(Expr::compare(e, other) == -Expr::compare(other, e));
  CHECK((e + other) - e == other);
  CHECK(to_string(e).size() > 100000);
  CHECK_THROWS_WITH(parse_expr(to_string(e)), Contains("nested more than"));
  // A tree of 2^100 nodes is a graph of 100.
  Expr wide = v(0);
  for (int i = 0; i < 100; ++i) wide = min(mod(wide, 97), wide * wide);
  CHECK(contains_variable(substitute(wide, {{0, v(1)}}), 1));
}
