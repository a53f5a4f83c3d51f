// Random graphs: simplify keeps values, and repeating it changes nothing.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "passes/gradients.h"
#include "passes/simplify.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

constexpr int64_t kN = 3;  // the value of the symbol

// Makes a random graph. `smooth`: only functions of moderate values, for comparisons by tolerance,
// and scatters and sums of pads with it; else special values and exact comparisons.
class Maker {
 public:
  Maker(uint64_t seed, bool smooth) : random_(seed), smooth_(smooth) {}

  Graph g;
  std::map<std::string, Array> inputs;

  void run(int steps) {
    for (DType dtype : {DType::f64, DType::f32, DType::i32, DType::i64}) {
      for (int i = 0; i < 2; ++i) add_input(dtype, random_shape());
    }
    for (int i = 0; i < steps; ++i) step();
    for (int i = 0; i < 4; ++i) g.add_output("y", pool_[pool_.size() - 1 - below(8)]);
  }

  uint64_t below(uint64_t n) { return random_() % n; }
  Value any() { return pool_[below(pool_.size())]; }
  Value any_float() {
    for (int i = 0; i < 50; ++i) {
      const Value v = any();
      if (g.type(v).dtype == DType::f64) return v;
    }
    return pool_[0];
  }

 private:
  static int64_t number(Expr extent) {
    return evaluate(extent, [](uint32_t) { return int64_t{0}; }, {{"fuzz_n", kN}});
  }

  Expr random_extent() {
    if (below(4) == 0) return dim("fuzz_n", 1, 8);
    return static_cast<int64_t>(1 + below(4));
  }
  Shape random_shape() {
    Shape shape;
    for (uint64_t i = below(4); i > 0; --i) shape.push_back(random_extent());
    return shape;
  }

  double random_number(DType dtype) {
    if (!is_float(dtype)) return static_cast<double>(below(9)) - 4;
    if (!smooth_ && below(4) == 0) {
      const double special[] = {0.0, -0.0, 1, -1, INFINITY, -INFINITY, std::nan(""), 2};
      return special[below(8)];
    }
    return static_cast<double>(below(4000)) / 1000 - 2;
  }

  void add_input(DType dtype, Shape shape) {
    std::vector<int64_t> extents;
    int64_t count = 1;
    for (Expr e : shape) {
      extents.push_back(number(e));
      count *= extents.back();
    }
    std::vector<double> data;
    for (int64_t i = 0; i < count; ++i) data.push_back(random_number(dtype));
    const std::string name = "x" + std::to_string(inputs.size());
    inputs[name] = array(dtype, extents, data);
    pool_.push_back(meta::input(g, name, {dtype, shape}));
  }

  // A value of this type: one from the pool, a constant, or an input.
  Value of_type(Type type) {
    if (below(3) == 0) {
      return meta::broadcast_scalar(
          g, meta::constant(g, Scalar(type.dtype, random_number(type.dtype))), type.shape);
    }
    for (int i = 0; i < 30; ++i) {
      const Value v = any();
      if (g.type(v) == type) return v;
    }
    // A broadcast of a smaller one, as composites make.
    for (int i = 0; i < 30; ++i) {
      const Value v = any();
      if (g.type(v).dtype != type.dtype || g.type(v).rank() != 1) continue;
      for (size_t k = 0; k < type.rank(); ++k) {
        if (g.type(v).shape[0] == type.shape[k]) {
          return meta::broadcast(g, v, type.shape, {static_cast<int64_t>(k)});
        }
      }
    }
    if (type.dtype == DType::boolean) {
      const Value x = of_type({DType::i32, type.shape});
      return meta::binary(g, BinaryOp::lt, x, of_type({DType::i32, type.shape}));
    }
    add_input(type.dtype, type.shape);
    return pool_.back();
  }

