#include "ops/nn/init.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"
#include "ops/nn/linear.h"
#include "ops/random.h"
#include "tests/ops/step.h"
#include "tests/support/error_text.h"

using namespace plait;
using testing::values_of;

TEST_CASE("initial values depend on the seed and the order of draws alone") {
  const auto draw = [](int64_t seed) {
    manual_seed(seed);
    const auto first = values_of(nn::init::normal({7}, 0, 1));
    return std::pair(first, values_of(nn::init::normal({7}, 0, 1)));
  };
  const auto [a, b] = draw(3);
  CHECK(draw(3) == std::pair(a, b));
  CHECK(a != b);
  CHECK(draw(4).first != a);
  manual_seed(3);
  const auto longer = values_of(nn::init::normal({3, 3}, 0, 1));
  CHECK(std::vector(longer.begin(), longer.begin() + 7) == a);
}

TEST_CASE("uniform and normal follow the documented formulas") {
  manual_seed(-5);
  const auto u = values_of(nn::init::uniform({6}, -2, 4));
  const auto n = values_of(nn::init::normal({6}, 1, 0.5));
  for (uint64_t i = 0; i < 6; ++i) {
    const double bits = random::element_bits(i, -5, 0, nn::kInitSalt) >> 8;
    CHECK(u[i] == static_cast<float>(-2 + 6 * bits / (1 << 24)));
    const uint64_t pair = i / 2 * 2;
    const double r =
        std::sqrt(-2 * std::log((random::element_bits(pair, -5, 1, nn::kInitSalt) + 0.5) / 0x1p32));
    const double t =
        2 * M_PI * (random::element_bits(pair + 1, -5, 1, nn::kInitSalt) + 0.5) / 0x1p32;
    CHECK(n[i] == Approx(1 + 0.5 * r * (i % 2 ? std::sin(t) : std::cos(t))).margin(1e-7));
  }
}

TEST_CASE("the distributions have their moments") {
  manual_seed(1);
  const auto moments = [](const Array& array) {
    double sum = 0, squares = 0;
    for (double x : values_of(array)) sum += x, squares += x * x;
    const double n = static_cast<double>(array.count());
    return std::pair(sum / n, std::sqrt(squares / n - sum * sum / n / n));
  };
  // 40,000 draws: the mean is off by sigma/200 in one of three runs, so 4 of those are safe.
  const auto [mean, deviation] = moments(nn::init::normal({200, 200}, 1, 2));
  CHECK(mean == Approx(1).margin(0.04));
  CHECK(deviation == Approx(2).margin(0.04));
  const auto [middle, spread] = moments(nn::init::uniform({200, 200}, -1, 3));
  CHECK(middle == Approx(1).margin(0.03));
  CHECK(spread == Approx(4 / std::sqrt(12.0)).margin(0.03));
}

TEST_CASE("empty and single draws, and bad arguments") {
  CHECK(nn::init::normal({0, 3}, 0, 1).count() == 0);
  CHECK(nn::init::uniform({}, 2, 2).item() == 2);
  CHECK_THAT(error_text<UserError>([] { nn::init::uniform({1}, 2, 1); }),
             Catch::Contains("got low: 2, high: 1"));
  CHECK_THAT(error_text<UserError>([] { nn::init::normal({1}, 0, -1); }),
             Catch::Contains("got -1"));
}

TEST_CASE("Linear starts in ±1/sqrt(in_features)") {
  manual_seed(0);
  nn::Linear layer(16, 64);
  double largest = 0;
  for (double w : values_of(layer.weight()->value())) largest = std::max(largest, std::abs(w));
  CHECK(largest <= 0.25);
  CHECK(largest > 0.24);
  for (double b : values_of(layer.bias()->value())) CHECK(std::abs(b) <= 0.25);
}
