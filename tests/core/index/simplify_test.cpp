#include "core/index/simplify.h"

#include <catch2/catch.hpp>

#include "core/error.h"

using namespace plait;

namespace {

Expr v(uint32_t id) { return Expr::variable(id); }

struct Domain {
  Expr n = Expr::symbol("simp_n", 1, 64), m = Expr::symbol("simp_m", 0, 64);
  Expr s = Expr::symbol("simp_s", 8, 2048, 8);
  Expr i = v(0), j = v(1), jn = v(2), jm = v(3), x = v(4);
  Ranges ranges;
  Domain() {
    ranges.set(0, 16);
    ranges.set(1, 8);
    ranges.set(2, n);
    ranges.set(3, m);
    ranges.set(4, 5 * n * m);
  }
  Expr operator()(Expr e) const {
    const Expr result = simplify(e, ranges);
    CHECK(simplify(result, ranges) == result);
    return result;
  }
};

}  // namespace

TEST_CASE("a row-major index splits into its parts", "[index]") {
  const Domain d;
  CHECK(d(floor_div(8 * d.i + d.j, 8)) == d.i);
  CHECK(d(mod(8 * d.i + d.j, 8)) == d.j);
  CHECK(d(floor_div(d.n * d.i + d.jn, d.n)) == d.i);
  CHECK(d(mod(d.n * d.i + d.jn, d.n)) == d.jn);
  CHECK(d(floor_div(d.m * d.i + d.jm, d.m)) == d.i);  // a size that may be 0
  CHECK(d(mod(d.m * d.i + d.jm, d.m)) == d.jm);
  const Expr whole = (d.i * d.n + d.jn) * 8 + d.j;
  CHECK(d(floor_div(whole, 8 * d.n)) == d.i);
  CHECK(d(mod(floor_div(whole, 8), d.n)) == d.jn);
  CHECK(d(floor_div(mod(whole, 8 * d.n), 8)) == d.jn);
  CHECK(d(mod(whole, 8)) == d.j);
  // Flipped axes.
  CHECK(d(floor_div(8 * d.i + 7 - d.j, 8)) == d.i);
  CHECK(d(mod(8 * d.i + 7 - d.j, 8)) == 7 - d.j);
  CHECK(d(floor_div(d.n * d.i + d.n - 1 - d.jn, d.n)) == d.i);
  CHECK(d(mod(d.n * d.i + d.n - 1 - d.jn, d.n)) == d.n - 1 - d.jn);
  // One too large, and it stays.
  CHECK(d(floor_div(8 * d.i + d.j + 1, 8)) == d.i + floor_div(d.j + 1, 8));
  CHECK(d(mod(d.jn + 1, d.n)).kind() == ExprKind::mod);
}

TEST_CASE("what can't carry is dropped from a division", "[index]") {
  const Domain d;
  const Expr k = mod(d.x, 4);
  CHECK(d(floor_div(8 * d.i + d.j, 16)) == floor_div(d.i, 2));
  CHECK(d(mod(8 * d.i + d.j, 16)) == 8 * mod(d.i, 2) + d.j);
  CHECK(d(floor_div(4 * d.i + k, 12)) == floor_div(d.i, 3));
  CHECK(d(floor_div(d.n * d.i + d.jn, 4 * d.n)) == floor_div(d.i, 4));
  CHECK(d(mod(d.n * d.i + d.jn, 4 * d.n)) == d.n * mod(d.i, 4) + d.jn);
  CHECK(d(floor_div(d.s + d.j, 8)) == floor_div(d.s, 8));
  CHECK(d(mod(d.s * d.x + d.j, 8)) == d.j);
  CHECK(d(floor_div(4 * d.i + d.j, 8)) == floor_div(4 * d.i + d.j, 8));
}

