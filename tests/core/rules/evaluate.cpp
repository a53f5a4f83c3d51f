#include "core/rules/evaluate.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "tests/support/error_text.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

using Doubles = std::vector<double>;

Doubles unary(UnaryOp op, DType dtype, const Doubles& x) {
  Graph g;
  std::map<std::string, Array> inputs;
  const Array a = array(dtype, {static_cast<int64_t>(x.size())}, x);
  g.add_output("y", meta::unary(g, op, input_for(g, inputs, a)));
  return values(run(g, inputs));
}

Array binary_array(BinaryOp op, DType dtype, const Doubles& x, const Doubles& y) {
  Graph g;
  std::map<std::string, Array> inputs;
  const std::vector<int64_t> shape = {static_cast<int64_t>(x.size())};
  const Value a = input_for(g, inputs, array(dtype, shape, x));
  const Value b = input_for(g, inputs, array(dtype, shape, y));
  g.add_output("z", meta::binary(g, op, a, b));
  return run(g, inputs);
}
Doubles binary(BinaryOp op, DType dtype, const Doubles& x, const Doubles& y) {
  return values(binary_array(op, dtype, x, y));
}

Array reduced(ReduceOp op, const Array& x, std::vector<int64_t> axes) {
  Graph g;
  std::map<std::string, Array> inputs;
  g.add_output("y", meta::reduce(g, op, input_for(g, inputs, x), std::move(axes)));
  return run(g, inputs);
}

}  // namespace

TEST_CASE("A21: integer division and remainder are Python's") {
  const Doubles a = {-7, 7, -8, 110}, b = {2, -2, 3, 55};
  CHECK(binary(BinaryOp::div, DType::i32, a, b) == Doubles{-4, -4, -3, 2});
  CHECK(binary(BinaryOp::mod, DType::i32, a, b) == Doubles{1, -1, 1, 0});
  CHECK(binary(BinaryOp::div, DType::i32, {5, -2147483648.0}, {0, -1}) ==
        Doubles{0, -2147483648.0});
  CHECK(binary(BinaryOp::mod, DType::i32, {5, -2147483648.0}, {0, -1}) == Doubles{0, 0});
  CHECK(binary(BinaryOp::mod, DType::f32, {-7, 7, 5, -0.0}, {2, -2, INFINITY, 3}) ==
        Doubles{1, -1, 5, 0});
}

TEST_CASE("integers wrap to their width") {
  CHECK(binary(BinaryOp::add, DType::i8, {127, -128}, {1, -1}) == Doubles{-128, 127});
  CHECK(binary(BinaryOp::mul, DType::u8, {200, 16}, {2, 16}) == Doubles{144, 0});
  CHECK(binary(BinaryOp::sub, DType::u32, {0}, {1}) == Doubles{4294967295.0});
  CHECK(unary(UnaryOp::neg, DType::i16, {-32768}) == Doubles{-32768});
  CHECK(binary(BinaryOp::shift_left, DType::u8, {1, 1, 255}, {7, 8, 4}) == Doubles{128, 0, 240});
  CHECK(binary(BinaryOp::shift_right, DType::i8, {-128, -1, 64}, {7, 100, 2}) ==
        Doubles{-1, -1, 16});
  CHECK(binary(BinaryOp::lt, DType::u64, {1e19}, {1}) == Doubles{0});
}

TEST_CASE("A28: minimum and maximum of signed zeros, NaN wins") {
  for (const auto& [x, y] : {std::pair{-0.0, 0.0}, std::pair{0.0, -0.0}}) {
    CHECK(std::signbit(binary(BinaryOp::minimum, DType::f32, {x}, {y})[0]));
    CHECK(!std::signbit(binary(BinaryOp::maximum, DType::f32, {x}, {y})[0]));
  }
  CHECK(std::isnan(binary(BinaryOp::maximum, DType::f32, {NAN}, {1})[0]));
  CHECK(std::isnan(binary(BinaryOp::minimum, DType::f32, {1}, {NAN})[0]));
  CHECK(binary(BinaryOp::pow, DType::f32, {NAN, 1}, {0, NAN}) == Doubles{1, 1});
}

