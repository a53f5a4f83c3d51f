// Texts of fusion plans of small graphs: what is computed together, over which axes, what is kept.
#include "passes/fusion/plan.h"

#include <catch2/catch.hpp>

#include "core/graph/text.h"

namespace plait::fusion {
namespace {

std::string plan_text(const char* graph, bool fuse = true) {
  const Graph parsed = parse_graph(graph);
  return "\n" + to_text(parsed, plan_fusion(parsed, fuse));
}

constexpr const char* kSoftmax = R"(graph
  %0 = input "x" : f32[40, 700]
  %1 = reduce max [1] %0 : f32[40]
  %2 = broadcast [0] %1 : f32[40, 700]
  %3 = binary sub %0 %2 : f32[40, 700]
  %4 = unary exp %3 : f32[40, 700]
  %5 = reduce sum [1] %4 : f32[40]
  %6 = broadcast [0] %5 : f32[40, 700]
  %7 = binary div %4 %6 : f32[40, 700]
  output "y" %7
)";

}  // namespace

TEST_CASE("reductions that are read back over their rows share the rows' nest") {
  CHECK(plan_text(kSoftmax) == R"(
group 0
  loops over [40, 700] inner 1
    %1 reduce[i0] : f32[40]
    %3 binary[i0, i1] : f32[40, 700]
    %4 unary[i0, i1] : f32[40, 700]
    %5 reduce[i0] : f32[40]
    store %7 binary[i0, i1] : f32[40, 700]
)");
}

TEST_CASE("unfused, every value has a group and memory of its own") {
  CHECK(plan_text(kSoftmax, false) == R"(
group 0
  loops over [40, 700] inner 1
    store %1 reduce[i0] : f32[40]
group 1
  loops over [40, 700]
    store %3 binary[i0, i1] : f32[40, 700]
group 2
  loops over [40, 700]
    store %4 unary[i0, i1] : f32[40, 700]
group 3
  loops over [40, 700] inner 1
    store %5 reduce[i0] : f32[40]
group 4
  loops over [40, 700]
    store %7 binary[i0, i1] : f32[40, 700]
)");
}

