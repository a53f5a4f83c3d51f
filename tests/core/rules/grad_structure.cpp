#include <catch2/catch.hpp>
#include <cmath>

#include "passes/gradients.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

using Values = std::vector<Value>;
constexpr double kTolerance = 2e-7;  // of central differences in f64

Expr axis(uint32_t i) { return Expr::variable(i); }

void check(const Function& f, const std::vector<Array>& x) {
  const auto got = gradients_of(f, x);
  const auto expected = differences_of(f, x);
  for (size_t k = 0; k < x.size(); ++k) {
    CAPTURE(k, got[k], expected[k]);
    CHECK(close(got[k], expected[k], kTolerance));
  }
}

Array filled(std::vector<int64_t> shape, uint64_t seed = 5) {
  std::mt19937_64 random(seed);
  return random_array(random, DType::f64, std::move(shape), 0.5, 2);
}

Function reduce(ReduceOp op, std::vector<int64_t> axes) {
  return [=](Graph& g, const Values& x) { return meta::reduce(g, op, x[0], axes); };
}
Function scan(ReduceOp op, int64_t axis, bool reverse) {
  return [=](Graph& g, const Values& x) { return meta::scan(g, op, x[0], axis, reverse); };
}

Value indices(Graph& g, const std::vector<double>& values) {
  const Array a = array(DType::i64, {static_cast<int64_t>(values.size())}, values);
  return meta::constant(g, a.type(), {a.data<std::byte>(), a.bytes()});
}

// destination[index[i]] op= updates[i], along the only axis.
Function scatter(ReduceOp op, std::vector<double> index) {
  return [=](Graph& g, const Values& x) {
    return meta::scatter(g, op, x[0], x[1], {Expr::element(0, {axis(0)})}, {indices(g, index)});
  };
}
Function scatter_replace(std::vector<double> index) {
  return [=](Graph& g, const Values& x) {
    return meta::scatter_replace(g, x[0], x[1], {Expr::element(0, {axis(0)})}, {indices(g, index)});
  };
}

std::vector<std::vector<double>> at(const Function& f, const std::vector<Array>& x) {
  return sum_gradients_of(f, x);
}
Array line(const std::vector<double>& x) {
  return array(DType::f64, {static_cast<int64_t>(x.size())}, x);
}

}  // namespace

TEST_CASE("reduce gradients agree with finite differences") {
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::prod, ReduceOp::max, ReduceOp::min}) {
    CAPTURE(name_of(op));
    check(reduce(op, {}), {filled({3})});
    check(reduce(op, {0}), {filled({5})});
    check(reduce(op, {1}), {filled({3, 4, 2})});
    check(reduce(op, {0, 2}), {filled({3, 4, 2})});
    check(reduce(op, {0, 1, 2}), {filled({3, 1, 2})});
  }
}

TEST_CASE("scan gradients agree with finite differences") {
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::prod, ReduceOp::max, ReduceOp::min}) {
    for (bool reverse : {false, true}) {
      CAPTURE(name_of(op), reverse);
      check(scan(op, 0, reverse), {filled({6})});
      check(scan(op, 1, reverse), {filled({2, 5, 3})});
    }
  }
}

TEST_CASE("A01: a tied maximum shares the gradient evenly") {
  const Array x = array(DType::f64, {2, 3}, {2, 2, 1, 3, 3, 3});
  const double third = 1.0 / 3;
  CHECK(at(reduce(ReduceOp::max, {1}), {x})[0] ==
        std::vector<double>{.5, .5, 0, third, third, third});
  const Array y = array(DType::f64, {2, 3}, {2, 2, 7, 3, 3, 3});
  CHECK(at(reduce(ReduceOp::min, {1}), {y})[0] ==
        std::vector<double>{.5, .5, 0, third, third, third});
  // Each row receives what came in, also when it holds a NaN or only infinities.
  const Array z = array(DType::f64, {2, 2}, {NAN, 1, -INFINITY, -INFINITY});
  CHECK(at(reduce(ReduceOp::max, {1}), {z})[0] == std::vector<double>{.5, .5, .5, .5});
}

