#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "core/index/inverse_map.h"
#include "passes/gradients.h"
#include "passes/simplify.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

Expr axis(uint32_t i) { return Expr::variable(i); }

size_t count(const Graph& g, MetaOp op) {
  size_t n = 0;
  for (Value v = 0; v < g.size(); ++v) n += g.node(v).op == op;
  return n;
}

// The simplified gradient of sum(f(x) * c) by x, checked against the one that is not simplified.
Graph backward(const Function& f, std::vector<int64_t> shape) {
  Graph g;
  std::map<std::string, Array> inputs;
  std::mt19937_64 random(11);
  const Value x = input_for(g, inputs, random_array(random, DType::f64, shape, -2, 2));
  const Value y = f(g, {x});
  std::vector<int64_t> seed_shape;
  for (Expr extent : g.type(y).shape) seed_shape.push_back(*extent.constant());
  const Value seed = input_for(g, inputs, random_array(random, DType::f64, seed_shape, -2, 2));
  g.add_output("gradient", gradients(g, y, std::span(&x, 1), seed)[0]);
  const Graph simple = simplify(g);
  verify(simple);
  CHECK(to_text(simplify(simple)) == to_text(simple));
  CHECK(close(values(run(simple, inputs)), values(run(g, inputs)), 1e-12));
  return simple;
}

Function reindex(Shape shape, std::vector<Expr> map) {
  return [=](Graph& g, const std::vector<Value>& x) { return meta::reindex(g, x[0], shape, map); };
}

// By enumeration: the sources of every destination element, each found once.
void check_inverse(const std::vector<Expr>& map, const std::vector<int64_t>& from,
                   const std::vector<int64_t>& to) {
  const auto inverse = invert_map(map, shape_of(from), shape_of(to));
  REQUIRE(inverse);
  const auto value = [](Expr e, const std::vector<int64_t>& at) {
    return evaluate(e, [&](uint32_t i) { return at.at(i); }, {});
  };
  const auto all = [](const std::vector<int64_t>& shape) {
    std::vector<std::vector<int64_t>> result = {{}};
    for (int64_t extent : shape) {
      std::vector<std::vector<int64_t>> next;
      for (const auto& prefix : result) {
        for (int64_t i = 0; i < extent; ++i) {
          next.push_back(prefix);
          next.back().push_back(i);
        }
      }
      result = std::move(next);
    }
    return result;
  };
  using Pairs = std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>>;
  Pairs expected, got;
  for (const auto& v : all(from)) {
    std::vector<int64_t> d;
    bool inside = true;
    for (size_t k = 0; k < map.size(); ++k) {
      d.push_back(value(map[k], v));
      inside = inside && d[k] >= 0 && d[k] < to[k];
    }
    if (inside) expected.emplace_back(d, v);
  }
  std::vector<int64_t> over = to;
  for (Expr extent : inverse->windows) over.push_back(*extent.constant());
  for (const auto& dw : all(over)) {
    std::vector<int64_t> v;
    bool inside = true;
    for (size_t i = 0; i < from.size(); ++i) {
      v.push_back(value(inverse->index[i], dw));
      inside = inside && v[i] >= 0 && v[i] < from[i];
    }
    for (Expr guard : inverse->guards) inside = inside && value(guard, dw) == 0;
    if (inside) got.emplace_back(std::vector<int64_t>(dw.begin(), dw.begin() + to.size()), v);
  }
  std::sort(expected.begin(), expected.end());
  std::sort(got.begin(), got.end());
  CHECK(got == expected);
}

}  // namespace

