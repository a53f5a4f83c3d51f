#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/index/expr.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {
Expr v(uint32_t id) { return Expr::variable(id); }
}  // namespace

TEST_CASE("index expressions print", "[index]") {
  const Expr n = Expr::symbol("text_n", 1, 64);
  CHECK(to_string(4 * v(0) + n) == "4*i0 + text_n");
  CHECK(to_string(3 - v(0) - 2 * n) == "-i0 - 2*text_n + 3");
  CHECK(to_string(v(0) * n - 1) == "i0*text_n - 1");
  CHECK(to_string(floor_div(v(1), 3)) == "floor_div(i1, 3)");
  CHECK(to_string(mod(v(1), 3)) == "mod(i1, 3)");
  CHECK(to_string(min(v(0), max(n, 3))) == "min(i0, max(text_n, 3))");
  CHECK(to_string(Expr::element(0, {v(0), v(1) + 1})) == "t0[i0, i1 + 1]");
  CHECK(to_string(Expr::element(3, {})) == "t3[]");
  CHECK(to_string(Expr(-7)) == "-7");
  CHECK(to_string(Expr(0)) == "0");
  const auto name = [](uint32_t id) { return "ab"[id] + std::string("x"); };
  CHECK(to_string(v(0) + mod(v(1), 2), name) == "ax + mod(bx, 2)");
}

TEST_CASE("index expressions parse back", "[index]") {
  Expr::symbol("text_n", 1, 64);
  Expr::symbol("t9", 1, 64);  // a symbol: no `[` follows
  for (const char* text :
       {"4*i0 + text_n", "-i0 - 2*text_n + 3", "floor_div(-i0 + 7, 8) - 1", "mod(i1, text_n)",
        "t0[i0, mod(i1, 3)]", "t3[]", "i0*i0*text_n", "min(i0, i1, max(text_n, 3))", "t9 + 1",
        "9223372036854775807", "-9223372036854775808", "i0 - 9223372036854775807",
        "-9223372036854775807*i0", "i4294967295"})
    CHECK(to_string(parse_expr(text)) == text);
  CHECK(parse_expr(" ( i0+1 )*2 - -3 ") == 2 * v(0) + 5);
  CHECK(parse_expr("ceil_div(i0, 4)") == floor_div(v(0) + 3, 4));
  // Also the most negative coefficient, which has no negation.
  for (Expr e : {v(0) + std::numeric_limits<int64_t>::min(),
                 v(0) + v(1) * std::numeric_limits<int64_t>::min()})
    CHECK(parse_expr(to_string(e)) == e);
}

TEST_CASE("bad index text is refused", "[index]") {
  Expr::symbol("text_batch", 1, 64);
  CHECK_THROWS_WITH(parse_expr("4*text_bacth"),
                    "[parse_expr] unknown dimension \"text_bacth\" in \"4*text_bacth\". hint: did "
                    "you mean 'text_batch'?");
  CHECK_THROWS_WITH(parse_expr("i0 + "),
                    "[parse_expr] expected a number, a name or '(' at column "
                    "6 of \"i0 + \"");
  CHECK_THROWS_WITH(parse_expr("i0 i1"),
                    "[parse_expr] expected an operator or the end at column 4 of \"i0 i1\"");
  CHECK_THROWS_WITH(parse_expr("mod(i0, 2"), Contains("expected ')'"));
  CHECK_THROWS_WITH(parse_expr("mod(i0)"), Contains("mod takes two; got 1"));
  CHECK_THROWS_WITH(parse_expr("min()"), Contains("min takes at least one operand; got 0"));
  CHECK_THROWS_WITH(parse_expr("div(i0, 2)"), Contains("unknown function \"div\""));
  CHECK_THROWS_WITH(parse_expr("9223372036854775808"), Contains("does not fit 64 bits"));
  CHECK_THROWS_WITH(parse_expr("tx[i0]"), Contains("expected a tensor t<number>"));
  CHECK_THROWS_AS(parse_expr(""), UserError);
  CHECK_THROWS_AS(parse_expr("i4294967296"), UserError);
  CHECK_THROWS_AS(parse_expr("9223372036854775807 + 1"), UserError);
  CHECK_THROWS_WITH(parse_expr(std::string(2000, '(')), Contains("nested more than"));
}