TEST_CASE("unary functions at special points") {
  CHECK(unary(UnaryOp::round, DType::f32, {0.5, 1.5, -2.5, 2.51}) == Doubles{0, 2, -2, 3});
  CHECK(unary(UnaryOp::sign, DType::f32, {-3, 0, -0.0, 5}) == Doubles{-1, 0, 0, 1});
  CHECK(std::isnan(unary(UnaryOp::sign, DType::f32, {NAN})[0]));
  CHECK(unary(UnaryOp::rsqrt, DType::f64, {4, 0}) == Doubles{0.5, INFINITY});
  CHECK(unary(UnaryOp::exp, DType::f32, {100, -200}) == Doubles{INFINITY, 0});
  CHECK(unary(UnaryOp::is_nan, DType::f16, {NAN, 1, INFINITY}) == Doubles{1, 0, 0});
  CHECK(unary(UnaryOp::bitwise_not, DType::u8, {0, 255}) == Doubles{255, 0});
}

TEST_CASE("the half types round at every node") {
  // 256 + 1 is a tie that rounds to 256 in bf16; twice it never moves.
  Graph g;
  std::map<std::string, Array> inputs;
  const Value x = input_for(g, inputs, array(DType::bf16, {1}, {256}));
  const Value one = meta::scalar_like(g, x, 1);
  const Value y = meta::binary(g, BinaryOp::add, meta::binary(g, BinaryOp::add, x, one), one);
  g.add_output("y", y);
  CHECK(values(run(g, inputs)) == Doubles{256});
  CHECK(unary(UnaryOp::sqrt, DType::f16, {2})[0] == f16_to_f32(f64_to_f16(std::sqrt(2.0))));
}

TEST_CASE("fma rounds once") {
  Graph g;
  std::map<std::string, Array> inputs;
  const float a = 1 + 0x1p-12f;
  const Value x = input_for(g, inputs, array(DType::f32, {1}, {a}));
  const Value c = input_for(g, inputs, array(DType::f32, {1}, {-(1 + 0x1p-11)}));
  g.add_output("y", meta::fma(g, x, x, c));
  CHECK(values(run(g, inputs)) == Doubles{0x1p-24});
}

TEST_CASE("B01: reductions of empty axes") {
  const Array x = Array::empty(DType::f32, {2, 0});
  CHECK(reduced(ReduceOp::max, x, {0}).shape == std::vector<int64_t>{0});
  CHECK(values(reduced(ReduceOp::sum, x, {1})) == Doubles{0, 0});
  CHECK(values(reduced(ReduceOp::prod, Array::empty(DType::f32, {0}), {0})) == Doubles{1});
  CHECK(error_text<UserError>([&] { reduced(ReduceOp::max, x, {1}); }).find("axis 1 has size 0") !=
        std::string::npos);
  // A symbolic axis that turns out empty.
  Graph g;
  const Shape shape = {dim("evaluate_b01", 0, 8)};
  g.add_output("y", meta::reduce(g, ReduceOp::max, meta::input(g, "x", {DType::f32, shape}), {0}));
  CHECK(values(run(g, {{"x", array(DType::f32, {2}, {3, 4})}})) == Doubles{4});
  CHECK(error_text<UserError>([&] { run(g, {{"x", Array::empty(DType::f32, {0})}}); }) ==
        "[reduce] an empty axis has no max; got f32[evaluate_b01]; axis 0 has size 0");
}

