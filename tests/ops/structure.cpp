// What graph a composition makes: index spaces of products, maps of movements, symbolic sizes,
// random draws.
#include <catch2/catch.hpp>

#include "core/graph/text.h"
#include "ops/random.h"
#include "ops/reshape_map.h"
#include "tests/ops/evaluate_tensor.h"

namespace plait {
namespace {

using testing::Numbers;
using testing::tensor;
using testing::values;
using testing::vector;

// The types of the results of all nodes of one kind.
std::vector<std::string> types_of(const Graph& graph, MetaOp op) {
  std::vector<std::string> result;
  for (Value v = 0; v < graph.size(); ++v) {
    if (graph.node(v).op == op) result.push_back(to_string(graph.type(v)));
  }
  return result;
}

size_t count_of(const Graph& graph, MetaOp op) { return types_of(graph, op).size(); }

TEST_CASE("a product spans (batch, m, n, k) with k last, and no axis is flattened") {
  reset_current_graph();
  const Tensor a = input("a", DType::f32, {2, 1, 3, 5});
  const Tensor b = input("b", DType::f32, {7, 5, 4});
  const Tensor y = matmul(a, b);
  CHECK(types_of(*y.graph(), MetaOp::binary) == std::vector<std::string>{"f32[2, 7, 3, 4, 5]"});
  CHECK(count_of(*y.graph(), MetaOp::reindex) == 1);  // the transposed b
  CHECK(count_of(*y.graph(), MetaOp::reduce) == 1);
  reset_current_graph();
  const Tensor x = input("x", DType::bf16, {2, 3, 5});
  const Tensor w = input("w", DType::bf16, {4, 5});
  const Tensor z = linear(x, w, input("c", DType::bf16, {4}));
  CHECK(types_of(*z.graph(), MetaOp::binary) ==
        std::vector<std::string>{"f32[2, 3, 4, 5]", "f32[2, 3, 4]"});
  CHECK(count_of(*z.graph(), MetaOp::reindex) == 0);
  CHECK(z.dtype() == DType::bf16);
}

TEST_CASE("a convolution reads its input through one window map") {
  reset_current_graph();
  const Tensor x = input("x", DType::f32, {2, 3, 8, 8});
  const Tensor y = conv2d(x, input("w", DType::f32, {4, 3, 3, 3}), std::nullopt, 2, 1);
  CHECK(types_of(*y.graph(), MetaOp::reindex) == std::vector<std::string>{"f32[2, 4, 4, 3, 3, 3]"});
  CHECK(types_of(*y.graph(), MetaOp::binary) ==
        std::vector<std::string>{"f32[2, 4, 4, 4, 3, 3, 3]"});
}

TEST_CASE("a reshape touches only the axes that change") {
  const Expr b = dim("reshape_b", 1, 64);
  const Expr t = dim("reshape_t", 1, 512);
  auto text = [](const Shape& from, const Shape& to) {
    std::string result;
    for (Expr e : detail::reshape_map(from, to)) result += to_string(e) + "; ";
    return result;
  };
  CHECK(text({b, t, 768}, {b, t, 12, 64}) == "i0; i1; 64*i2 + i3; ");
  CHECK(text({b, t, 12, 64}, {b, t, 768}) == "i0; i1; floor_div(i2, 64); mod(i2, 64); ");
  CHECK(text({2, 1, 3}, {2, 3, 1}) == "i0; 0; i1; ");
  CHECK(text({4, 6}, {4, 6}) == "i0; i1; ");
  CHECK(text({0, 3}, {3, 0}) == "0; 0; ");
}

TEST_CASE("a size of -1 is inferred, also among symbols") {
  reset_current_graph();
  const Expr b = dim("infer_b", 1, 64);
  const Expr t = dim("infer_t", 1, 512);
  const Tensor x = input("x", DType::f32, {b, t, 768});
  CHECK(reshape(x, {b, t, -1, 64}).shape()[2] == Expr(12));
  CHECK(reshape(x, {b * t, -1}).shape()[1] == Expr(768));
  CHECK(reshape(x, {-1, 768}).shape()[0] == b * t);
  CHECK(flatten(x, 0, 1).shape()[0] == b * t);
}

TEST_CASE("one graph serves every size of a symbol") {
  reset_current_graph();
  const Expr n = dim("values_n", 1, 100);
  const Tensor x = input("x", DType::f32, {n, 2});
  const Tensor y = mean(layer_norm(x, {2}) * 0.0 + x, 0);
  for (int64_t size : {1, 3, 50}) {
    Numbers data;
    for (int64_t i = 0; i < 2 * size; ++i) data.push_back(static_cast<double>(i));
    const auto m = static_cast<double>(size - 1);
    CHECK(values(y, {{"x", testing::array_from(DType::f32, {size, 2}, data)}}) ==
          Numbers{m, m + 1});
  }
  const Tensor positions = arange(x.size(0));
  CHECK(values(sum(positions) + sum(x) * 0.0,
               {{"x", testing::array_from(DType::f32, {5, 2}, Numbers(10, 0))}}) == Numbers{10});
}

TEST_CASE("two draws differ, a retrace repeats, readers share one draw (C11)") {
  auto draw_two = [] {
    reset_current_graph();
    const Tensor x = ones({1000});
    return std::pair(values(dropout(x, 0.5)), values(dropout(x, 0.5)));
  };
  manual_seed(7);
  const auto [a, b] = draw_two();
  CHECK(a != b);
  CHECK(draw_two().first == a);
  Array advanced = random_state()->value().clone();
  advanced.data<int64_t>()[1] += 1;
  random_state()->set(advanced);
  CHECK(draw_two().first != a);
  manual_seed(8);
  CHECK(draw_two().first != a);
  manual_seed(7);
  CHECK(draw_two().first == a);
  const Tensor r = rand({4, 1});
  CHECK(values(expand(r, {4, 9}) - expand(r, {4, 9})) == Numbers(36, 0));
}

TEST_CASE("random numbers keep their distributions") {
  reset_current_graph();
  manual_seed(1);
  const Numbers u = values(rand({5000}));
  double low = 1, high = 0, total = 0;
  for (double x : u) {
    low = std::min(low, x);
    high = std::max(high, x);
    total += x;
  }
  CHECK((low >= 0 && high < 1));
  CHECK(total / 5000 == Approx(0.5).margin(4 * 0.2887 / std::sqrt(5000.0)));
  double first = 0, second = 0;
  for (double x : values(randn({5000}))) {
    first += x;
    second += x * x;
  }
  CHECK(first / 5000 == Approx(0).margin(4 / std::sqrt(5000.0)));
  CHECK(second / 5000 == Approx(1).margin(4 * std::sqrt(2.0 / 5000)));
  double kept = 0;
  for (double x : values(dropout(ones({5000}), 0.3))) kept += x != 0;
  CHECK(kept / 5000 == Approx(0.7).margin(4 * std::sqrt(0.21 / 5000)));
}

TEST_CASE("tensors of two graphs meet in the current one; a draw is never merged with another") {
  reset_current_graph();
  const Tensor old_ones = ones({3}) * 2.0;
  const Tensor old_draw = rand({3});
  reset_current_graph();
  CHECK(values(old_ones + vector({1, 2, 3})) == Numbers{3, 4, 5});
  const Tensor new_draw = rand({3});
  CHECK_THROWS_WITH(old_draw + new_draw, Catch::Contains("a random tensor of another graph"));
}

}  // namespace
}  // namespace plait
