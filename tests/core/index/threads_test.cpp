#include <catch2/catch.hpp>
#include <thread>

#include "core/index/simplify.h"

using namespace plait;

TEST_CASE("threads that build the same expressions share their nodes", "[index]") {
  constexpr int kThreads = 8, kCount = 2000;
  std::vector<std::vector<Expr>> built(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&built, t] {
      Ranges ranges;
      ranges.set(0, 64);
      for (int k = 0; k < kCount; ++k) {
        const int at = (k * 7 + t * 251) % kCount;  // each in its own order
        const Expr n = Expr::symbol("threads_n" + std::to_string(at % 50), 1, 64);
        const Expr x = Expr::variable(0) * n + Expr::variable(at % 90) + 100000 + at;
        built[t].resize(kCount, Expr());
        built[t][at] = simplify(floor_div(x, n) + mod(x, 3 + at % 11), ranges);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (int t = 1; t < kThreads; ++t) CHECK(built[t] == built[0]);
}