TEST_CASE("A03: the gradient of a product is right at zeros") {
  CHECK(at(reduce(ReduceOp::prod, {0}), {line({2, 0, 3, 4})})[0] ==
        std::vector<double>{0, 24, 0, 0});
  CHECK(at(reduce(ReduceOp::prod, {0}), {line({0, 0, 3})})[0] == std::vector<double>{0, 0, 0});
  const Array x = array(DType::f64, {2, 3}, {2, 0, 4, 1, 2, 3});
  CHECK(at(reduce(ReduceOp::prod, {1}), {x})[0] == std::vector<double>{0, 8, 0, 6, 3, 2});
  CHECK(at(reduce(ReduceOp::prod, {0, 1}), {x})[0] == std::vector<double>{0, 48, 0, 0, 0, 0});
}

TEST_CASE("the gradient of a cumulative product is right at zeros") {
  for (const std::vector<double>& x : std::vector<std::vector<double>>{
           {2, 0, 3, 4}, {0, 2, 3}, {2, 3, 0}, {0, 0, 5}, {2, 0, 3, 0, 4}, {-1, 2, -3}}) {
    CAPTURE(x);
    check(scan(ReduceOp::prod, 0, false), {line(x)});
    check(scan(ReduceOp::prod, 0, true), {line(x)});
  }
}

TEST_CASE("a cumulative maximum sends the gradient to the latest element that attains it") {
  CHECK(at(scan(ReduceOp::max, 0, false), {line({1, 3, 2, 3, 0})})[0] ==
        std::vector<double>{1, 2, 0, 2, 0});
  CHECK(at(scan(ReduceOp::max, 0, true), {line({1, 3, 2, 3, 0})})[0] ==
        std::vector<double>{0, 2, 0, 2, 1});
  CHECK(at(scan(ReduceOp::min, 0, false), {line({2, 2, 1})})[0] == std::vector<double>{1, 1, 1});
}

TEST_CASE("broadcast sums over what it added or stretched") {
  check([](Graph& g, const Values& x) { return meta::broadcast(g, x[0], {2, 3, 4}, {1}); },
        {filled({3})});
  check([](Graph& g, const Values& x) { return meta::broadcast(g, x[0], {2, 3, 4}, {0, 2}); },
        {filled({1, 4})});
  check([](Graph& g, const Values& x) { return meta::broadcast(g, x[0], {2, 1, 4}, {1, 2}); },
        {filled({1, 1})});
  check([](Graph& g, const Values& x) { return meta::broadcast(g, x[0], {3}, {}); }, {filled({})});
}

TEST_CASE("reindex gradients agree with finite differences") {
  const auto reindex = [](Shape shape, std::vector<Expr> map, double fill = 0) {
    return [=](Graph& g, const Values& x) {
      return meta::reindex(g, x[0], shape, map, Scalar(DType::f64, fill));
    };
  };
  check(reindex({4, 3}, {axis(1), axis(0)}), {filled({3, 4})});  // transpose
  check(reindex({7}, {axis(0) - 2}, 5), {filled({4})});          // pad
  check(reindex({2}, {2 * axis(0) + 1}), {filled({5})});         // strided slice
  check(reindex({5}, {4 - axis(0)}), {filled({5})});             // flip
  check(reindex({5}, {mod(axis(0) + 2, 5)}), {filled({5})});     // roll
  check(reindex({4, 3}, {axis(0) + axis(1)}), {filled({6})});    // windows
  check(reindex({2, 6}, {floor_div(axis(0) * 6 + axis(1), 3), mod(axis(1), 3)}),
        {filled({4, 3})});  // reshape
  const auto gather = [](Graph& g, const Values& x) {
    return meta::reindex(g, x[0], {4, 2}, {Expr::element(0, {axis(0)}), axis(1)},
                         Scalar(DType::f64, 1), {indices(g, {2, 0, 2, 9})});
  };
  check(gather, {filled({3, 2})});
}

