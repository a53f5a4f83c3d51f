#include "passes/gradients.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "tests/support/error_text.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

TEST_CASE("cotangents of a value with several users are added, last user first") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {}});
  const Value a = meta::unary(g, UnaryOp::exp, x);
  const Value b = meta::unary(g, UnaryOp::sin, x);
  const Value loss = meta::binary(g, BinaryOp::mul, a, b);
  const Value wrt[] = {x};
  g.add_output("g", gradients(g, loss, wrt)[0]);
  verify(g);
  const Node& sum = g.node(g.outputs()[0].value);
  REQUIRE(sum.op == MetaOp::binary);
  CHECK(sum.binary() == BinaryOp::add);
  // d/dx through sin, then through exp.
  const Node& first = g.node(sum.operands[0]);
  CHECK(g.node(first.operands[1]).unary() == UnaryOp::cos);
}

TEST_CASE("a value that the loss does not depend on gets zeros") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {2}});
  const Value unused = meta::input(g, "unused", {DType::f64, {3}});
  const Value loss = meta::reduce(g, ReduceOp::sum, meta::binary(g, BinaryOp::mul, x, x), {0});
  const Value later = meta::input(g, "later", {DType::f32, {1}});
  const Value wrt[] = {x, unused, later, x};
  for (Value v : gradients(g, loss, wrt)) g.add_output("g", v);
  const auto out = evaluate(g, {{"x", array(DType::f32, {2}, {3, 4})}}).outputs;
  CHECK(values(out[0]) == std::vector<double>{6, 8});
  CHECK(out[1].type() == Type{DType::f64, {3}});
  CHECK(values(out[1]) == std::vector<double>{0, 0, 0});
  CHECK(values(out[2]) == std::vector<double>{0});
  CHECK(values(out[3]) == values(out[0]));
}

TEST_CASE("gradients by values in the middle of the graph") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f64, {}});
  const Value y = meta::unary(g, UnaryOp::exp, x);
  const Value loss = meta::binary(g, BinaryOp::mul, y, y);
  const Value wrt[] = {y, x, loss};
  for (Value v : gradients(g, loss, wrt)) g.add_output("g", v);
  const auto out = evaluate(g, {{"x", array(DType::f64, {}, {0})}}).outputs;
  CHECK(out[0].item() == 2);
  CHECK(out[1].item() == 2);
  CHECK(out[2].item() == 1);
}

TEST_CASE("a seed replaces 1, and the loss may then have a shape") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f64, {2}});
  const Value seed = meta::input(g, "seed", {DType::f64, {2}});
  const Value y = meta::binary(g, BinaryOp::mul, x, x);
  const Value wrt[] = {x};
  g.add_output("g", gradients(g, y, wrt, seed)[0]);
  CHECK(values(run(g, {{"x", array(DType::f64, {2}, {3, 4})},
                       {"seed", array(DType::f64, {2}, {10, 1})}})) == std::vector<double>{60, 8});
}

TEST_CASE("backward nodes carry the scope of the node they come from") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {}});
  Value y;
  {
    const Scope scope("net/layer");
    y = meta::unary(g, UnaryOp::sin, x);
  }
  const Value wrt[] = {x};
  const Scope outer("net");
  const Value gradient = gradients(g, y, wrt)[0];
  REQUIRE(g.origins(gradient).size() == 1);
  CHECK(g.origins(gradient)[0].scope == "net/layer");
}

TEST_CASE("G12: what has no gradient is named with its type") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {2, 2}});
  const Value i = meta::input(g, "i", {DType::i32, {}});
  const Value loss = meta::reduce(g, ReduceOp::sum, x, {0, 1});
  const auto error = [&](Value loss, Value by, Value seed = kNoValue) {
    return error_text<UserError>([&] { gradients(g, loss, std::span(&by, 1), seed); });
  };
  CHECK(error(x, x) ==
        "[gradients] the loss must be a float scalar; got f32[2, 2]; rank 2 != 0. hint: take its "
        "sum or mean, or pass a seed of its type");
  CHECK(error(i, x) ==
        "[gradients] the loss must be a float scalar; got i32[]; dtype i32 is no float. hint: "
        "cast it");
  CHECK(error(loss, i) ==
        "[gradients] only floats have gradients; got i32[] for value 0 of 1. hint: cast it before "
        "use");
  CHECK(error(loss, x, x) ==
        "[gradients] the seed must have the loss's type; got seed: f32[2, 2], loss: f32[]");
}
