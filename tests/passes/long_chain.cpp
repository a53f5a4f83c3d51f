// C14: a chain of 100,000 nodes on a small stack.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "passes/gradients.h"
#include "passes/simplify.h"
#include "tests/support/graphs.h"
#include "tests/support/small_stack.h"

using namespace plait;
using namespace plait::testing;

TEST_CASE("C14: a chain of 100,000 nodes is built, differentiated, simplified, run and freed") {
  std::vector<double> y, gradient;
  on_small_stack(256 << 10, [&] {
    Graph g;
    const Value x0 = meta::input(g, "x", {DType::f64, {3}});
    Value x = x0;
    const Value small = meta::scalar_like(g, x, 1e-9);
    for (int i = 0; i < 100000; ++i) {
      x = meta::binary(g, BinaryOp::add, x, meta::binary(g, BinaryOp::mul, x, small));
    }
    g.add_output("y", x);
    const Value loss = meta::reduce(g, ReduceOp::sum, x, {0});
    g.add_output("gradient", gradients(g, loss, std::span(&x0, 1))[0]);
    REQUIRE(g.size() > 200000);
    verify(g);
    const Graph simple = simplify(g);
    verify(simple);
    CHECK(to_text(simple).size() > 1000000);
    const auto out = evaluate(simple, {{"x", array(DType::f64, {3}, {1, 1, 1})}}).outputs;
    y = values(out[0]);
    gradient = values(out[1]);
  });
  const double expected = std::pow(1 + 1e-9, 100000);
  CHECK(close(y, {expected, expected, expected}, 1e-10));
  CHECK(close(gradient, {expected, expected, expected}, 1e-10));
}
