#include "jit/kernel/facts.h"

#include <catch2/catch.hpp>
#include <random>

using namespace plait;
using kernel::Facts;

namespace {

Expr size(const char* name) { return Expr::symbol(name, 0, 1 << 24); }
Expr var(uint32_t id) { return Expr::variable(id); }

}  // namespace

TEST_CASE("addresses of row-major arrays lie inside") {
  Facts facts;
  const Expr n = size("n"), m = size("m");
  facts.add_variable(0, n);
  facts.add_variable(1, m);
  CHECK(facts.proves_in_range(var(0) * m + var(1), n * m));
  CHECK(facts.proves_in_range(var(1) * n + var(0), n * m));
  CHECK_FALSE(facts.proves_in_range(var(0) * m + var(1) + 1, n * m));
  CHECK_FALSE(facts.proves_in_range(var(0) * n + var(1), n * m));
  CHECK_FALSE(facts.proves_in_range(var(0) * m + var(1) - 1, n * m));
}

TEST_CASE("conditions bound compound indices") {
  Facts facts;
  const Expr n = size("n"), b = size("b");
  facts.add_variable(0, b);
  facts.add_variable(1, ceil_div(n, 32));
  facts.add_variable(2, 32);
  const Expr column = 32 * var(1) + var(2);
  const Expr address = n * var(0) + column;
  CHECK_FALSE(facts.proves_in_range(address, n * b));
  const Facts::Mark mark = facts.mark();
  facts.add_less(column, n);
  CHECK(facts.proves_in_range(address, n * b));
  CHECK(facts.proves_in_range(7 * address + 6, 7 * n * b));
  CHECK_FALSE(facts.proves_in_range(7 * address + 7, 7 * n * b));
  facts.release(mark);
  CHECK_FALSE(facts.proves_in_range(address, n * b));
}

TEST_CASE("padding guards") {
  Facts facts;
  const Expr n = size("n");
  facts.add_variable(0, n);
  facts.add_variable(1, 3);
  const Expr source = var(0) + var(1) - 1;
  facts.add_less(source, n);
  CHECK_FALSE(facts.proves_in_range(source, n));
  facts.add_nonnegative(source);
  CHECK(facts.proves_in_range(source, n));
}

TEST_CASE("windows of an image, cut at the end of its rows") {
  Facts facts;
  // image, row, column of four, channel, taps down and across, lane
  const int64_t extents[] = {8, 28, 7, 128, 3, 3, 16};
  for (uint32_t i = 0; i < 7; ++i) facts.add_variable(i, extents[i]);
  const Expr row = var(1) + var(4) - 1, column = 4 * var(2) + var(6) + var(5) - 29;
  const Expr address = 100352 * var(0) + 784 * var(3) + 28 * row + column;
  const Facts::Mark mark = facts.mark();
  for (const Expr index : {row, column, 4 * var(2) + var(6) - 28}) {
    facts.add_nonnegative(index);
    facts.add_less(index, 28);
  }
  CHECK(facts.proves_in_range(address, 802816));
  CHECK_FALSE(facts.proves_in_range(address - 1, 802816));
  CHECK_FALSE(facts.proves_in_range(address, 802800));
  facts.release(mark);
  CHECK_FALSE(facts.proves_in_range(address, 802816));
}

TEST_CASE("whole blocks of a floor division") {
  Facts facts;
  const Expr n = size("n"), b = size("b");
  facts.add_variable(0, b);
  facts.add_variable(1, floor_div(n, 32));
  facts.add_variable(2, 32);
  CHECK(facts.proves_in_range(n * var(0) + 32 * var(1) + var(2), n * b));
  CHECK_FALSE(facts.proves_in_range(n * var(0) + 32 * var(1) + var(2) + 1, n * b));
}

TEST_CASE("blocks cut by min") {
  Facts facts;
  const Expr n = size("n");
  facts.add_variable(0, ceil_div(n, 256));
  facts.add_variable(1, min(256, n - 256 * var(0)));
  CHECK(facts.proves_in_range(256 * var(0) + var(1), n));
  CHECK(facts.proves_in_range(var(1), 256));
  CHECK_FALSE(facts.proves_in_range(var(1), 255));
}