TEST_CASE("sums along the rows and over them take one pass") {
  CHECK(plan_text(R"(graph
    %0 = input "x" : f32[40, 700]
    %1 = reduce sum [1] %0 : f32[40]
    %2 = reduce sum [0] %0 : f32[700]
    output "rows" %1
    output "columns" %2
  )") == R"(
group 0
  loops over [40, 700] inner 1
    store %1 reduce[i0] : f32[40]
    store %2 reduce[i1] : f32[700]
)");
}

// Their additions come in another order: core/reduction_order.h goes by the operand's axes.
TEST_CASE("a sum over axes in another order has a nest of its own") {
  CHECK(plan_text(R"(graph
    %0 = input "x" : f32[10, 20, 30]
    %1 = reduce sum [1, 2] %0 : f32[10]
    %2 = reindex [i0, i2, i1] fill 0 %0 : f32[10, 30, 20]
    %3 = reduce sum [1, 2] %2 : f32[10]
    output "a" %1
    output "b" %3
  )") == R"(
group 0
  loops over [10, 20, 30] inner 1, 2
    store %1 reduce[i0] : f32[10]
group 1
  loops over [10, 30, 20] inner 1, 2
    store %3 reduce[i0] : f32[10]
)");
}

TEST_CASE("a sum over neighbouring axes does not join one whose axes lie apart") {
  CHECK(plan_text(R"(graph
    %0 = input "x" : f32[10, 20, 30]
    %1 = reduce sum [0, 2] %0 : f32[20]
    %2 = reindex [i1, i0, i2] fill 0 %0 : f32[20, 10, 30]
    %3 = reduce sum [1, 2] %2 : f32[20]
    output "a" %1
    output "b" %3
  )") == R"(
group 0
  loops over [10, 20, 30] inner 0, 2
    store %1 reduce[i1] : f32[20]
group 1
  loops over [20, 10, 30] inner 1, 2
    store %3 reduce[i0] : f32[20]
)");
}

TEST_CASE("what stands behind a contraction is its epilogue") {
  CHECK(plan_text(R"(graph
    %0 = input "a" : f32[40, 50]
    %1 = input "b" : f32[50, 60]
    %2 = broadcast [0, 1] %0 : f32[40, 50, 60]
    %3 = broadcast [1, 2] %1 : f32[40, 50, 60]
    %4 = binary mul %2 %3 : f32[40, 50, 60]
    %5 = reduce sum [1] %4 : f32[40, 60]
    %6 = input "bias" : f32[60]
    %7 = broadcast [1] %6 : f32[40, 60]
    %8 = binary add %5 %7 : f32[40, 60]
    %9 = unary tanh %8 : f32[40, 60]
    output "y" %9
  )") == R"(
group 0
  contraction over [40, 60]
    %5 reduce[i0, i1] : f32[40, 60]
    %8 binary[i0, i1] : f32[40, 60]
    store %9 unary[i0, i1] : f32[40, 60]
)");
}

TEST_CASE("a contraction folds in pairs where both factors are bf16 numbers, through views") {
  auto first_line = [](const std::string& left, const std::string& fill) {
    const std::string graph =
        "graph\n"
        "    %0 = input \"a\" : " +
        left +
        "[40, 50]\n"
        "    %1 = input \"b\" : bf16[60, 50]\n"
        "    %2 = cast %0 : f32[40, 50]\n"
        "    %3 = cast %1 : f32[60, 50]\n"
        "    %4 = reindex [i0, i1 - 1] fill " +
        fill +
        " %3 : f32[60, 50]\n"
        "    %5 = broadcast [0, 2] %2 : f32[40, 60, 50]\n"
        "    %6 = broadcast [1, 2] %4 : f32[40, 60, 50]\n"
        "    %7 = binary mul %5 %6 : f32[40, 60, 50]\n"
        "    %8 = reduce sum [2] %7 : f32[40, 60]\n"
        "    output \"y\" %8\n";
    const std::string text = plan_text(graph.c_str());
    const size_t start = text.find("  contraction");
    return text.substr(start, text.find('\n', start) - start);
  };
  CHECK(first_line("bf16", "0") == "  contraction over [40, 60] in pairs");
  CHECK(first_line("bf16", "0.5") == "  contraction over [40, 60] in pairs");
  CHECK(first_line("bf16", "0.1") == "  contraction over [40, 60]");
  CHECK(first_line("f16", "0") == "  contraction over [40, 60]");
}

TEST_CASE("a sum of products that is no contraction says why") {
  CHECK(plan_text(R"(graph
    %0 = input "x" : bf16[40, 50]
    %1 = input "v" : bf16[50]
    %2 = broadcast [1] %1 : bf16[40, 50]
    %3 = binary mul %0 %2 : bf16[40, 50]
    %4 = reduce sum [1] %3 : bf16[40]
    output "y" %4
  )") == R"(
group 0
  loops over [40, 50] inner 1
    %3 binary[i0, i1] : bf16[40, 50]
    store %4 reduce[i0] : bf16[40]
%4: products of bf16 round before they are summed. hint: cast the factors to f32
)");
  CHECK(plan_text(R"(graph
    %0 = input "x" : f32[40, 50]
    %1 = input "y" : f32[40, 50]
    %2 = binary mul %0 %1 : f32[40, 50]
    %3 = reduce sum [1] %2 : f32[40]
    output "y" %3
  )") == R"(
group 0
  loops over [40, 50] inner 1
    %2 binary[i0, i1] : f32[40, 50]
    store %3 reduce[i0] : f32[40]
%3: a sum of products without an axis of the left factor alone is a plain reduction
)");
}

TEST_CASE("a scan stands between two nests") {
  CHECK(plan_text(R"(graph
    %0 = input "x" : f32[5000]
    %1 = unary exp %0 : f32[5000]
    %2 = unary neg %0 : f32[5000]
    %3 = binary add %1 %2 : f32[5000]
    %4 = scan sum 0 %3 : f32[5000]
    %5 = binary mul %4 %3 : f32[5000]
    output "y" %5
  )") == R"(
group 0
  loops over [5000]
    %1 unary[i0] : f32[5000]
    %2 unary[i0] : f32[5000]
    store %3 binary[i0] : f32[5000]
group 1
  scan over [5000]
    store %4 scan[i0] : f32[5000]
group 2
  loops over [5000]
    store %5 binary[i0] : f32[5000]
)");
}

TEST_CASE("a gather joins its readers; a small scatter follows in the same launch") {
  CHECK(plan_text(R"(graph
    %0 = input "x" : f32[64, 32]
    %1 = input "ids" : i64[64]
    %2 = reindex [t0[i0], i1] fill 0 %0 %1 : f32[64, 32]
    %3 = unary exp %2 : f32[64, 32]
    %4 = reduce sum [1] %3 : f32[64]
    %5 = scatter sum [t0[i0], i1] %0 %3 %1 : f32[64, 32]
    output "a" %4
    output "b" %5
  )") == R"(
group 0
  loops over [64, 32] inner 1
    %2 reindex[i0, i1] : f32[64, 32]
    store %3 unary[i0, i1] : f32[64, 32]
    store %4 reduce[i0] : f32[64]
  scatter over [64, 32]
    store %5 scatter[i0, i1] : f32[64, 32]
)");
}

TEST_CASE("views are read where they are used and have no memory") {
  CHECK(plan_text(R"(graph
    %0 = input "x" : f32[6, 4]
    %1 = reindex [i1, i0] fill 0 %0 : f32[4, 6]
    %2 = input "y" : f32[4, 6]
    %3 = binary add %1 %2 : f32[4, 6]
    output "y" %3
  )") == R"(
group 0
  loops over [4, 6]
    store %3 binary[i0, i1] : f32[4, 6]
)");
}

}  // namespace plait::fusion
