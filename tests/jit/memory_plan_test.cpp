#include "jit/memory_plan.h"

#include <catch2/catch.hpp>
#include <random>

namespace plait {
namespace {

std::vector<Lifetime> random_lifetimes(std::mt19937& random) {
  auto below = [&](size_t n) { return random() % n; };
  std::vector<Lifetime> lifetimes(1 + below(60));
  const size_t launches = 1 + below(20), largest = 1 + below(5000), longest = 1 + below(8);
  for (Lifetime& lifetime : lifetimes) {
    lifetime.first = below(launches);
    lifetime.last = lifetime.first + below(longest);
    lifetime.bytes = below(10) == 0 ? 0 : below(largest);
  }
  return lifetimes;
}

size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

TEST_CASE("buffers that live at once do not overlap, by trying all pairs") {
  std::mt19937 random(5);
  size_t planned = 0, needed = 0;
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    const std::vector<Lifetime> lifetimes = random_lifetimes(random);
    const MemoryPlan plan = plan_memory(lifetimes);
    REQUIRE(plan.offsets.size() == lifetimes.size());
    size_t end = 0;
    for (size_t i = 0; i < lifetimes.size(); ++i) {
      const Lifetime& a = lifetimes[i];
      REQUIRE(plan.offsets[i] % 64 == 0);
      if (a.bytes > 0) end = std::max(end, plan.offsets[i] + rounded(a.bytes));
      for (size_t j = 0; j < i; ++j) {
        const Lifetime& b = lifetimes[j];
        const bool together = a.first <= b.last && b.first <= a.last;
        const bool overlap = plan.offsets[i] < plan.offsets[j] + b.bytes &&
                             plan.offsets[j] < plan.offsets[i] + a.bytes;
        REQUIRE_FALSE((together && overlap && a.bytes > 0 && b.bytes > 0));
      }
    }
    size_t most = 0;
    for (size_t launch = 0; launch < 30; ++launch) {
      size_t alive = 0;
      for (const Lifetime& a : lifetimes) {
        if (a.first <= launch && launch <= a.last) alive += rounded(a.bytes);
      }
      most = std::max(most, alive);
    }
    REQUIRE(plan.most_alive == most);
    REQUIRE(plan.bytes == end);
    REQUIRE(plan.bytes >= most);
    planned += plan.bytes;
    needed += most;
  }
  CHECK(static_cast<double>(planned) < 1.1 * static_cast<double>(needed));
}

TEST_CASE("a chain of buffers needs two") {
  std::vector<Lifetime> chain;
  for (size_t i = 0; i < 1000; ++i) chain.push_back({4096, i, i + 1});
  const MemoryPlan plan = plan_memory(chain);
  CHECK(plan.bytes == 2 * 4096);
  CHECK(plan.most_alive == 2 * 4096);
}

TEST_CASE("nothing needs nothing") {
  CHECK(plan_memory({}).bytes == 0);
  CHECK(plan_memory({{0, 0, 5}, {0, 1, 2}}).bytes == 0);
}

}  // namespace plait
