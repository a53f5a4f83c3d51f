// The machine code of elementwise kernels and of rows as the compiler lowers them, for instruction
// sets that this machine need not have: loops work on whole vectors and call nothing.
#include <catch2/catch.hpp>

#include "jit/backend.h"
#include "jit/lower/lower.h"
#include "ops/functions.h"
#include "tests/jit/assembly.h"

namespace plait {
namespace {

using namespace testing;

constexpr int64_t kRows = 128, kColumns = 763;

struct Code {
  std::string assembly;
  std::vector<Lines> loops;  // those that work on vectors
};

template <class F>
Code code_of(const Machine& machine, DType dtype, F&& function) {
  reset_current_graph();
  Graph& graph = *current_graph();
  graph.add_output("y", function(input("x", dtype, {kRows, kColumns})).value());
  const fusion::FusionPlan plan = fusion::plan_fusion(graph);
  REQUIRE(plan.groups.size() == 1);
  kernel::Kernel kernel = lower::lower_group(graph, plan, plan.groups[0], machine.target).kernel;
  Code code;
  code.assembly = make_llvm_backend(machine.cpu)->compile(kernel)->source("asm");
  for (const Lines& loop : innermost_loops(code.assembly))
    if (count(loop, machine.full) > 0) code.loops.push_back(loop);
  return code;
}

// Vectors whole, nothing one by one, registers enough for most. (Vectors of f64 are twice as many;
// fewer at once would spill less and still be slower.)
void check_loops(const Machine& machine, DType dtype, const Code& code, bool all_of_one_width) {
  INFO(code.assembly);
  CHECK(count(instructions(code.assembly), machine.call) == 0);
  for (const Lines& loop : code.loops) {
    INFO(joined(loop));
    CHECK(count(loop, machine.scalar) == 0);
    if (all_of_one_width) CHECK(count(loop, machine.narrow) == 0);
    const int64_t part = dtype == DType::f64 ? 3 : 6;
    CHECK(count(loop, machine.stack) * part <= static_cast<int64_t>(loop.size()));
  }
}

}  // namespace

TEST_CASE("functions run in registers of full width, without calls") {
  struct Function {
    const char* name;
    Tensor (*function)(const Tensor&);
    int64_t fmas;  // of one vector of f32: the polynomial's, at least
  };
  const Function functions[] = {
      {"exp", [](const Tensor& x) { return exp(x); }, 6},
      {"tanh", [](const Tensor& x) { return tanh(x); }, 8},
      {"erf", [](const Tensor& x) { return erf(x); }, 12},
      {"log", [](const Tensor& x) { return log(x); }, 8},
      {"maximum", [](const Tensor& x) { return maximum(x, neg(x)); }, 0},
      {"relu", [](const Tensor& x) { return relu(x); }, 0},
  };
  for (const Machine& machine : machines()) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const Function& f : functions) {
        CAPTURE(machine.cpu, dtype_name(dtype), f.name);
        const Code code = code_of(machine, dtype, f.function);
        check_loops(machine, dtype, code, /*all_of_one_width=*/true);
        REQUIRE(code.loops.size() == 1);
        const int64_t lanes = machine.target.vector_bytes / static_cast<int64_t>(dtype_size(dtype));
        CHECK(count(code.loops[0], machine.fma) >= f.fmas * 32 / lanes);
      }
    }
  }
}

TEST_CASE("rows are reduced and scaled in registers of full width, without calls") {
  for (const Machine& machine : machines()) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      CAPTURE(machine.cpu, dtype_name(dtype));
      const auto check = [&](auto&& function, size_t passes) {
        const Code code = code_of(machine, dtype, function);
        check_loops(machine, dtype, code, /*all_of_one_width=*/true);
        CHECK(code.loops.size() >= passes);
      };
      check([](const Tensor& x) { return softmax(x, -1); }, 3);
      check([](const Tensor& x) { return log_softmax(x, -1); }, 3);
      check([](const Tensor& x) { return layer_norm(x, {kColumns}); }, 2);
    }
  }
}

TEST_CASE("halves are converted by vectors") {
  for (const Machine& machine : machines()) {
    for (const DType half : {DType::f16, DType::bf16}) {
      for (const bool widen : {true, false}) {
        CAPTURE(machine.cpu, dtype_name(half), widen);
        const DType from = widen ? half : DType::f32, into = widen ? DType::f32 : half;
        const Code code = code_of(machine, from, [&](const Tensor& x) { return to(x, into); });
        check_loops(machine, DType::f32, code, /*all_of_one_width=*/false);
        REQUIRE(code.loops.size() == 1);
        const int64_t vectors = 32 * 4 / machine.target.vector_bytes;
        CHECK(count(code.loops[0], machine.full) >= vectors);
      }
    }
  }
}

TEST_CASE("functions of halves convert by vectors") {
  for (const Machine& machine : machines()) {
    for (const DType half : {DType::f16, DType::bf16}) {
      CAPTURE(machine.cpu, dtype_name(half));
      const Code code = code_of(machine, half, [](const Tensor& x) { return exp(x); });
      check_loops(machine, DType::f32, code, /*all_of_one_width=*/false);
      REQUIRE(code.loops.size() == 1);
      CHECK(count(code.loops[0], machine.fma) >= 6 * 32 * 4 / machine.target.vector_bytes);
    }
  }
}

}  // namespace plait