TEST_CASE("tails of blocks cut by min") {
  // Chunks of c, blocks of 4096 in them, vectors of 32 in those, and what is left of a block.
  Facts facts;
  const Expr n = size("n"), c = Expr::symbol("chunk", 4096, int64_t{1} << 30, 4096);
  facts.add_variable(0, floor_div(n - 1, c) + 1);
  const Expr chunk = min(c, n - c * var(0));
  facts.add_variable(1, ceil_div(chunk, 4096));
  const Expr block = min(4096, chunk - 4096 * var(1));
  facts.add_variable(2, 32);
  const Expr left = 32 * floor_div(block, 32) + var(2);
  const Expr start = c * var(0) + 4096 * var(1);
  CHECK_FALSE(facts.proves_in_range(start + left, n));
  facts.add_less(left, block);
  CHECK(facts.proves_in_range(start + left, n));
  CHECK_FALSE(facts.proves_in_range(start + left + 1, n));
}

TEST_CASE("vectors of blocks of rows") {
  Facts facts;
  facts.add_variable(0, 26);
  const Expr row = floor_div(var(0), 13), block = mod(var(0), 13);
  facts.add_variable(1, floor_div(min(4096, 50257 - 4096 * block), 32));
  facts.add_variable(2, 32);
  const Expr address = 50257 * row + 4096 * block + 32 * var(1) + var(2);
  CHECK(facts.proves_in_range(address, 2 * 50257));
  CHECK_FALSE(facts.proves_in_range(address + 32, 2 * 50257));
}

TEST_CASE("quotients and remainders of guarded indices") {
  Facts facts;
  const Expr m = size("m");
  facts.add_variable(0, ceil_div(7 * m, 8));
  facts.add_variable(1, 8);
  const Expr flat = 8 * var(0) + var(1);
  CHECK_FALSE(facts.proves_in_range(floor_div(flat, 7), m));
  facts.add_less(flat, 7 * m);
  CHECK(facts.proves_in_range(floor_div(flat, 7), m));
  CHECK(facts.proves_in_range(mod(flat, 7), 7));
  CHECK(facts.proves_in_range(m * mod(flat, 7) + floor_div(flat, 7), 7 * m));
}

TEST_CASE("a loop that runs has an extent of at least 1") {
  Facts facts;
  const Expr n = size("n");
  CHECK_FALSE(facts.proves_in_range(0, n));
  facts.add_variable(0, n);
  CHECK(facts.proves_in_range(0, n));
  CHECK(facts.proves_in_range(n - 1, n));
  CHECK(facts.proves_in_range(min(var(0) + 1, n - 1), n));
  CHECK(facts.proves_in_range(max(var(0) - 1, 0), n));
  CHECK_FALSE(facts.proves_in_range(max(var(0) + 1, 0), n));
}

// Whatever is proven holds at every point of small random loop nests.
TEST_CASE("proofs are sound") {
  std::mt19937 random(7);
  const auto pick = [&](int64_t lo, int64_t hi) {
    return std::uniform_int_distribution<int64_t>(lo, hi)(random);
  };
  int proven = 0, refuted = 0, step = 1;
  Expr n;
  const auto quotient = [&] { return pick(1, 3) * floor_div(n + pick(-2, 2), pick(2, 4)); };
  for (int round = 0; round < 1200; ++round) {
    // Any size, or one that is known to be even.
    step = round % 3 == 0 ? 2 : 1;
    const char* const name = step == 2 ? "small_even" : "small";
    n = Expr::symbol(name, 0, 8 + step % 2, step);
    Facts facts;
    const Expr outer[] = {n, pick(1, 5), quotient()};
    const Expr inner[] = {min(pick(1, 6), n - var(0)), pick(1, 6), quotient(),
                          max(min(4, n - pick(1, 3) * var(0)) - pick(0, 2), 0)};
    const Expr extents[] = {outer[pick(0, 2)], inner[pick(0, 3)]};
    facts.add_variable(0, extents[0]);
    facts.add_variable(1, extents[1]);
    const Expr sum = pick(1, 3) * var(0) + pick(-2, 3) * var(1) + pick(-2, 3);
    const Expr limit = pick(0, 1) ? n + pick(-1, 1) : Expr(pick(0, 9));
    const bool guarded = pick(0, 1) == 1;
    if (guarded) facts.add_less(sum, limit);
    Expr index = sum;
    const int64_t shape = pick(0, 6);
    if (shape == 1) index = floor_div(sum, pick(1, 4));
    if (shape == 2) index = mod(sum, pick(1, 4)) + var(0);
    if (shape == 3) index = min(sum, limit) + pick(0, 1);
    if (shape == 4) index = max(var(0), var(1)) + pick(-1, 1);
    if (shape == 5) index = n * var(0) + sum;
    if (shape == 6) index = pick(2, 4) * var(1) + var(0) + pick(-1, 1);
    const Expr bounds[] = {limit, pick(1, 2) * n + pick(0, 4), quotient() + pick(0, 4),
                           n * extents[0] + pick(-1, 3), pick(2, 4) * quotient() + pick(0, 4)};
    const Expr bound = bounds[pick(0, 4)];
    const bool claimed = facts.proves_in_range(index, bound);
    bool holds = true;
    for (int64_t size = 0; size <= 9 && holds; size += step) {
      int64_t at[2] = {0, 0};
      const auto value = [&](Expr e) {
        return evaluate(e, [&](uint32_t v) { return at[v]; }, {{name, size}});
      };
      for (at[0] = 0; at[0] < value(extents[0]); ++at[0]) {
        for (at[1] = 0; at[1] < value(extents[1]); ++at[1]) {
          if (guarded && value(sum) >= value(limit)) continue;
          if (value(index) < 0 || value(index) >= value(bound)) holds = false;
        }
        at[1] = 0;
      }
    }
    INFO(round << ": " << to_string(index) << " in [0, " << to_string(bound) << ")");
    if (claimed) REQUIRE(holds);
    proven += claimed ? 1 : 0;
    refuted += holds ? 0 : 1;
  }
  CHECK(proven > 120);
  CHECK(refuted > 120);
}