TEST_CASE("scatter gradients agree with finite differences") {
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::prod, ReduceOp::max, ReduceOp::min}) {
    CAPTURE(name_of(op));
    check(scatter(op, {0, 2, 2, 9, -1, 0}), {filled({4}), filled({6}, 9)});
  }
  check(scatter_replace({0, 2, 2, 9, -1, 0}), {filled({4}), filled({6}, 9)});
}

TEST_CASE("scatter prod is right at zeros, scatter max at ties") {
  check(scatter(ReduceOp::prod, {0, 0, 1, 2, 2}), {line({2, 0, 3, 4}), line({0, 5, 6, 0, 0})});
  const auto tied = at(scatter(ReduceOp::max, {0, 0, 1}), {line({2, 5}), line({2, 2, 1})});
  CHECK(tied[0] == std::vector<double>{1.0 / 3, 1});
  CHECK(tied[1] == std::vector<double>{1.0 / 3, 1.0 / 3, 0});
}

TEST_CASE("A24: repeated indices") {
  Graph g;
  const Value zeros = meta::broadcast_scalar(g, meta::constant(g, Scalar(DType::f32, 0)), {3});
  const Array updates = array(DType::f32, {3}, {1, 2, 3});
  const Value y = meta::scatter(g, ReduceOp::sum, zeros,
                                meta::constant(g, updates.type(), {updates.data<std::byte>(), 12}),
                                {Expr::element(0, {axis(0)})}, {indices(g, {0, 0, 2})});
  g.add_output("y", y);
  CHECK(values(run(g)) == std::vector<double>{3, 0, 3});

  const Function take = [](Graph& g, const Values& x) {
    return meta::reindex(g, x[0], {3}, {Expr::element(0, {axis(0)})}, {}, {indices(g, {1, 1, 0})},
                         OutOfRange::error);
  };
  CHECK(at(take, {line({0, 0, 0})})[0] == std::vector<double>{1, 2, 0});
  // The last update in row-major order wins, and alone has the gradient.
  const auto set = at(scatter_replace({0, 0}), {line({0}), line({1, 2})});
  CHECK(set[0] == std::vector<double>{0});
  CHECK(set[1] == std::vector<double>{0, 1});
}

TEST_CASE("scatter_replace through a map without indices") {
  check(
      [](Graph& g, const Values& x) {
        return meta::scatter_replace(g, x[0], x[1], {2 * axis(0) + 1, axis(1)});
      },
      {filled({6, 2}), filled({2, 2}, 9)});
  check(  // a row written over and over: the last one wins
      [](Graph& g, const Values& x) { return meta::scatter_replace(g, x[0], x[1], {axis(1)}); },
      {filled({3}), filled({4, 2}, 9)});
}

TEST_CASE("concat and sorted values") {
  check([](Graph& g, const Values& x) { return meta::concat(g, {x[0], x[1], x[0]}, 1); },
        {filled({2, 3}), filled({2, 1}, 9)});
  check(
      [](Graph& g, const Values& x) {
        const Value order = meta::sort(g, x[0], 0, true);
        return meta::reindex(g, x[0], {5}, {Expr::element(0, {axis(0)})}, {}, {order});
      },
      {filled({5})});
}

TEST_CASE("second derivatives") {
  const Function slope = [](Graph& g, const Values& x) {
    const Value y = meta::reduce(g, ReduceOp::prod, meta::unary(g, UnaryOp::tanh, x[0]), {0});
    const Value wrt[] = {x[0]};
    return gradients(g, y, wrt)[0];
  };
  check(slope, {filled({4})});
}

TEST_CASE("integer reductions and positions have no gradient") {
  const Function f = [](Graph& g, const Values& x) {
    const Value best = meta::reduce(g, ReduceOp::argmax, x[0], {0});
    return meta::cast(g, best, DType::f64);
  };
  CHECK(at(f, {line({1, 2, 3})})[0] == std::vector<double>{0, 0, 0});
}