TEST_CASE("inverse maps agree with enumeration") {
  check_inverse({axis(1), axis(0)}, {3, 4}, {4, 3});                      // transpose
  check_inverse({axis(0) + 2}, {4}, {9});                                 // pad
  check_inverse({axis(0) - 1}, {4}, {3});                                 // some dropped
  check_inverse({2 * axis(0) + 1}, {3}, {8});                             // stride
  check_inverse({5 - axis(0)}, {5}, {7});                                 // flip
  check_inverse({7 - 3 * axis(0)}, {3}, {9});                             // strided flip
  check_inverse({4 * axis(0) + axis(1)}, {3, 4}, {12});                   // join axes
  check_inverse({6 * axis(0) + 2 * axis(1) + 1}, {2, 2}, {14});           // with holes
  check_inverse({axis(1) * 3 + axis(0)}, {3, 4}, {12});                   // transposed join
  check_inverse({floor_div(axis(0), 4), mod(axis(0), 4)}, {12}, {3, 4});  // split
  check_inverse({mod(axis(0), 4), floor_div(axis(0), 4)}, {12}, {4, 3});  // split, transposed
  check_inverse({floor_div(axis(0) * 4 + axis(1), 6), mod(axis(0) * 4 + axis(1), 6)}, {3, 4},
                {2, 6});                                              // reshape
  check_inverse({axis(0) + axis(1)}, {5, 3}, {7});                    // windows
  check_inverse({axis(0) + 2 * axis(1) - 1}, {5, 3}, {7});            // dilated, padded
  check_inverse({2 * axis(0) + axis(1)}, {4, 3}, {9});                // strided windows
  check_inverse({2 * axis(0) + axis(1)}, {4, 2}, {8});                // touching windows
  check_inverse({axis(0), 2}, {4}, {4, 5});                           // one column
  check_inverse({axis(1)}, {3, 4}, {4});                              // an axis summed over
  check_inverse({axis(0), axis(2) + axis(3)}, {2, 1, 4, 3}, {2, 6});  // all at once
  check_inverse({}, {3}, {});
  // Neither a digit expansion nor windows of small steps.
  CHECK(!invert_map(std::vector<Expr>{axis(0) * axis(0)}, {4}, {16}));
  CHECK(!invert_map(std::vector<Expr>{Expr::element(0, {axis(0)})}, {4}, {16}));
  CHECK(!invert_map(std::vector<Expr>{mod(axis(0), 3)}, {6}, {3}));
}

TEST_CASE("the gradients of moves are moves") {
  const std::pair<Function, std::vector<int64_t>> moves[] = {
      {reindex({4, 3}, {axis(1), axis(0)}), {3, 4}},
      {reindex({7}, {axis(0) - 2}), {4}},
      {reindex({2}, {2 * axis(0) + 1}), {5}},
      {reindex({5}, {4 - axis(0)}), {5}},
      {reindex({2, 6}, {floor_div(axis(0) * 6 + axis(1), 3), mod(axis(1), 3)}), {4, 3}},
      {reindex({4, 5}, {axis(0), 2}), {4, 3}},
  };
  for (const auto& [f, shape] : moves) {
    const Graph g = backward(f, shape);
    CAPTURE(to_text(g));
    CHECK(count(g, MetaOp::scatter) == 0);
  }
  const Graph transposed = backward(reindex({4, 3}, {axis(1), axis(0)}), {3, 4});
  CHECK(to_text(transposed) ==
        "graph\n"
        "  %0 = input \"x1\" : f64[4, 3]\n"
        "  %1 = reindex [i1, i0] fill 0 %0 : f64[3, 4]\n"
        "  output \"gradient\" %1\n");
}

TEST_CASE("the gradient of windows is a window sum of a guarded reindex") {
  for (int64_t stride : {1, 2, 3}) {
    // Windows of 3 on 11 elements padded by 1: a convolution's input.
    const int64_t n = (11 + 2 - 3) / stride + 1;
    const Graph g = backward(reindex(shape_of({n, 3}), {stride * axis(0) + axis(1) - 1}), {11});
    CAPTURE(to_text(g));
    CHECK(count(g, MetaOp::scatter) == 0);
    CHECK(count(g, MetaOp::reduce) == (stride < 3));
  }
}

