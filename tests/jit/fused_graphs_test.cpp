// Small graphs, as text, that were once compiled wrongly.
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

}  // namespace plait
