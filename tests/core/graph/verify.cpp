#include "core/graph/verify.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/graph/build.h"
#include "tests/support/error_text.h"

using namespace plait;

TEST_CASE("a graph that the builders made is valid") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {3}});
  g.add_output("y", meta::unary(g, UnaryOp::exp, x));
  CHECK_NOTHROW(verify(g));
}

TEST_CASE("an output that is no node is found") {
  Graph g;
  meta::input(g, "x", {DType::f32, {3}});
  g.add_output("y", 7);
  CHECK(error_text<InternalError>([&] { verify(g); }).find("output 'y' is %7 of 1 nodes") !=
        std::string::npos);
}

TEST_CASE("attributes that the op does not use are found") {
  const auto error = [](MetaOp op, const Attributes& attributes) {
    Graph g;
    const Value x = meta::input(g, "x", {DType::f32, {3}});
    g.add(op, {x}, attributes, {DType::f32, {3}});
    return error_text<InternalError>([&] { verify(g); });
  };
  Attributes stray;
  stray.salt = 1;
  CHECK(error(MetaOp::detach, stray).find("%1: detach has a salt") != std::string::npos);
  stray = {};
  stray.axes = {0};
  CHECK(error(MetaOp::cast, stray).find("%1: cast has axes") != std::string::npos);
  stray = {};
  stray.map = {Expr::variable(0)};
  stray.fill = Scalar(DType::i32, 1);
  CHECK(error(MetaOp::reindex, stray).find("%1: fill 1 of reindex") != std::string::npos);
}