  void step() {
    const Value x = any();
    switch (below(smooth_ ? 12 : 10)) {
      case 0:
        return unary(x);
      case 1:
      case 2:
        return binary(x);
      case 3:
        return pool_.push_back(
            meta::select(g, of_type({DType::boolean, g.type(x).shape}), x, of_type(g.type(x))));
      case 4:
        return cast(x);
      case 5:
        return broadcast(x);
      case 6:
        return reduce(x);
      case 7:
      case 8:
        return reindex(x);
      case 9:
        return below(2) == 0 ? concat(x) : scan(x);
      case 10:
        return scatter(x);
      case 11:
        return pads(x);
    }
  }

  void unary(Value x) {
    const DType dtype = g.type(x).dtype;
    if (dtype == DType::boolean) {
      return pool_.push_back(meta::unary(g, UnaryOp::logical_not, x));
    }
    if (!is_float(dtype)) {
      const UnaryOp ops[] = {UnaryOp::neg, UnaryOp::abs, UnaryOp::bitwise_not, UnaryOp::sign};
      return pool_.push_back(meta::unary(g, ops[below(4)], x));
    }
    const UnaryOp ops[] = {UnaryOp::neg, UnaryOp::tanh, UnaryOp::sin,   UnaryOp::abs,
                           UnaryOp::erf, UnaryOp::sign, UnaryOp::floor, UnaryOp::exp};
    pool_.push_back(meta::unary(g, ops[below(smooth_ ? 5 : 8)], x));
  }

  void binary(Value x) {
    const Type type = g.type(x);
    const Value y = of_type(type);
    const bool swap = below(2) == 0;
    const auto add = [&](BinaryOp op) {
      pool_.push_back(meta::binary(g, op, swap ? y : x, swap ? x : y));
    };
    if (type.dtype == DType::boolean) {
      const BinaryOp ops[] = {BinaryOp::bit_and, BinaryOp::bit_or, BinaryOp::bit_xor, BinaryOp::eq,
                              BinaryOp::lt};
      return add(ops[below(5)]);
    }
    if (!is_float(type.dtype)) {
      const BinaryOp ops[] = {BinaryOp::add, BinaryOp::sub, BinaryOp::mul,     BinaryOp::div,
                              BinaryOp::mod, BinaryOp::eq,  BinaryOp::maximum, BinaryOp::bit_or,
                              BinaryOp::le,  BinaryOp::lt,  BinaryOp::ne,      BinaryOp::bit_and};
      return add(ops[below(12)]);
    }
    const BinaryOp ops[] = {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::maximum,
                            BinaryOp::lt,  BinaryOp::div, BinaryOp::eq,  BinaryOp::pow,
                            BinaryOp::ne,  BinaryOp::le};
    const BinaryOp op = ops[below(smooth_ ? 4 : 10)];
    if (smooth_ && op == BinaryOp::mul) {  // keeps values moderate
      return pool_.push_back(
          meta::unary(g, UnaryOp::tanh, meta::binary(g, op, swap ? y : x, swap ? x : y)));
    }
    add(op);
  }

  void cast(Value x) {
    const DType dtype = g.type(x).dtype;
    // Floats to integers only by way of tests: out of range is another matter.
    const DType to[] = {DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::i8};
    Value y = meta::cast(g, x, to[below(is_float(dtype) ? 3 : 6)]);
    if (smooth_ && (is_float(g.type(y).dtype))) y = meta::cast(g, x, DType::f64);
    pool_.push_back(below(3) == 0 ? meta::cast(g, y, dtype) : y);
  }

