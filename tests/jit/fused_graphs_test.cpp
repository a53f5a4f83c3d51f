// Small graphs, as text, that were once compiled wrongly.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/support/programs.h"

namespace plait {

using test::check_text;

TEST_CASE("a flat kernel beside fixed elements of a tensor of its size") {
  check_text(R"(graph
    %0 = input "key" : i64[2]
    %1 = random salt 0 %0 : u32[2]
    %2 = input "x" : u32[2]
    %3 = binary shift_right %1 %2 : u32[2]
    output "y" %3
  )");
  check_text(R"(graph
    %0 = input "x" : f32[2]
    %1 = reindex [1] fill 0 %0 : f32[]
    %2 = broadcast [] %1 : f32[2]
    %3 = binary mul %0 %2 : f32[2]
    output "y" %3
  )");
}

TEST_CASE("a gather from an axis that turns out empty fills") {
  for (const int64_t rows : {0, 4}) {
    check_text(R"(graph
      dim empty_rows 0..100
      %0 = input "x" : f32[empty_rows, 5]
      %1 = input "ids" : i64[64]
      %2 = reindex [t0[i0], i1] fill 1 %0 %1 : f32[64, 5]
      %3 = reduce sum [1] %2 : f32[64]
      output "y" %3
    )",
               {{"empty_rows", rows}});
  }
}

TEST_CASE("a gather between axes that turn out empty") {
  for (const int64_t size : {0, 3}) {
    check_text(R"(graph
      dim fuzz_s 0..4096
      %0 = input "x2" : f32[fuzz_s, 32, fuzz_s]
      %1 = unary round %0 : f32[fuzz_s, 32, fuzz_s]
      %2 = input "x4" : i64[fuzz_s, 5, fuzz_s]
      %3 = reindex [i0, t0[i0, i1, i2], i2] fill 1 %1 %2 : f32[fuzz_s, 5, fuzz_s]
      %4 = broadcast [0, 1, 2] %3 : f32[fuzz_s, 5, fuzz_s, 3]
      %5 = input "cut8" : f32[fuzz_s, 5, fuzz_s, 3]
      %6 = binary mul %4 %5 : f32[fuzz_s, 5, fuzz_s, 3]
      %7 = reduce sum [0] %6 : f32[5, fuzz_s, 3]
      output "y" %7
    )",
               {{"fuzz_s", size}});
  }
}

// A sum joins a nest that reads the same elements only if it sums over all of the nest's axis.
TEST_CASE("a sum over a whole tensor beside one over a row of it, and one beside a diagonal") {
  check_text(R"(graph
    %0 = input "x" : f32[4, 6]
    %1 = reindex [0, i0] fill 0 %0 : f32[6]
    %2 = reduce sum [0] %1 : f32[]
    %3 = reindex [floor_div(i0, 6), mod(i0, 6)] fill 0 %0 : f32[24]
    %4 = reduce sum [0] %3 : f32[]
    %5 = broadcast [] %2 : f32[6]
    %6 = binary sub %1 %5 : f32[6]
    %7 = reduce sum [0] %6 : f32[]
    output "row" %7
    output "whole" %4
  )");
  check_text(R"(graph
    %0 = input "x" : f32[5, 5]
    %1 = reindex [i0, i0] fill 0 %0 : f32[5]
    %2 = unary exp %1 : f32[5]
    %3 = reduce sum [0] %2 : f32[]
    %4 = reduce sum [0, 1] %0 : f32[]
    %5 = reduce max [1] %0 : f32[5]
    output "diagonal" %3
    output "whole" %4
    output "rows" %5
  )");
}

// The order of additions goes by the operand's axes: what is summed in another order, or over axes
// that lie apart there, keeps the bits it has alone.
TEST_CASE("sums over the same elements in several orders of their axes") {
  check_text(R"(graph
    %0 = input "x" : f32[10, 20, 30]
    %1 = reduce sum [1, 2] %0 : f32[10]
    %2 = reindex [i0, i2, i1] fill 0 %0 : f32[10, 30, 20]
    %3 = reduce sum [1, 2] %2 : f32[10]
    %4 = reduce sum [0, 2] %0 : f32[20]
    %5 = reindex [i1, i0, i2] fill 0 %0 : f32[20, 10, 30]
    %6 = reduce sum [1, 2] %5 : f32[20]
    %7 = reindex [i1, i2, i0] fill 0 %0 : f32[30, 10, 20]
    %8 = reduce sum [0, 1] %7 : f32[20]
    output "a" %1
    output "b" %3
    output "c" %4
    output "d" %6
    output "e" %8
  )");
}