TEST_CASE("a data-indexed gradient stays a scatter, added to in place") {
  const Function f = [](Graph& g, const std::vector<Value>& x) {
    const Array at = array(DType::i64, {3}, {1, 1, 0});
    const Value index = meta::constant(g, at.type(), {at.data<std::byte>(), at.bytes()});
    const Value rows =
        meta::reindex(g, x[0], {3, 2}, {Expr::element(0, {axis(0)}), axis(1)}, {}, {index});
    const Value whole = meta::reduce(g, ReduceOp::sum, x[0], {0});
    return meta::binary(g, BinaryOp::mul, rows, meta::broadcast(g, whole, {3, 2}, {1}));
  };
  const Graph g = backward(f, {4, 2});
  CHECK(count(g, MetaOp::scatter) == 1);
  for (Value v = 0; v < g.size(); ++v) {
    if (g.node(v).op != MetaOp::scatter) continue;
    CHECK(v == g.outputs()[0].value);  // nothing is left to add
    CHECK(g.node(g.node(v).operands[0]).op == MetaOp::broadcast);
  }
}

TEST_CASE("a sum of disjoint pads is a concatenation") {
  const Function split = [](Graph& g, const std::vector<Value>& x) {
    auto part = [&](int64_t begin) {
      return meta::reindex(g, x[0], {2, 3}, {axis(0), axis(1) + begin});
    };
    const Value product =
        meta::binary(g, BinaryOp::mul, part(0), meta::unary(g, UnaryOp::sin, part(3)));
    return meta::binary(g, BinaryOp::add, product, meta::unary(g, UnaryOp::exp, part(6)));
  };
  const Graph g = backward(split, {2, 9});
  CAPTURE(to_text(g));
  CHECK(count(g, MetaOp::concat) == 1);
  CHECK(g.node(g.outputs()[0].value).op == MetaOp::concat);
  CHECK(g.node(g.outputs()[0].value).operands.size() == 3);
  // With a gap, and where pads overlap.
  const Function gap = [](Graph& g, const std::vector<Value>& x) {
    const Value a = meta::reindex(g, x[0], {2}, {axis(0)});
    const Value b = meta::reindex(g, x[0], {2}, {axis(0) + 4});
    return meta::binary(g, BinaryOp::mul, a, b);
  };
  CHECK(count(backward(gap, {7}), MetaOp::concat) == 1);
  const Function overlap = [](Graph& g, const std::vector<Value>& x) {
    const Value a = meta::reindex(g, x[0], {3}, {axis(0)});
    const Value b = meta::reindex(g, x[0], {3}, {axis(0) + 2});
    return meta::binary(g, BinaryOp::mul, a, b);
  };
  CHECK(count(backward(overlap, {5}), MetaOp::concat) == 0);
}

TEST_CASE("scatters of every function through inverse maps") {
  for (const char* function : {"sum", "prod", "max", "min"}) {
    for (const char* map : {"[i0 + 1, i1]", "[2*i0 - 1, i1]", "[i0, 2]", "[i0 + i1, 0]"}) {
      const Graph g = parse_graph(fmt::format(R"(graph
        %x = input "x" : f64[5, 3]
        %u = input "u" : f64[3, 3]
        %y = scatter {} {} %x %u : f64[5, 3]
        output "y" %y)",
                                              function, map));
      std::mt19937_64 random(3);
      const std::map<std::string, Array> inputs = {
          {"x", random_array(random, DType::f64, {5, 3}, -2, 2)},
          {"u", random_array(random, DType::f64, {3, 3}, -2, 2)}};
      const Graph simple = simplify(g);
      CAPTURE(to_text(simple));
      CHECK(count(simple, MetaOp::scatter) == 0);
      CHECK(close(values(run(simple, inputs)), values(run(g, inputs)), 1e-12));
    }
  }
}

TEST_CASE("a slice that is set is a select, and its gradient has no scatter") {
  const Graph g = parse_graph(R"(graph
    %x = input "x" : f64[5, 3]
    %u = input "u" : f64[2, 3]
    %y = scatter replace [2*i0 + 1, i1] error %x %u : f64[5, 3]
    %sq = binary mul %y %y : f64[5, 3]
    output "y" %sq)");
  Graph whole = g;
  const Value wrt[] = {0, 1};
  const Value loss = meta::reduce(whole, ReduceOp::sum, g.outputs()[0].value, {0, 1});
  for (Value v : gradients(whole, loss, wrt)) whole.add_output("gradient", v);
  const Graph simple = simplify(whole);
  CAPTURE(to_text(simple));
  CHECK(count(simple, MetaOp::scatter) == 0);
  std::mt19937_64 random(3);
  const std::map<std::string, Array> inputs = {
      {"x", random_array(random, DType::f64, {5, 3}, -2, 2)},
      {"u", random_array(random, DType::f64, {2, 3}, -2, 2)}};
  const auto a = evaluate(whole, inputs).outputs;
  const auto b = evaluate(simple, inputs).outputs;
  for (size_t i = 0; i < a.size(); ++i) CHECK(close(values(b[i]), values(a[i]), 1e-12));
}