TEST_CASE("argmax takes the first of ties, NaN wins") {
  for (int64_t n : {5, 8, 33, 1000}) {
    Array x = Array::full(DType::f32, {n}, Scalar(DType::f32, 1));
    x.data<float>()[n / 2] = x.data<float>()[n - 1] = 7;
    CHECK(values(reduced(ReduceOp::argmax, x, {0})) == Doubles{static_cast<double>(n / 2)});
    CHECK(values(reduced(ReduceOp::argmin, Array::full(DType::i32, {n}, {}), {0})) == Doubles{0});
  }
  const Array x = array(DType::f32, {4}, {1, NAN, 9, NAN});
  CHECK(values(reduced(ReduceOp::argmax, x, {0})) == Doubles{1});
  CHECK(values(reduced(ReduceOp::argmin, x, {0})) == Doubles{1});
  CHECK(std::isnan(values(reduced(ReduceOp::max, x, {0}))[0]));
}

TEST_CASE("a long f32 sum does not drift") {
  const Array x = Array::full(DType::f32, {1000000}, Scalar(DType::f32, 0.1));
  CHECK(std::fabs(values(reduced(ReduceOp::sum, x, {0}))[0] - 100000) < 0.01);
}

TEST_CASE("A26: sort is stable with NaN last") {
  const auto order = [](const Doubles& x, bool descending) {
    Graph g;
    std::map<std::string, Array> inputs;
    const Array a = array(DType::f32, {static_cast<int64_t>(x.size())}, x);
    g.add_output("y", meta::sort(g, input_for(g, inputs, a), 0, descending));
    return values(run(g, inputs));
  };
  CHECK(order({1, NAN, 2, 0}, false) == Doubles{3, 0, 2, 1});
  CHECK(order({1, NAN, 2, 0}, true) == Doubles{2, 0, 3, 1});
  CHECK(order({0, -0.0, 0}, false) == Doubles{0, 1, 2});
  CHECK(order({1, 1, 2}, true) == Doubles{2, 0, 1});
}

TEST_CASE("scan runs both ways") {
  Graph g;
  std::map<std::string, Array> inputs;
  const Value x = input_for(g, inputs, array(DType::i32, {2, 3}, {1, 2, 3, 4, 5, 6}));
  g.add_output("sum", meta::scan(g, ReduceOp::sum, x, 1));
  g.add_output("back", meta::scan(g, ReduceOp::sum, x, 1, true));
  g.add_output("max", meta::scan(g, ReduceOp::max, x, 0, true));
  const auto out = evaluate(g, inputs).outputs;
  CHECK(values(out[0]) == Doubles{1, 3, 6, 4, 9, 15});
  CHECK(values(out[1]) == Doubles{6, 5, 3, 15, 11, 6});
  CHECK(values(out[2]) == Doubles{4, 5, 6, 4, 5, 6});
}