TEST_CASE("an empty value that one kernel computes and another reads") {
  check_text(R"(graph
    %0 = input "x" : f64[0, 5]
    %1 = cast %0 : f32[0, 5]
    %2 = input "ids" : i64[64]
    %3 = reindex [t0[i0], i1] fill 1 %1 %2 : f32[64, 5]
    %4 = reduce sum [1] %3 : f32[64]
    %5 = concat 0 %4 %4 %4 : f32[192]
    output "y" %5
  )");
}

TEST_CASE("a gather along the row from values that a nest keeps per row") {
  check_text(R"(graph
    %0 = input "x" : f32[8, 17]
    %1 = unary tanh %0 : f32[8, 17]
    %2 = reduce max [1] %1 : f32[8]
    %3 = unary tanh %2 : f32[8]
    %4 = broadcast [0] %3 : f32[8, 17]
    %5 = binary mul %1 %4 : f32[8, 17]
    %6 = unary tanh %5 : f32[8, 17]
    %7 = input "ids" : i64[17]
    %8 = reindex [i0, t0[i1]] fill 1 %6 %7 : f32[8, 17]
    output "y" %8
  )");
}

// Each value is read twice by the next: trees of operands double with each step.
TEST_CASE("long chains of shared values behind a reduction compile in steps, not in trees") {
  std::string text = "graph\n%0 = input \"x\" : f32[8, 17]\n%1 = reduce max [1] %0 : f32[8]\n";
  text += "%2 = broadcast [0] %1 : f32[8, 17]\n%3 = binary sub %0 %2 : f32[8, 17]\n";
  for (int i = 4; i < 104; ++i) {
    const int last = i - 1;
    text += fmt::format("%{} = binary {} %{} %{} : f32[8, 17]\n", i, i % 2 ? "mul" : "minimum",
                        last, i > 5 ? i - 2 : last);
  }
  check_text(text + "output \"y\" %103\n");
}

TEST_CASE("factors of a sum of products that another sum keeps in memory") {
  check_text(R"(graph
    %0 = input "x" : i64[2, 65]
    %1 = input "y" : i64[2, 2]
    %2 = broadcast [0, 1] %0 : i64[2, 65, 2]
    %3 = broadcast [0, 2] %1 : i64[2, 65, 2]
    %4 = binary mul %2 %3 : i64[2, 65, 2]
    %5 = reduce sum [0] %4 : i64[65, 2]
    %6 = reduce sum [0, 1] %4 : i64[2]
    %7 = broadcast [1] %6 : i64[65, 2]
    %8 = binary mul %5 %7 : i64[65, 2]
    output "y" %8
  )");
}

TEST_CASE("a factor whose view names an axis of the other factor") {
  check_text(R"(graph
    %0 = input "a" : f64[3, 3]
    %1 = broadcast [0, 2] %0 : f64[3, 2, 3, 8]
    %2 = input "b" : f64[2, 17, 3]
    %3 = reindex [i0, i1, i3, 2*i2 + 2*i4 - 2] fill 0 %1 : f64[3, 2, 6, 1, 3]
    %4 = broadcast [1, 2, 5] %2 : f64[3, 2, 17, 6, 1, 3]
    %5 = broadcast [0, 1, 3, 4, 5] %3 : f64[3, 2, 17, 6, 1, 3]
    %6 = binary mul %5 %4 : f64[3, 2, 17, 6, 1, 3]
    %7 = reduce sum [5] %6 : f64[3, 2, 17, 6, 1]
    output "y" %7
  )");
}

TEST_CASE("a product whose summed axis turns out empty is 0") {
  for (const int64_t k : {0, 5, 1500}) {
    CAPTURE(k);
    check_text(R"(graph
      dim summed 0..4096
      %0 = input "a" : f32[32, summed]
      %1 = broadcast [0, 1] %0 : f32[32, summed, 4]
      %2 = input "b" : f32[summed, 4]
      %3 = broadcast [1, 2] %2 : f32[32, summed, 4]
      %4 = binary mul %1 %3 : f32[32, summed, 4]
      %5 = reduce sum [1] %4 : f32[32, 4]
      output "y" %5
    )",
               {{"summed", k}}, 20);
  }
}

TEST_CASE("a scatter most of whose updates lie outside, under conditions that never hold") {
  check_text(R"(graph
    %0 = input "x" : f32[1, 1]
    %1 = input "c" : bool[1, 1]
    %2 = input "d" : bool[1, 33]
    %3 = constant 0 : f32[]
    %4 = broadcast [] %3 : f32[1, 33]
    %5 = input "y" : f32[1, 33]
    %6 = select %2 %5 %4 : f32[1, 33]
    %7 = broadcast [] %3 : f32[1, 1]
    %8 = input "z" : f32[1, 1]
    %9 = scatter sum [i0, 2*i1] %8 %6 : f32[1, 1]
    %10 = binary div %0 %9 : f32[1, 1]
    %11 = select %1 %10 %7 : f32[1, 1]
    output "y" %11
  )");
}

}  // namespace plait