TEST_CASE("inverse maps with symbolic sizes") {
  const Expr n = dim("adjoint_n", 1, 64);
  const auto join = invert_map(std::vector<Expr>{axis(0) * n + axis(1)}, {4, n}, {4 * n});
  REQUIRE(join);
  CHECK(join->guards.empty());
  CHECK(to_string(join->index[0]) == "floor_div(i0, adjoint_n)");
  CHECK(to_string(join->index[1]) == "mod(i0, adjoint_n)");
  const auto pad = invert_map(std::vector<Expr>{axis(0) + n}, {n}, {3 * n});
  REQUIRE(pad);
  CHECK(pad->index[0] == axis(0) - n);
}

namespace {

// Products of x and a weight over windows of one axis, channels first.
Function convolution(int64_t outputs, int64_t positions, int64_t stride, int64_t padding) {
  return [=](Graph& g, const std::vector<Value>& x) {
    const Shape& of = g.type(x[0]).shape;
    const Shape space = {of[0], outputs, positions, of[1], 3};
    Array taps = Array::empty(DType::f64, {outputs, *of[1].constant(), 3});
    for (int64_t i = 0; i < taps.count(); ++i) taps.data<double>()[i] = 0.25 * (i % 7) - 0.5;
    const Value weight =
        meta::constant(g, taps.type(), {taps.data<std::byte>(), static_cast<size_t>(taps.bytes())});
    const Value windows = meta::reindex(g, x[0], {of[0], positions, of[1], 3},
                                        {axis(0), axis(2), stride * axis(1) + axis(3) - padding},
                                        Scalar(DType::f64, 0));
    const Value product =
        meta::binary(g, BinaryOp::mul, meta::broadcast(g, windows, space, {0, 2, 3, 4}),
                     meta::broadcast(g, weight, space, {1, 3, 4}));
    return meta::reduce(g, ReduceOp::sum, product, {3, 4});
  };
}

}  // namespace

TEST_CASE("the gradient of a convolution by its input is one sum of products") {
  for (const int64_t padding : {0, 1, 2}) {
    const Graph g = backward(convolution(4, 7 + 2 * padding - 2, 1, padding), {2, 3, 7});
    CHECK(count(g, MetaOp::reduce) == 1);
    CHECK(count(g, MetaOp::scatter) == 0);
  }
  // At stride 2 every second position has other taps: an axis of their own.
  const Graph strided = backward(convolution(4, 4, 2, 1), {2, 3, 8});
  CHECK(count(strided, MetaOp::reduce) == 1);
  // An odd size does not divide in two, and zeros would be most of the products.
  const Graph odd = backward(convolution(4, 4, 2, 1), {2, 3, 7});
  CHECK(count(odd, MetaOp::reduce) == 2);
}

TEST_CASE("a sum of a product's elements, each once, stays a sum of the product") {
  const Graph g = simplify(parse_graph(R"(graph
    %0 = input "a" : f32[5, 7]
    %1 = input "b" : f32[7, 6]
    %2 = broadcast [0, 1] %0 : f32[5, 7, 6]
    %3 = broadcast [1, 2] %1 : f32[5, 7, 6]
    %4 = binary mul %2 %3 : f32[5, 7, 6]
    %5 = reduce sum [1] %4 : f32[5, 6]
    %6 = reindex [i1, i0] fill 0 %5 : f32[6, 5]
    %7 = reduce sum [0] %6 : f32[5]
    output "y" %7
  )"));
  CHECK(count(g, MetaOp::reduce) == 2);
}
