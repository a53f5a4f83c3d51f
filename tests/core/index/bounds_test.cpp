#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/index/simplify.h"

using namespace plait;

namespace {

Expr v(uint32_t id) { return Expr::variable(id); }

struct Domain {
  Expr n = Expr::symbol("bound_n", 1, 64), m = Expr::symbol("bound_m", 0, 64);
  Expr s = Expr::symbol("bound_s", 8, 2048, 8);
  Expr i = v(0), j = v(1), jn = v(2), tile = v(3), full = v(4), row = v(5), below = v(6);
  Ranges ranges;
  Domain() {
    ranges.set(0, 16);
    ranges.set(1, 8);
    ranges.set(2, n);
    ranges.set(3, ceil_div(n, 8));
    ranges.set(4, floor_div(s, 8));
    ranges.set(5, n);
    ranges.set(6, row + 1);
  }
  bool less(Expr a, Expr b) const { return prove_less(a, b, ranges) == true; }
  bool not_less(Expr a, Expr b) const { return prove_less(a, b, ranges) == false; }
  bool undecided(Expr a, Expr b) const { return !prove_less(a, b, ranges); }
  std::string upper(Expr e) const {
    const auto result = upper_bound(e, ranges);
    return result ? to_string(*result) : "?";
  }
  std::string lower(Expr e) const {
    const auto result = lower_bound(e, ranges);
    return result ? to_string(*result) : "?";
  }
};

}  // namespace

TEST_CASE("numeric bounds", "[index]") {
  const Domain d;
  const auto check = [&](Expr e, std::optional<int64_t> lo, std::optional<int64_t> hi) {
    CAPTURE(to_string(e));
    const Interval b = bounds(e, d.ranges);
    CHECK(b.lo == lo);
    CHECK(b.hi == hi);
  };
  check(8 * d.i + d.j, 0, 127);
  check(d.i - d.j, -7, 15);
  check(d.n, 1, 64);
  check(d.jn * d.j, 0, 63 * 7);
  check(floor_div(d.i - 5, 4), -2, 2);
  check(floor_div(d.i - 5, -4), -3, 1);
  check(mod(v(50), 8), 0, 7);
  check(mod(v(50), -8), -7, 0);
  check(mod(d.i, d.n), 0, 15);
  check(floor_div(v(50), d.n), std::nullopt, std::nullopt);
  check(min(v(50), 7), std::nullopt, 7);
  check(Expr::element(0, {d.i}), std::nullopt, std::nullopt);
  check(max(min(Expr::element(0, {d.i}), 9), 0), 0, 9);
  check(d.below, 0, 63);
  check(Expr::symbol("bound_huge", 0, std::numeric_limits<int64_t>::max()) * 4, 0, std::nullopt);
  check(v(50) * 0 + 3, 3, 3);
  check(floor_div(d.i, d.m), 0, 15);  // without the divisor 0, where there is no value
  check(floor_div(100, d.i - 8), -100, 100);
}

TEST_CASE("comparisons are proved with symbolic extents", "[index]") {
  const Domain d;
  CHECK(d.less(d.i * 8 + d.j, 128));
  CHECK(d.undecided(d.i * 8 + d.j, 127));
  CHECK(d.less(d.jn, d.n));
  CHECK(d.less(d.n * d.i + d.jn, 16 * d.n));
  CHECK(d.less(d.i * d.n * d.m + d.jn * d.m, 16 * d.n * d.m + 1));
  CHECK(d.not_less(d.n, d.jn));
  CHECK(d.not_less(d.jn + 64, d.n));
  CHECK(d.not_less(d.n * d.m - d.m, 0));
  CHECK(d.less(d.n * d.n - d.n, d.n * d.n));
  CHECK(d.less(d.n - 1, d.n * d.n));
  CHECK(d.undecided(d.n, d.m));
  CHECK(d.undecided(d.jn, d.row));
  CHECK(d.less(d.below, d.row + 1));
  CHECK(d.less(d.below, d.n));
}

TEST_CASE("tails of a tiled loop", "[index]") {
  const Domain d;
  CHECK(d.less(8 * d.full + d.j, d.s));       // whole tiles
  CHECK(d.undecided(8 * d.tile + d.j, d.n));  // the last tile may stick out
  CHECK(d.less(8 * d.tile, d.n));             // but starts inside
  CHECK(d.less(8 * d.tile + d.j, d.n + 7));
  CHECK(d.less(8 * d.tile + min(d.j, d.n - 8 * d.tile - 1), d.n));
  CHECK(d.less(min(8 * d.tile + d.j, d.n - 1), d.n));
  CHECK(d.less(Expr(0), min(Expr(8), d.n - 8 * d.tile) + 0));
  CHECK(d.less(8 * floor_div(d.jn, 8) + mod(d.jn, 8), d.n));
  CHECK(d.less(mod(v(50), d.n), d.n));
  CHECK(d.less(max(min(Expr::element(0, {d.i}), d.n - 1), 0), d.n));
  CHECK(d.undecided(Expr::element(0, {d.i}), d.n));
}

