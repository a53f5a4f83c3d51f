// The machine code of products as the compiler lowers them, for instruction sets that this machine
// need not have: what a step of k costs must not depend on how the product ends.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "jit/backend.h"
#include "jit/lower/lower.h"
#include "ops/functions.h"
#include "tests/jit/assembly.h"

namespace plait {
namespace {

using namespace testing;

enum class End { none, bias_gelu, adamw };

// m x k . k x n, with what is done to its result.
kernel::Kernel product(DType dtype, int64_t m, int64_t n, int64_t k, End end,
                       const Target& target) {
  reset_current_graph();
  const Tensor y = matmul(input("a", dtype, {m, k}), input("b", dtype, {k, n}));
  std::vector<Tensor> results = {y};
  switch (end) {
    case End::none:
      break;
    case End::bias_gelu:
      results = {gelu(y + input("bias", dtype, {n}))};
      break;
    case End::adamw: {
      const Tensor weight = input("weight", dtype, {m, n});
      const Tensor first = input("first", dtype, {m, n}) * 0.9 + y * 0.1;
      const Tensor second = input("second", dtype, {m, n}) * 0.999 + y * y * 0.001;
      const Tensor step = first / (sqrt(second) + 1e-8);
      results = {first, second, weight - (step + weight * 0.01) * input("rate", dtype, {})};
      break;
    }
  }
  Graph& graph = *current_graph();
  for (size_t i = 0; i < results.size(); ++i) {
    graph.add_output(std::to_string(i), results[i].value());
  }
  const fusion::FusionPlan plan = fusion::plan_fusion(graph);
  REQUIRE(plan.groups.size() == 1);
  REQUIRE(plan.groups[0].nests.size() == 1);  // the end is computed on the tile
  kernel::Kernel kernel = lower::lower_group(graph, plan, plan.groups[0], target).kernel;
  kernel.name = "product";
  return kernel;
}

// Those with multiply-adds in them; without the loops of an end, which have constants (a step of k
// has none).
std::vector<Lines> multiplying_loops(const std::string& assembly, const Machine& machine) {
  std::vector<Lines> loops;
  for (const Lines& loop : innermost_loops(assembly))
    if (count(loop, machine.fma) > 0 && count(loop, machine.constant) == 0) loops.push_back(loop);
  return loops;
}

// The accumulators of the product, in vectors.
struct RegisterTile {
  int64_t vectors = 0, lanes = 0;
};

RegisterTile register_tile(const kernel::Kernel& kernel) {
  RegisterTile tile;
  for (const kernel::Buffer& buffer : kernel.buffers) {
    if (buffer.scope != kernel::BufferScope::registers) continue;
    const int64_t lanes = buffer.lanes, vectors = *buffer.size.constant() / lanes;
    if (vectors > tile.vectors) tile = {vectors, lanes};
  }
  return tile;
}

void check_product(const Machine& machine, DType dtype, int64_t m, int64_t n, int64_t k, End end) {
  CAPTURE(machine.cpu, dtype_name(dtype), m, n, k, static_cast<int>(end));
  const kernel::Kernel kernel = product(dtype, m, n, k, end, machine.target);
  const RegisterTile tile = register_tile(kernel);
  CHECK(tile.lanes * 4 == machine.target.vector_bytes);
  CHECK(tile.vectors >= 8);  // enough chains to hide the latency
  const std::string assembly = make_llvm_backend(machine.cpu)->compile(kernel)->source("asm");
  const std::vector<Lines> loops = multiplying_loops(assembly, machine);
  CHECK(!loops.empty());
  for (const Lines& loop : loops) {
    INFO(joined(loop));
    const int64_t fmas = count(loop, machine.fma);
    CHECK(fmas == tile.vectors);
    CHECK(std::all_of(loop.begin(), loop.end(), [&](const std::string& line) {
      return !std::regex_search(line, machine.fma) || std::regex_search(line, machine.full);
    }));
    CHECK(count(loop, machine.stack) == 0);
    // What a step needs besides: each vector and each broadcast once, and the loop's own few.
    CHECK(static_cast<int64_t>(loop.size()) <= 2 * fmas + 8);
  }
}

}  // namespace

TEST_CASE("products multiply in registers of full width, whatever their end") {
  for (const Machine& machine : machines()) {
    for (const End end : {End::none, End::bias_gelu, End::adamw}) {
      check_product(machine, DType::f32, 512, 768, 512, end);
      check_product(machine, DType::f32, 513, 511, 509, end);
    }
  }
}

TEST_CASE("products of halves multiply as those of f32 do") {
  for (const Machine& machine : machines()) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      for (const End end : {End::none, End::bias_gelu}) {
        check_product(machine, dtype, 512, 768, 512, end);
        check_product(machine, dtype, 513, 511, 509, end);
      }
    }
  }
}

TEST_CASE("products of bf16 by dot products sum both chains in registers, at full width") {
  Machine machine = machines().front();
  machine.target.pair_dots = true;
  machine.fma = std::regex("^\tvdpbf16ps");
  for (const auto& [m, n, k] : {std::array{512, 768, 512}, {513, 511, 509}, {20, 40, 70}}) {
    for (const End end : {End::none, End::bias_gelu}) {
      CAPTURE(m, n, k, static_cast<int>(end));
      const kernel::Kernel kernel = product(DType::bf16, m, n, k, end, machine.target);
      const std::string code = make_llvm_backend(machine.cpu)->compile(kernel)->source("asm");
      const std::vector<Lines> loops = multiplying_loops(code, machine);
      REQUIRE(loops.size() == 1);
      INFO(joined(loops[0]));
      // Eight pairs of each chain; beside them, what they read and how the sums of chains are
      // added.
      const int64_t dots = count(loops[0], machine.fma), sums = dots / (2 * 8);
      CHECK(sums >= 8);
      CHECK(count(loops[0], std::regex("^\tvaddps\t.*%zmm")) == 2 * sums);
      CHECK(count(loops[0], std::regex("^\tvmov.*, -?\\d*\\(")) == 0);  // stores nothing
      CHECK(count(loops[0], machine.stack) <= 1);                       // the loop's end
      CHECK(static_cast<int64_t>(loops[0].size()) <= 2 * dots + 8);
    }
  }
}

}  // namespace plait