TEST_CASE("random bits are Philox's, whatever reads them") {
  // The reference vectors of the Random123 library.
  using random::philox4x32_10;
  CHECK(philox4x32_10({0, 0, 0, 0}, {0, 0}) ==
        random::Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32_10({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        random::Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        random::Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  Graph g;
  const Value key = meta::input(g, "key", {DType::i64, {2}});
  const Value draw = meta::random(g, key, {3, 5}, 7);
  g.add_output("draw", draw);
  g.add_output("transposed", meta::transpose(g, draw, std::vector<int64_t>{1, 0}));
  const auto out = evaluate(g, {{"key", array(DType::i64, {2}, {5e9, -2})}}).outputs;
  for (int64_t i = 0; i < 15; ++i) {
    const auto words =
        philox4x32_10({static_cast<uint32_t>(i / 4), 0, 0xfffffffe, 7}, {705032704u, 1});
    CHECK(out[0].data<uint32_t>()[i] == words[i % 4]);
    CHECK(out[1].data<uint32_t>()[i % 5 * 3 + i / 5] == words[i % 4]);
  }
}

TEST_CASE("an index out of range is an error that names everything, or the fill") {
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {4, 2}});
  const Value at = meta::input(g, "at", {DType::i64, {3}});
  const std::vector<Expr> map = {Expr::element(0, {Expr::variable(0)}), Expr::variable(1)};
  const Scalar fill(DType::f32, 9);
  const auto gather = [&](OutOfRange policy) {
    Graph copy = g;
    const Scope scope("gpt/embed");
    copy.add_output("y", meta::reindex(copy, x, {3, 2}, map, fill, {at}, policy));
    return run(copy, {{"x", array(DType::f32, {4, 2}, {0, 1, 2, 3, 4, 5, 6, 7})},
                      {"at", array(DType::i64, {3}, {3, -1, 4})}});
  };
  CHECK(values(gather(OutOfRange::fill)) == Doubles{6, 7, 9, 9, 9, 9});
  CHECK(error_text<UserError>([&] { gather(OutOfRange::error); }) ==
        "[gpt/embed/reindex] index out of range; axis 0 of f32[4, 2] at position [1, 0]: -1 is "
        "not in 0..3");
}

TEST_CASE("a matmul takes no M*N*K memory") {
  Graph g;
  std::map<std::string, Array> inputs;
  std::mt19937_64 random(4);
  const int64_t m = 60, n = 50, k = 400;
  const Value a = input_for(g, inputs, random_array(random, DType::f32, {m, k}, -1, 1));
  const Value b = input_for(g, inputs, random_array(random, DType::f32, {k, n}, -1, 1));
  const Value product = meta::binary(
      g, BinaryOp::mul, meta::broadcast(g, a, {m, n, k}, {0, 2}),
      meta::broadcast(g, meta::transpose(g, b, std::vector<int64_t>{1, 0}), {m, n, k}, {1, 2}));
  g.add_output("c", meta::reduce(g, ReduceOp::sum, product, {2}));
  const size_t before = Buffer::live_bytes();
  const Array c = run(g, inputs);
  CHECK(Buffer::live_bytes() - before <= c.bytes() + 64);
  double expected = 0;
  for (int64_t i = 0; i < k; ++i) {
    expected += double{inputs["x0"].data<float>()[7 * k + i]} *
                double{inputs["x1"].data<float>()[i * n + 3]};
  }
  CHECK(c.data<float>()[7 * n + 3] == Approx(expected).epsilon(1e-6));
}

TEST_CASE("assigns are returned, slots stay") {
  auto slot = std::make_shared<Slot>("w", array(DType::f32, {2}, {1, 2}));
  Graph g;
  const Value w = meta::parameter(g, slot);
  const Value twice = meta::binary(g, BinaryOp::add, w, w);
  meta::assign(g, slot, twice);
  g.add_output("w", w);
  const Evaluation e = evaluate(g, {});
  CHECK(values(e.outputs[0]) == Doubles{1, 2});
  REQUIRE(e.assigns.size() == 1);
  CHECK(e.assigns[0].first == slot);
  CHECK(values(e.assigns[0].second) == Doubles{2, 4});
  CHECK(values(slot->value()) == Doubles{1, 2});
}

TEST_CASE("symbols come from the inputs' shapes") {
  const Expr n = dim("evaluate_n", 1, 64, 2);
  Graph g;
  const Value x = meta::input(g, "x", {DType::f32, {n * 3 + 1}});
  const Value count = meta::cast(g, meta::size(g, n), DType::f32);
  g.add_output(
      "y", meta::binary(g, BinaryOp::add, x, meta::broadcast_scalar(g, count, g.type(x).shape)));
  CHECK(values(run(g, {{"x", array(DType::f32, {7}, {0, 1, 2, 3, 4, 5, 6})}})) ==
        Doubles{2, 3, 4, 5, 6, 7, 8});
  const auto with = [&](std::vector<int64_t> shape, DType dtype) {
    return error_text<UserError>([&] { run(g, {{"x", Array::full(dtype, shape, {})}}); });
  };
  CHECK(with({10}, DType::f32) ==
        "[run] dimension 'evaluate_n' must lie in 1..64 and be a multiple of 2; got 3");
  CHECK(with({8}, DType::f32).find("the size of dimension 'evaluate_n'") != std::string::npos);
  CHECK(with({7}, DType::f64).find("must be f32") != std::string::npos);
  CHECK(error_text<UserError>([&] { run(g, {}); }).find("input 'x'") != std::string::npos);
}
