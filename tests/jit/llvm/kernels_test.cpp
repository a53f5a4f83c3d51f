// Whole kernels against the interpreter.
#include "tests/support/kernels.h"

#include <catch2/catch.hpp>

#include "tests/jit/llvm/compare.h"

using namespace plait;
using namespace plait::testing;

TEST_CASE("rows with reductions") {
  for (int64_t columns : {1, 5, 31, 32, 33, 96, 100})
    for (int64_t batch : {0, 1, 3}) CHECK(difference(normalize_rows(columns), {batch}) == "");
}

TEST_CASE("matrix products with edges in both directions") {
  for (GemmTile tile : {GemmTile{}, GemmTile{4, 8, 8, 16, 5}, GemmTile{2, 48, 4, 96, 16},
                        GemmTile{3, 24, 6, 24, 7}, GemmTile{1, 3, 2, 6, 4}})
    for (std::vector<int64_t> sizes : std::vector<std::vector<int64_t>>{
             {1, 1, 1}, {7, 33, 9}, {13, 50, 17}, {5, 4, 0}, {0, 3, 2}})
      CHECK(difference(gemm(tile), sizes) == "");
}

TEST_CASE("random numbers") {
  for (int64_t width : {1, 4, 8, 16, 20, 64}) CHECK(difference(philox(width), {37}) == "");
}

TEST_CASE("rows read through an index, bad ones reported") {
  for (int64_t columns : {1, 7})
    for (uint64_t seed : {1, 2, 3}) {
      CompareOptions options{seed, {{"index", 9}}};
      CHECK(difference(gather_rows(columns), {11, 8}, options) == "");
      CHECK(difference(gather_rows(columns), {11, 9}, {seed, {{"index", 9}}}) == "");
    }
}

TEST_CASE("rows added through an index, in order") {
  for (int64_t columns : {1, 8, 19})
    CHECK(difference(scatter_add_rows(columns), {40, 6}, {5, {{"index", 8}}}) == "");
}

TEST_CASE("transposed tiles") { CHECK(difference(transpose_tiles(), {2, 3}) == ""); }

TEST_CASE("two phases share a workspace") {
  for (int64_t n : {0, 1, 63, 64, 65, 1000}) CHECK(difference(two_phase_sum(), {n}) == "");
}
