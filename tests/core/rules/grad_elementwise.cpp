#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"
#include "passes/gradients.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

constexpr double kTolerance = 2e-7;  // of central differences in f64

struct Domain {
  double lo, hi;
};

// Where the function is defined and far from its kinks. Exhaustive: a new function needs a line.
Domain domain_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::sqrt:
    case UnaryOp::rsqrt:
    case UnaryOp::log:
    case UnaryOp::log2:
      return {0.3, 3};
    case UnaryOp::log1p:
      return {-0.6, 3};
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::trunc:
      return {0.1, 0.9};
    case UnaryOp::round:
      return {0.6, 1.4};
    case UnaryOp::neg:
    case UnaryOp::abs:
    case UnaryOp::sign:
    case UnaryOp::exp:
    case UnaryOp::expm1:
    case UnaryOp::sin:
    case UnaryOp::cos:
    case UnaryOp::tanh:
    case UnaryOp::erf:
    case UnaryOp::logical_not:
    case UnaryOp::bitwise_not:
    case UnaryOp::is_nan:
      return {-2, 2};
  }
  PLAIT_UNREACHABLE("unary {}", static_cast<int>(op));
}

bool takes_floats(UnaryOp op) {
  return op != UnaryOp::logical_not && op != UnaryOp::bitwise_not && op != UnaryOp::is_nan;
}

constexpr UnaryOp kUnaryOps[] = {
#define PLAIT_UNARY(name) UnaryOp::name,
#include "core/graph/scalar_ops.def"
};

Function unary(UnaryOp op) {
  return [op](Graph& g, const std::vector<Value>& x) { return meta::unary(g, op, x[0]); };
}
Function binary(BinaryOp op) {
  return [op](Graph& g, const std::vector<Value>& x) { return meta::binary(g, op, x[0], x[1]); };
}

void check(const Function& f, const std::vector<Array>& x) {
  const auto got = gradients_of(f, x);
  const auto expected = differences_of(f, x);
  for (size_t k = 0; k < x.size(); ++k) {
    CAPTURE(k, got[k], expected[k]);
    CHECK(close(got[k], expected[k], kTolerance));
  }
}

std::vector<double> grad_at(UnaryOp op, std::vector<double> x) {
  const Array a = array(DType::f64, {static_cast<int64_t>(x.size())}, x);
  return sum_gradients_of(unary(op), {a})[0];
}

std::vector<std::vector<double>> grads_at(BinaryOp op, std::vector<double> x,
                                          std::vector<double> y) {
  const auto n = static_cast<int64_t>(x.size());
  return sum_gradients_of(binary(op), {array(DType::f64, {n}, x), array(DType::f64, {n}, y)});
}

}  // namespace

TEST_CASE("unary gradients agree with finite differences") {
  std::mt19937_64 random(1);
  for (UnaryOp op : kUnaryOps) {
    if (!takes_floats(op)) continue;
    CAPTURE(name_of(op));
    const Domain domain = domain_of(op);
    check(unary(op), {random_array(random, DType::f64, {13}, domain.lo, domain.hi)});
  }
}

TEST_CASE("binary gradients agree with finite differences") {
  std::mt19937_64 random(2);
  for (BinaryOp op : {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::div, BinaryOp::mod,
                      BinaryOp::pow, BinaryOp::maximum, BinaryOp::minimum, BinaryOp::atan2}) {
    CAPTURE(name_of(op));
    check(binary(op), {random_array(random, DType::f64, {11}, 2.1, 2.9),
                       random_array(random, DType::f64, {11}, 0.8, 3.7)});
    if (op == BinaryOp::pow || op == BinaryOp::mod) continue;
    check(binary(op), {random_array(random, DType::f64, {11}, -2.9, -2.1),
                       random_array(random, DType::f64, {11}, 0.8, 2.7)});
  }
}

TEST_CASE("gradients of fma, select, cast and detach") {
  std::mt19937_64 random(3);
  auto x = [&] { return random_array(random, DType::f64, {7}, -2, 2); };
  check([](Graph& g, const std::vector<Value>& v) { return meta::fma(g, v[0], v[1], v[2]); },
        {x(), x(), x()});
  check(
      [](Graph& g, const std::vector<Value>& v) {
        const Value c = meta::binary(g, BinaryOp::lt, v[0], meta::scalar_like(g, v[0], 0.1));
        return meta::select(g, c, v[1], v[2]);
      },
      {x(), x(), x()});
  const Array one = x();
  const auto through_f32 = sum_gradients_of(
      [](Graph& g, const std::vector<Value>& v) { return meta::cast(g, v[0], DType::f32); }, {one});
  CHECK(through_f32[0] == std::vector<double>(7, 1));
  const auto detached = sum_gradients_of(
      [](Graph& g, const std::vector<Value>& v) {
        return meta::binary(g, BinaryOp::mul, v[0], meta::detach(g, v[0]));
      },
      {one});
  CHECK(detached[0] == values(one));
}