TEST_CASE("quotient and remainder join", "[index]") {
  const Domain d;
  const auto div = [](Expr a, Expr b) { return floor_div(a, b); };
  CHECK(d(8 * div(d.x, 8) + mod(d.x, 8)) == d.x);
  CHECK(d(d.n * div(d.x, d.n) + mod(d.x, d.n)) == d.x);
  CHECK(d(4 * d.n * div(d.x, d.n) + 4 * mod(d.x, d.n)) == 4 * d.x);
  CHECK(d(d.i + 4 * d.n * div(d.x, d.n) - d.jn + 4 * mod(d.x, d.n) + 3) ==
        4 * d.x + d.i - d.jn + 3);
  CHECK(d(d.m * d.n * div(d.x, d.n) + d.m * mod(d.x, d.n)) == d.m * d.x);
  CHECK(d(div(d.x, 12) * 12 + mod(div(d.x, 4), 3) * 4 + mod(d.x, 4)) == d.x);
  CHECK(d(div(d.x, d.n * d.m) * d.n * d.m + mod(div(d.x, d.m), d.n) * d.m + mod(d.x, d.m)) == d.x);
  CHECK(d(7 * (div(d.x, 6) * 6 + mod(div(d.x, 2), 3) * 2 + mod(d.x, 2)) + d.jn) == 7 * d.x + d.jn);
  CHECK(d(div(8 * div(d.x, 8) + mod(d.x, 8), 4)) == div(d.x, 4));
  CHECK(d(d.x - 8 * div(d.x, 8)) == mod(d.x, 8));
  CHECK(d(Expr::element(0, {8 * div(d.x, 8) + mod(d.x, 8)})) == Expr::element(0, {d.x}));
  // Not the quotient of that remainder.
  const Expr other = 9 * div(d.x, 8) + mod(d.x, 8);
  CHECK(d(other) == other);
  const Expr shifted = 8 * div(d.x + 1, 8) + mod(d.x, 8);
  CHECK(d(shifted) == shifted);
}

TEST_CASE("a reshape there and back is the identity", "[index]") {
  const Domain d;
  // [16, 8, n] -> [n, 128] -> [16, 8, n].
  const Expr flat = (d.i * 8 + d.j) * d.n + d.jn;
  const Expr row = floor_div(flat, 128), column = mod(flat, 128);
  const Expr back = row * 128 + column;
  CHECK(d(floor_div(back, 8 * d.n)) == d.i);
  CHECK(d(mod(floor_div(back, d.n), 8)) == d.j);
  CHECK(d(mod(back, d.n)) == d.jn);
}

TEST_CASE("min and max are decided by bounds", "[index]") {
  const Domain d;
  CHECK(d(min(d.i, 15)) == d.i);
  CHECK(d(min(d.i, 14)) == min(d.i, 14));
  CHECK(d(max(d.jn, d.n)) == d.n);
  CHECK(d(min(d.jn, d.n - 1)) == d.jn);
  CHECK(d(max(d.jn, 0)) == d.jn);
  CHECK(d(max(d.i - 20, 0)) == Expr(0));
  CHECK(d(min(max(d.i, d.j - 8), 40)) == d.i);
  const Expr clamped = max(min(Expr::element(0, {d.i}), d.n - 1), 0);
  CHECK(d(clamped) == clamped);
  CHECK(d(min(clamped, d.n)) == clamped);
}

TEST_CASE("one possible value is a constant", "[index]") {
  const Domain d;
  Ranges ranges = d.ranges;
  ranges.set(9, 1);
  CHECK(simplify(v(9) * d.n + d.i, ranges) == d.i);
  CHECK(simplify(floor_div(d.i, 16), ranges) == Expr(0));
  CHECK(simplify(Expr::symbol("simp_fixed", 5, 5) + 1, ranges) == Expr(6));
  CHECK(simplify(floor_div(d.j - 8, 8), ranges) == Expr(-1));
}

TEST_CASE("nothing is simplified without a reason", "[index]") {
  const Domain d;
  const Expr unknown = v(50), e = Expr::element(1, {d.i});
  for (Expr x : {floor_div(unknown, 8), mod(unknown, 8), floor_div(e, 8), mod(e, d.n),
                 min(unknown, d.n), floor_div(8 * d.i + e, 8) - d.i, mod(d.jn, d.m)})
    CHECK(d(x) == x);
  // Overflow within a rule leaves the expression as it was.
  const int64_t huge = int64_t{1} << 62;
  const Expr big = floor_div(floor_div(unknown, huge) + d.i, huge);
  CHECK(d(big) == big);
}

TEST_CASE("long chains simplify", "[index]") {
  const Domain d;
  Expr e = d.i;
  for (int i = 0; i < 20000; ++i) e = mod(3 * e + 1, 7 + i % 5);
  const Expr simple = simplify(e, d.ranges);
  for (int64_t x : {0, 7, 15})
    CHECK(evaluate(simple, [&](uint32_t) { return x; }, {}) ==
          evaluate(e, [&](uint32_t) { return x; }, {}));
}
