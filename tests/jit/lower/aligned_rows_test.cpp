// Long rows of a large result that start anywhere in memory: the last level's vectors begin at the
// boundaries of cache lines, with the bits of vectors that begin where the row does.
#include <catch2/catch.hpp>

#include "jit/lower/lower.h"
#include "ops/functions.h"
#include "tests/jit/lower/targets.h"
#include "tests/support/launch.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

struct Result {
  std::string text;
  std::vector<float> values;
};

// softmax over rows of `columns` elements, as for `target`; interpreted.
Result softmax_for(const Target& target, int64_t rows, int64_t columns, Array x) {
  reset_current_graph();
  const Tensor y = softmax(input("x", DType::f32, {rows, columns}), 1);
  Graph& graph = *current_graph();
  graph.add_output("y", y.value());
  const fusion::FusionPlan plan = fusion::plan_fusion(graph);
  REQUIRE(plan.groups.size() == 1);
  lower::LoweredGroup lowered = lower::lower_group(graph, plan, plan.groups[0], target);
  lowered.kernel.name = "softmax";
  kernel::verify(lowered.kernel);
  Result result{to_text(lowered.kernel), std::vector<float>(rows * columns, -7)};
  testing::interpret(lowered.kernel, {x.buffer->data(), result.values.data()}, {});
  return result;
}

}  // namespace

TEST_CASE("rows that start anywhere are written in whole cache lines") {
  std::mt19937 random(4);
  const Target& large = kTargets[0];
  Target small = large;
  small.l2_bytes = 4 << 10;  // the result is larger
  for (const int64_t columns : {2049, 2063, 2080, 2111}) {
    CAPTURE(columns);
    const Array x = test::random_array(DType::f32, {5, columns}, random);
    const Result plain = softmax_for(large, 5, columns, x);
    const Result aligned = softmax_for(small, 5, columns, x);
    CHECK(std::memcmp(plain.values.data(), aligned.values.data(), 5 * columns * sizeof(float)) ==
          0);
    const std::string remainder = "mod(";
    CHECK(plain.text.find(remainder) == std::string::npos);
    CHECK((aligned.text.find(remainder) != std::string::npos) == (columns % 32 != 0));
  }
}

TEST_CASE("their code passes the caches") {
  reset_current_graph();
  const auto rows = static_cast<int64_t>(host_target().l3_bytes / (4 * 50257)) + 1;
  const Program program = compile({softmax(input("x", DType::f32, {rows, 50257}), 1)});
  REQUIRE(program.kernels().size() == 1);
  const std::string code = program.kernels()[0]->print(Stage::assembly);
  const std::string name = host_target().vector_bytes == 16 ? "movntp" : "vmovntp";
  CHECK(code.find(name) != std::string::npos);
}

}  // namespace plait
