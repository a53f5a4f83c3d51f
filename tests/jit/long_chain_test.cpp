// Chains of tens of thousands of steps that each reduce: the whole way takes time by their length.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/graph/build.h"
#include "core/interrupt.h"
#include "jit/pipeline.h"
#include "passes/fusion/plan.h"
#include "passes/gradients.h"
#include "tests/support/graphs.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

constexpr int kSteps = 60'000;

// x = sin(x) * sum(x) + i, again and again; `with_gradient`: of the last sum by the first x.
Graph chain(int steps, bool with_gradient) {
  Graph g;
  const Value first = meta::input(g, "x", {DType::f32, {4}});
  Value x = first;
  for (int i = 0; i < steps; ++i) {
    const Value sum = meta::broadcast_scalar(g, meta::reduce(g, ReduceOp::sum, x, {0}), {4});
    const Value scaled = meta::binary(g, BinaryOp::mul, meta::unary(g, UnaryOp::sin, x), sum);
    x = meta::binary(g, BinaryOp::add, scaled, meta::scalar_like(g, x, i % 7));
  }
  g.add_output("y", x);
  if (with_gradient) {
    const Value loss = meta::reduce(g, ReduceOp::sum, x, {0});
    g.add_output("gradient", gradients(g, loss, std::span(&first, 1))[0]);
  }
  return g;
}

struct Stop {};

}  // namespace

TEST_CASE("a chain of 60,000 steps, and its gradient, pass the pipeline and are fused") {
  for (const bool with_gradient : {false, true}) {
    CAPTURE(with_gradient);
    const Graph graph = run_graph_passes(chain(kSteps, with_gradient));
    const fusion::FusionPlan plan = fusion::plan_fusion(graph);
    size_t sums = 0, members = 0;
    for (Value v = 0; v < graph.size(); ++v) sums += graph.node(v).op == MetaOp::reduce;
    for (const fusion::Group& group : plan.groups) {
      for (const fusion::Nest& nest : group.nests) members += nest.members.size();
    }
    CHECK(sums >= kSteps);
    CHECK(members >= 3 * size_t{kSteps});
    // Many steps share a group.
    CHECK(plan.groups.size() < sums / 8);
  }
}

TEST_CASE("a chain of 5,000 steps gives the bits of the same chain unfused") {
  std::mt19937 random(3);
  const Graph graph = chain(5'000, false);
  const std::map<std::string, Array> inputs = {{"x", test::random_array(DType::f32, {4}, random)}};
  Options options;
  options.cache_dir = "off";
  options.backend = Engine::interp;
  const Array fused = compile(graph, options).run(inputs)[0];
  options.fuse = false;
  const Array unfused = compile(graph, options).run(inputs)[0];
  for (int64_t i = 0; i < fused.count(); ++i) CHECK(std::isfinite(fused.data<float>()[i]));
  CHECK(testing::same_bits(fused, unfused));
}

TEST_CASE("what ends a long compile is asked for again and again") {
  const Graph graph = chain(5'000, true);
  int calls = 0;
  const InterruptCheck check([&] {
    if (++calls == 3) throw Stop();
  });
  CHECK_THROWS_AS(run_graph_passes(graph), Stop);
  CHECK(calls == 3);
}

}  // namespace plait