  void broadcast(Value x) {
    const Type type = g.type(x);
    if (type.rank() > 2) return;
    Shape shape = type.shape;
    std::vector<int64_t> axes;
    for (size_t i = 0; i < shape.size(); ++i) {
      axes.push_back(static_cast<int64_t>(i));
      if (shape[i].is_constant(1) && below(2) == 0) shape[i] = random_extent();
    }
    const uint64_t at = below(shape.size() + 1);
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(at), random_extent());
    for (int64_t& axis : axes) axis += axis >= static_cast<int64_t>(at);
    pool_.push_back(meta::broadcast(g, x, std::move(shape), std::move(axes)));
  }

  void reduce(Value x) {
    const Type type = g.type(x);
    std::vector<int64_t> axes;
    for (size_t i = 0; i < type.rank(); ++i) {
      if (below(2) == 0) axes.push_back(static_cast<int64_t>(i));
    }
    const ReduceOp numbers[] = {ReduceOp::sum, ReduceOp::max, ReduceOp::min, ReduceOp::prod};
    const ReduceOp bools[] = {ReduceOp::any, ReduceOp::all, ReduceOp::max};
    const bool boolean = type.dtype == DType::boolean;
    const ReduceOp op = boolean ? bools[below(3)] : numbers[below(smooth_ ? 3 : 4)];
    pool_.push_back(meta::reduce(g, op, x, std::move(axes)));
  }

  double fill_of(DType dtype) {
    // A filling of 0 makes sums of pads, whose rule may turn -0 into 0.
    const double fills[] = {2, 0.5, -1};
    return smooth_ ? 0 : fills[below(is_float(dtype) ? 3 : 1)];
  }

  void reindex(Value x) {
    const Type type = g.type(x);
    Shape shape = type.shape;
    std::vector<Expr> map;
    for (uint32_t i = 0; i < shape.size(); ++i) map.push_back(Expr::variable(i));
    if (shape.empty()) return;
    const uint32_t k = static_cast<uint32_t>(below(shape.size()));
    const Expr v = Expr::variable(k);
    switch (below(7)) {
      case 0: {  // transpose
        const auto j = static_cast<uint32_t>(below(shape.size()));
        std::swap(shape[k], shape[j]);
        std::swap(map[k], map[j]);
        break;
      }
      case 1:  // pad
        map[k] = v - 1;
        shape[k] = shape[k] + 2;
        break;
      case 2:  // flip
        map[k] = shape[k] - 1 - v;
        break;
      case 3:  // every other one, or a slice
        if (shape[k].constant().value_or(0) < 2) return;
        map[k] = below(2) == 0 ? 2 * v : v + 1;
        shape[k] = below(2) == 0 ? 1 : *shape[k].constant() / 2;
        break;
      case 4: {  // join all axes
        std::vector<Expr> joined;
        Expr rest = Expr::variable(0);
        for (size_t i = shape.size(); i-- > 0;) {
          joined.insert(joined.begin(), i == 0 ? rest : mod(rest, shape[i]));
          rest = floor_div(rest, shape[i]);
        }
        map = joined;
        shape = {element_count(type.shape)};
        break;
      }
      case 5: {  // windows
        if (shape.size() > 2) return;
        shape.push_back(2);
        map[k] = v + Expr::variable(static_cast<uint32_t>(shape.size() - 1)) - 1;
        break;
      }
      case 6: {  // gather along the axis
        const Value index = of_type({DType::i64, {shape[k]}});
        map[k] = Expr::element(0, {v});
        return pool_.push_back(
            meta::reindex(g, x, shape, map, Scalar(type.dtype, fill_of(type.dtype)), {index}));
      }
    }
    pool_.push_back(meta::reindex(g, x, shape, map, Scalar(type.dtype, fill_of(type.dtype))));
  }

  void concat(Value x) {
    if (g.type(x).rank() == 0) return;
    const auto axis = static_cast<int64_t>(below(g.type(x).rank()));
    pool_.push_back(meta::concat(g, {x, of_type(g.type(x)), x}, axis));
  }

  void scan(Value x) {
    const Type type = g.type(x);
    if (type.rank() == 0 || type.dtype == DType::boolean) return;
    const ReduceOp ops[] = {ReduceOp::max, ReduceOp::sum, ReduceOp::prod};
    pool_.push_back(meta::scan(g, ops[below(smooth_ ? 2 : 3)], x,
                               static_cast<int64_t>(below(type.rank())), below(2) == 0));
  }

  void scatter(Value x) {
    const Type type = g.type(x);
    if (type.rank() == 0 || type.dtype == DType::boolean) return;
    const auto k = static_cast<uint32_t>(below(type.rank()));
    std::vector<Expr> map;
    for (uint32_t i = 0; i < type.rank(); ++i) map.push_back(Expr::variable(i));
    const Expr v = Expr::variable(k);
    std::vector<Value> indices;
    switch (below(4)) {
      case 0:
        map[k] = v + 1;
        break;
      case 1:
        map[k] = 2 * v;
        break;
      case 2:
        map[k] = type.shape[k] - 1 - v;
        break;
      case 3:
        indices = {of_type({DType::i64, {type.shape[k]}})};
        map[k] = Expr::element(0, {v});
        break;
    }
    const Value updates = of_type(type);
    if (below(3) == 0) {
      return pool_.push_back(meta::scatter_replace(g, x, updates, map, indices));
    }
    const ReduceOp ops[] = {ReduceOp::sum, ReduceOp::max, ReduceOp::min};
    pool_.push_back(meta::scatter(g, ops[below(3)], x, updates, map, indices));
  }

  void pads(Value x) {
    const Type type = g.type(x);
    if (type.rank() == 0 || !is_float(type.dtype)) return;
    const Value y = of_type(type);
    Shape shape = type.shape;
    std::vector<Expr> map;
    for (uint32_t i = 0; i < type.rank(); ++i) map.push_back(Expr::variable(i));
    shape[0] = 2 * shape[0];
    const Value a = meta::reindex(g, x, shape, map);
    map[0] = map[0] - type.shape[0];
    const Value b = meta::reindex(g, y, shape, map);
    pool_.push_back(meta::binary(g, BinaryOp::add, a, b));
  }

  std::mt19937_64 random_;
  bool smooth_;
  std::vector<Value> pool_;
};

