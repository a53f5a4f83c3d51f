#include "core/graph/graph.h"

#include <catch2/catch.hpp>

#include "core/graph/build.h"

using namespace plait;

TEST_CASE("references to nodes stay valid while the graph grows") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {3}});
  const Node* node = &g.node(x);
  for (int i = 0; i < 10'000; ++i) meta::constant(g, Scalar(DType::i64, i));
  CHECK(&g.node(x) == node);
  CHECK(g.size() == 10'001);
}