TEST_CASE("panels of leaves whose length is known late") {
  Facts facts;
  const Expr n = Expr::symbol("steps", 0, 1 << 16), k = 16 * n;
  const Expr leaf =
      simplify(max(32 * ceil_div(ceil_div(k, max(ceil_div(k, 1024), 1)), 32), 32), facts.ranges());
  CHECK(facts.proves_nonnegative(1024 - leaf));
  CHECK_FALSE(facts.proves_nonnegative(992 - leaf));
  facts.add_variable(0, 2);
  facts.add_variable(1, ceil_div(k, leaf));
  facts.add_variable(2, ceil_div(leaf, 512));
  const Expr start = leaf * var(1) + 512 * var(2);
  const Expr length = max(min(512, min(leaf - 512 * var(2), k - start)), 0);
  const Facts::Mark mark = facts.mark();
  // Steps one by one, in rows of an array; in pairs of a panel of 8 columns; in tiles of 32 x 16.
  facts.add_variable(3, length);
  CHECK(facts.proves_in_range(k * var(0) + start + var(3), 2 * k));
  CHECK_FALSE(facts.proves_in_range(k * var(0) + start + var(3) + 1, 2 * k));
  facts.release(mark);
  facts.add_variable(3, 2 * floor_div(length, 4));
  facts.add_variable(4, 8);
  CHECK(facts.proves_in_range(8 * start + 16 * var(3) + var(4) + 8, 8 * k));
  CHECK_FALSE(facts.proves_in_range(8 * start + 16 * var(3) + var(4) + 32, 8 * k));
  facts.release(mark);
  facts.add_variable(3, ceil_div(length, 32));
  facts.add_variable(4, 16);
  facts.add_variable(5, 32);
  const Expr tile = 16 * start + 512 * var(3), place = 32 * var(4) + var(5);
  CHECK(facts.proves_in_range(tile + place, 512 * ceil_div(k, 32)));
  CHECK_FALSE(facts.proves_in_range(tile + place + 1, 512 * ceil_div(k, 32)));
}

TEST_CASE("what a guard says of quotients and remainders") {
  Facts facts;
  facts.add_variable(0, 18);
  facts.add_variable(1, 32);
  CHECK_FALSE(facts.proves_nonnegative(-floor_div(var(1), 2)));
  facts.add_less(var(1), 2);
  CHECK(facts.proves_nonnegative(-floor_div(var(1), 2)));
  CHECK(facts.proves_nonnegative(-3 * floor_div(var(1), 2)));
  CHECK(facts.proves_nonnegative(mod(var(1), 2) - var(1)));
  CHECK(facts.proves_nonnegative(var(1) - mod(var(1), 2)));
  CHECK_FALSE(facts.proves_nonnegative(mod(var(1), 2) - 1));
}