TEST_CASE("equality", "[index]") {
  const Domain d;
  CHECK(prove_equal(8 * floor_div(v(50), 8) + mod(v(50), 8), v(50), d.ranges) == true);
  CHECK(prove_equal(floor_div(d.n * d.i + d.jn, d.n), d.i, d.ranges) == true);
  CHECK(prove_equal(d.jn, d.n, d.ranges) == false);
  CHECK(prove_equal(d.s, Expr(12), d.ranges) == false);  // 12 is no multiple of 8
  CHECK(prove_equal(d.s, Expr(16), d.ranges) == std::nullopt);
  CHECK(prove_equal(d.i, d.j, d.ranges) == std::nullopt);
  CHECK(prove_equal(d.n, d.n + 1, d.ranges) == false);
  CHECK(prove_equal(max(d.jn, 0), d.jn, d.ranges) == true);
}

TEST_CASE("extreme values as expressions of symbols", "[index]") {
  const Domain d;
  CHECK(d.upper(d.jn) == "bound_n - 1");
  CHECK(d.lower(d.jn) == "0");
  CHECK(d.upper(d.i * d.n + d.jn) == "16*bound_n - 1");
  CHECK(d.upper(d.n - 1 - d.jn) == "bound_n - 1");
  CHECK(d.lower(d.n - 1 - d.jn) == "0");
  CHECK(d.upper(d.i - d.j) == "15");
  CHECK(d.lower(d.i - d.j) == "-7");
  CHECK(d.upper(floor_div(d.jn, 4)) == "floor_div(bound_n + 3, 4) - 1");
  CHECK(d.upper(min(d.jn + 3, d.n - 1)) == "bound_n - 1");
  CHECK(d.upper(d.below) == "bound_n - 1");  // an extent that depends on a variable
  CHECK(d.upper(d.row * d.n + d.below) == "bound_n*bound_n - 1");
  CHECK(d.upper((d.n - 1) * d.i) == "15*bound_n - 15");  // the sign of n - 1 is known
  CHECK(d.upper(mod(d.jn, d.n)) == "bound_n - 1");       // no remainder at all
  CHECK(d.upper(d.i * d.j - d.i) == "90");               // one variable at a time
  CHECK(d.lower(d.i * d.j - d.i) == "-15");
  CHECK(d.upper(8 * d.full + d.j) == "bound_s - 1");
  CHECK(d.lower(min(Expr(8), d.s - 8 * d.full)) == "8");
  // Not monotone, or not seen to be.
  CHECK(d.upper(mod(d.i, 3)) == "?");
  CHECK(d.upper(d.i * (d.n - 5)) == "?");
  CHECK(d.upper(d.i - floor_div(d.i, 2)) == "?");
  CHECK(d.upper(v(50)) == "?");
  CHECK(d.upper(Expr::element(0, {d.i})) == "?");
  CHECK(d.upper(Expr::element(0, {0})) == "?");
}

TEST_CASE("known multiples", "[index]") {
  const Domain d;
  CHECK(is_multiple_of(d.s, 8));
  CHECK(is_multiple_of(d.s, -4));
  CHECK_FALSE(is_multiple_of(d.s, 16));
  CHECK(is_multiple_of(d.s * 2, 16));
  CHECK(is_multiple_of(d.s * d.n + 24, 8));
  CHECK_FALSE(is_multiple_of(d.s + 4, 8));
  CHECK(is_multiple_of(d.s * d.s, 64));
  CHECK(is_multiple_of(min(d.s, 32), 8));
  CHECK(is_multiple_of(6 * d.i + 4 * v(50), 2));
  CHECK(is_multiple_of(12 * mod(v(50), 6), 12));
  // A remainder and what it is of differ by a multiple.
  CHECK(is_multiple_of(33 * v(50) + 1 - mod(v(50) + 1, 32), 16));
  CHECK(is_multiple_of(v(50) - mod(v(50), 32) + 8 * d.n, 8));
  CHECK_FALSE(is_multiple_of(33 * v(50) + 1 - mod(v(50) + 1, 32), 64));
  CHECK_FALSE(is_multiple_of(33 * v(50) + 1 - mod(v(50) + 1, 24), 16));
  CHECK_FALSE(is_multiple_of(v(50) + mod(v(50), 32), 32));
  CHECK_FALSE(is_multiple_of(v(50) - 2 * mod(v(50), 32), 32));
  CHECK(is_multiple_of(mod(6 * v(50), 4), 2));
  CHECK(is_multiple_of(0, 7));
  CHECK_FALSE(is_multiple_of(d.n, 2));
  CHECK_FALSE(is_multiple_of(floor_div(d.s, 4), 4));
  CHECK(is_multiple_of(floor_div(d.s, 4), 2));
  CHECK_THROWS_AS(is_multiple_of(d.n, 0), InternalError);
}