void check_graph(const Graph& g, const std::map<std::string, Array>& inputs, bool exact) {
  const Graph simple = simplify(g);
  verify(simple);
  const std::string text = to_text(simple);
  CHECK(to_text(simplify(simple)) == text);
  const SymbolValues symbols = {{"fuzz_n", kN}};
  const auto before = evaluate(g, inputs, symbols).outputs;
  const auto after = evaluate(simple, inputs, symbols).outputs;
  for (size_t i = 0; i < before.size(); ++i) {
    const bool same =
        exact ? same_bits(before[i], after[i]) : close(values(after[i]), values(before[i]), 1e-8);
    CHECK(same);
    if (!same) {
      WARN(to_text(g) << "output " << i << " differs; simplified:\n" << text);
      return;
    }
  }
}

}  // namespace

TEST_CASE("simplify keeps every bit of random graphs without adjoints") {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    INFO("seed " << seed);
    Maker maker(seed, false);
    maker.run(25);
    check_graph(maker.g, maker.inputs, true);
  }
}

TEST_CASE("simplify keeps the values of random graphs with their gradients") {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    INFO("seed " << seed);
    Maker maker(seed, true);
    maker.run(15);
    const Value y = maker.any_float();
    std::vector<int64_t> axes;
    for (size_t i = 0; i < maker.g.type(y).rank(); ++i) axes.push_back(static_cast<int64_t>(i));
    const Value loss = meta::reduce(maker.g, ReduceOp::sum, y, axes);
    std::vector<Value> wrt;
    for (Value v = 0; v < maker.g.size() && wrt.size() < 3; ++v) {
      const Node& node = maker.g.node(v);
      if (node.op == MetaOp::input && node.type.dtype == DType::f64) wrt.push_back(v);
    }
    for (Value v : gradients(maker.g, loss, wrt)) maker.g.add_output("gradient", v);
    check_graph(maker.g, maker.inputs, false);
  }
}
