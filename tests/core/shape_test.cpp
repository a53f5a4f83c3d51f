#include "core/shape.h"

#include <catch2/catch.hpp>

#include "core/error.h"

using namespace plait;
using Catch::Matchers::Contains;

TEST_CASE("shapes", "[shape]") {
  const Expr n = dim("shape_n", 1, 64), i = Expr::variable(0), j = Expr::variable(1);
  CHECK(element_count({}) == Expr(1));
  CHECK(element_count({n, 3, 4}) == 12 * n);
  CHECK(element_count({n, 0, 4}) == Expr(0));
  CHECK(row_major_strides({n, 3, 4}) == std::vector<Expr>{12, 4, 1});
  CHECK(row_major_strides({3, n}) == std::vector<Expr>{n, 1});
  CHECK(row_major_strides({}).empty());
  const Expr index[] = {i, j};
  CHECK(linear_index({3, n}, index) == i * n + j);
  CHECK(linear_index({}, {}) == Expr(0));
  CHECK_THROWS_AS(linear_index({3}, index), InternalError);
  const int64_t big = int64_t{1} << 40;
  CHECK_THROWS_WITH(element_count({big, big}),
                    "[shape] the number of elements must fit 64 bits; "
                    "got [1099511627776, 1099511627776]");
  CHECK(element_count({big, big, 0}) == Expr(0));
}

TEST_CASE("types print and parse", "[shape]") {
  const Expr n = dim("shape_n", 1, 64);
  CHECK(to_string(Shape{n, 768}) == "[shape_n, 768]");
  CHECK(to_string(Type{DType::bf16, {}}) == "bf16[]");
  for (const char* text : {"f32[shape_n, 768]", "bool[]", "u8[0]", "f64[floor_div(shape_n, 4), 2]",
                           "i64[min(shape_n, 8), shape_n*shape_n + 1]"})
    CHECK(to_string(parse_type(text)) == text);
  CHECK(parse_type(" f32 [ shape_n,2 ] ") == Type{DType::f32, {n, 2}});
  CHECK_FALSE(parse_type("f32[2]") == parse_type("f32[3]"));
  CHECK_FALSE(parse_type("f32[2]") == parse_type("f64[2]"));
}

TEST_CASE("bad types are refused", "[shape]") {
  CHECK_THROWS_WITH(parse_type("f32"),
                    "[parse_type] a type reads like f32[batch, 768]; got \"f32\"");
  CHECK_THROWS_WITH(parse_type("f33[2]"), "[parse_type] unknown dtype \"f33\" in \"f33[2]\"");
  CHECK_THROWS_WITH(parse_type("f32[shape_m]"), Contains("unknown dimension \"shape_m\""));
  CHECK_THROWS_AS(parse_type(""), UserError);
  CHECK_THROWS_AS(parse_type("]"), UserError);
  CHECK_THROWS_AS(parse_type("f32[2"), UserError);
  CHECK_THROWS_AS(parse_type("f32[2,]"), UserError);
  CHECK_THROWS_AS(parse_type("f32[2]]"), UserError);
}
