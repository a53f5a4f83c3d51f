// The kernels of tests/support on the interpreter, against plain C++.
#include "tests/support/kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "tests/support/launch.h"

using namespace plait;
using namespace plait::testing;

namespace {

std::vector<float> random_floats(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-2, 2);
  std::vector<float> values(count);
  for (float& v : values) v = distribution(generator);
  return values;
}

// Sums with 32 interleaved lanes joined by a tree, as the kernel does.
template <class F>
float reduce(std::vector<float> lanes, const std::vector<float>& values, F&& f) {
  for (size_t i = 0; i < values.size(); ++i) lanes[i % 32] = f(lanes[i % 32], values[i]);
  for (size_t half = 16; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) lanes[l] = f(lanes[l], lanes[l + half]);
  return lanes[0];
}

std::vector<float> normalized(const std::vector<float>& row) {
  const float low = -std::numeric_limits<float>::infinity();
  const float largest = reduce(std::vector<float>(32, low), row, [](float a, float b) {
    return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b);
  });
  std::vector<float> w;
  for (const float v : row) w.push_back(1 / ((largest + 1) - v));
  const float total = reduce(std::vector<float>(32, 0), w, [](float a, float b) { return a + b; });
  for (float& v : w) v /= total;
  return w;
}

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

TEST_CASE("normalize_rows reduces in 32 lanes and a tree") {
  for (const size_t columns : {1, 3, 31, 32, 50, 96, 100}) {
    const size_t batch = 3;
    std::vector<float> x = random_floats(batch * columns, 1), y(x.size(), -1);
    if (columns > 3) x[columns + 2] = NAN;
    CAPTURE(columns);
    interpret(normalize_rows(static_cast<int64_t>(columns)), {x.data(), y.data()}, {3});
    for (size_t r = 0; r < batch; ++r) {
      const auto begin = x.begin() + static_cast<std::ptrdiff_t>(r * columns);
      const auto expected = normalized({begin, begin + static_cast<std::ptrdiff_t>(columns)});
      for (size_t c = 0; c < columns; ++c) REQUIRE(same(y[r * columns + c], expected[c]));
    }
  }
}

TEST_CASE("gemm sums one fma chain, whatever the tile") {
  const int64_t shapes[][3] = {{1, 1, 1},  {5, 17, 3}, {13, 33, 9}, {24, 32, 16},
                               {7, 50, 1}, {0, 4, 3},  {4, 0, 3},   {30, 5, 20}};
  const GemmTile tiles[] = {{}, {4, 8, 8, 16, 5}, {14, 32, 28, 64, 16}, {1, 1, 2, 3, 4}};
  for (const auto& [m, n, k] : shapes) {
    auto a = random_floats(static_cast<size_t>(m * k), 2);
    auto b = random_floats(static_cast<size_t>(k * n), 3);
    std::vector<float> expected;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t p = 0; p < k; ++p)
          sum = std::fma(a[static_cast<size_t>(i * k + p)], b[static_cast<size_t>(p * n + j)], sum);
        expected.push_back(sum);
      }
    }
    for (const GemmTile& tile : tiles) {
      CAPTURE(m, n, k, tile.mr, tile.nr);
      std::vector<float> c(expected.size(), NAN);
      interpret(gemm(tile), {a.data(), b.data(), c.data()}, {m, n, k});
      CHECK(c == expected);
    }
  }
}

TEST_CASE("philox gives the published words") {
  // The known answers of Random123 for key 0 and counter 0, and the next counter's first word.
  std::vector<uint32_t> key = {0, 0}, out(4 * 9, 0);
  interpret(philox(4), {key.data(), out.data()}, {9});
  CHECK(std::vector<uint32_t>(out.begin(), out.begin() + 4) ==
        std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  std::vector<uint32_t> wider(4 * 9, 0);
  interpret(philox(8), {key.data(), wider.data()}, {9});
  CHECK(out == wider);
  CHECK(out[4] != out[0]);
}

TEST_CASE("gather reports the first bad index and fills with zeros") {
  auto table = random_floats(5 * 7, 4);
  std::vector<int32_t> index = {4, 0, 5, 2, -1};
  std::vector<float> y(5 * 7, -1);
  const ErrorRecord error =
      interpret(gather_rows(7), {table.data(), index.data(), y.data()}, {5, 5});
  CHECK(error.site == 0);
  CHECK(error.position == 2);
  CHECK(error.value == 5);
  for (size_t i = 0; i < index.size(); ++i) {
    for (size_t c = 0; c < 7; ++c) {
      const bool inside = 0 <= index[i] && index[i] < 5;
      REQUIRE(y[7 * i + c] == (inside ? table[7 * static_cast<size_t>(index[i]) + c] : 0));
    }
  }
  index = {4, 0, 1, 2, 3};
  CHECK(interpret(gather_rows(7), {table.data(), index.data(), y.data()}, {5, 5}).site == -1);
  CHECK(interpret(gather_rows(7), {nullptr, nullptr, nullptr}, {0, 0}).site == -1);
}

TEST_CASE("scatter adds in the order of the source") {
  const int64_t columns = 20;
  auto x = random_floats(6 * 20, 5);
  std::vector<int64_t> index = {1, 1, 7, 0, 1, -2};
  std::vector<float> table(3 * 20, 0.25f), expected = table;
  interpret(scatter_add_rows(columns), {x.data(), index.data(), table.data()}, {6, 3});
  for (size_t i = 0; i < index.size(); ++i)
    for (size_t c = 0; c < 20; ++c)
      if (0 <= index[i] && index[i] < 3)
        expected[20 * static_cast<size_t>(index[i]) + c] += x[20 * i + c];
  CHECK(table == expected);
}

TEST_CASE("tiles transpose in registers") {
  const size_t rows = 16, columns = 24;
  auto x = random_floats(rows * columns, 6);
  std::vector<float> y(x.size());
  interpret(transpose_tiles(), {x.data(), y.data()}, {2, 3});
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) REQUIRE(y[j * rows + i] == x[i * columns + j]);
}

TEST_CASE("phases see what the phase before wrote") {
  for (const size_t n : {0, 1, 64, 65, 200}) {
    std::vector<uint16_t> x(n);
    float expected = 0, partial = 0;
    for (size_t i = 0; i < n; ++i) {
      x[i] = f32_to_bf16(1 + static_cast<float>(i) / 7);
      partial += bf16_to_f32(x[i]);
      if (i % 64 == 63 || i + 1 == n) {
        expected += partial;
        partial = 0;
      }
    }
    float y = -1;
    interpret(two_phase_sum(), {x.data(), &y}, {static_cast<int64_t>(n)});
    CAPTURE(n);
    CHECK(y == expected);
  }
}

TEST_CASE("elementwise kernels mask their tail") {
  std::vector<uint8_t> condition = {1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0};
  auto yes = random_floats(11, 7), no = random_floats(11, 8);
  std::vector<float> y(12, 99);
  interpret(elementwise(kernel::Op::select, DType::f32, DType::f32, 8),
            {condition.data(), yes.data(), no.data(), y.data()}, {11});
  for (size_t i = 0; i < 11; ++i) CHECK(y[i] == (condition[i] ? yes[i] : no[i]));
  CHECK(y[11] == 99);
}