TEST_CASE("comparisons and casts to integers stop gradients") {
  const Array x = array(DType::f64, {3}, {-1, 0.5, 2});
  const auto g = sum_gradients_of(
      [](Graph& g, const std::vector<Value>& v) {
        const Value floored = meta::cast(g, meta::cast(g, v[0], DType::i32), DType::f64);
        const Value above = meta::binary(g, BinaryOp::lt, meta::scalar_like(g, v[0], 0), v[0]);
        return meta::binary(g, BinaryOp::add, floored, meta::cast(g, above, DType::f64));
      },
      {x});
  CHECK(g[0] == std::vector<double>{0, 0, 0});
}

TEST_CASE("A02: a tie of maximum or minimum is split evenly") {
  for (BinaryOp op : {BinaryOp::maximum, BinaryOp::minimum}) {
    const auto g = grads_at(op, {1, 0, 2}, {1, 0, 3});
    const double wins = op == BinaryOp::minimum;
    CHECK(g[0] == std::vector<double>{0.5, 0.5, wins});
    CHECK(g[1] == std::vector<double>{0.5, 0.5, 1 - wins});
  }
}

TEST_CASE("A02: log-add-exp at equal operands has gradients of one half") {
  const Function logaddexp = [](Graph& g, const std::vector<Value>& v) {
    const Value high = meta::binary(g, BinaryOp::maximum, v[0], v[1]);
    auto term = [&](Value x) {
      return meta::unary(g, UnaryOp::exp, meta::binary(g, BinaryOp::sub, x, high));
    };
    const Value sum = meta::binary(g, BinaryOp::add, term(v[0]), term(v[1]));
    return meta::binary(g, BinaryOp::add, high, meta::unary(g, UnaryOp::log, sum));
  };
  const Array x = array(DType::f64, {2}, {1, 0});
  const auto g = sum_gradients_of(logaddexp, {x, x});
  CHECK(close(g[0], {0.5, 0.5}, 1e-15));
  CHECK(close(g[1], {0.5, 0.5}, 1e-15));
}

TEST_CASE("gradients where there is no derivative") {
  CHECK(grad_at(UnaryOp::abs, {0.0, -0.0, -2, 2}) == std::vector<double>{0, 0, -1, 1});
  CHECK(grad_at(UnaryOp::sign, {0, 1}) == std::vector<double>{0, 0});
  CHECK(grad_at(UnaryOp::floor, {1, 1.5}) == std::vector<double>{0, 0});
  CHECK(grad_at(UnaryOp::sqrt, {0}) == std::vector<double>{INFINITY});
  CHECK(close(grad_at(UnaryOp::expm1, {-40}), {std::exp(-40.0)}, 0));
  const Function relu = [](Graph& g, const std::vector<Value>& v) {
    const Value zero = meta::scalar_like(g, v[0], 0);
    return meta::select(g, meta::binary(g, BinaryOp::lt, zero, v[0]), v[0], zero);
  };
  const Array x = array(DType::f64, {4}, {-1, 0, -0.0, 2});
  CHECK(sum_gradients_of(relu, {x})[0] == std::vector<double>{0, 0, 0, 1});
}

TEST_CASE("pow at zeros") {
  //              0^0 0^1 0^2 0^.5     2^0 (-2)^2
  const auto g = grads_at(BinaryOp::pow, {0, 0, 0, 0.25, 2, -2}, {0, 1, 2, 0.5, 0, 2});
  CHECK(g[0] == std::vector<double>{0, 1, 0, 1, 0, -4});
  CHECK(g[1][0] == 0);
  CHECK(g[1][1] == 0);
  CHECK(g[1][2] == 0);
  CHECK(close({g[1][3], g[1][4]}, {0.5 * std::log(0.25), std::log(2.0)}, 1e-15));
  CHECK(std::isnan(g[1][5]));
}

TEST_CASE("atan2 at the origin has gradient zero") {
  const auto g = grads_at(BinaryOp::atan2, {0, 1}, {0, 0});
  CHECK(g[0] == std::vector<double>{0, 0});
  CHECK(g[1] == std::vector<double>{0, -1});
}

TEST_CASE("a NaN operand of maximum passes the cotangent on") {
  const auto g = grads_at(BinaryOp::maximum, {NAN, 1}, {1, NAN});
  CHECK(g[0] == std::vector<double>{1, 1});
  CHECK(g[1] == std::vector<double>{1, 1});
}

TEST_CASE("gradients in half types round once") {
  Graph g;
  std::map<std::string, Array> inputs;
  const Value x = input_for(g, inputs, array(DType::bf16, {3}, {0.3125, 1.5, -2.75}));
  const Value y = meta::unary(g, UnaryOp::tanh, x);
  const Value loss = meta::reduce(g, ReduceOp::sum, y, {0});
  const Value wrt[] = {x};
  g.add_output("g", gradients(g, loss, wrt)[0]);
  std::vector<double> expected;
  for (double v : {0.3125, 1.5, -2.75}) {
    const double t = bf16_to_f32(f64_to_bf16(std::tanh(v)));
    expected.push_back(bf16_to_f32(f64_to_bf16((1 - t) * (1 + t))));
  }
  CHECK(values(run(g, inputs)) == expected);
}
