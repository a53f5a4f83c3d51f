#include "tests/fuzz/graph_maker.h"

#include <algorithm>
#include <cmath>

#include "core/graph/build.h"
#include "core/rules/evaluate.h"
#include "passes/gradients.h"

namespace plait::testing {
namespace {

std::vector<Expr> identity_map(size_t rank) {
  std::vector<Expr> map;
  for (uint32_t i = 0; i < rank; ++i) map.push_back(Expr::variable(i));
  return map;
}

std::vector<int64_t> all_axes(size_t rank) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  return axes;
}

}  // namespace

GraphMaker::GraphMaker(const MakerOptions& options)
    : options_(options),
      random_(options.seed * 2654435761u + 17),
      most_elements_(6000 * options.scale) {
  // A graph has few extents, so that shapes meet.
  const int64_t small[] = {1, 2, 3, 4, 5, 8};
  const int64_t large[] = {31, 32, 33, 17, 40, 64, 65, 7};
  extents_ = {small[below(6)], small[below(6)], large[below(8)] * options.scale};
  if (chance(60)) extents_.push_back(1);
  if (chance(4)) extents_.push_back(0);
  const int64_t number = options.symbol;
  extents_.push_back(options.symbolic ? dim(kFuzzSymbol, 0, 4096) : Expr(number));
  // A symbol takes its value from an input.
  if (options.symbolic) graph.add_output("s", add_input(DType::f32, {extents_.back()}));
  for (int i = 0; i < 3; ++i) add_input(random_dtype(), random_shape());
  for (int i = 0; i < options.steps; ++i) step();
  const int outputs = 1 + static_cast<int>(below(4));
  for (int i = 0; i < outputs; ++i) {
    graph.add_output("y" + std::to_string(i), pool_[pool_.size() - 1 - below(8) % pool_.size()]);
  }
  if (options.gradients) add_gradients();
}

int64_t GraphMaker::count(const Shape& shape) const {
  return evaluate(element_count(shape), [](uint32_t) { return int64_t{0}; },
                  {{kFuzzSymbol, options_.symbol}});
}

Expr GraphMaker::random_extent() { return extents_[below(extents_.size())]; }

Shape GraphMaker::random_shape() {
  for (;;) {
    Shape shape;
    for (uint64_t i = chance(90) ? 1 + below(3) : below(5); i > 0; --i) {
      shape.push_back(random_extent());
    }
    if (fits(shape)) return shape;
  }
}

DType GraphMaker::random_dtype() {
  if (options_.gradients) return chance(70) ? DType::f32 : DType::f64;
  if (chance(60)) return DType::f32;
  if (options_.numbers == Numbers::smooth) {
    const DType floats[] = {DType::f64, DType::f32};
    return floats[below(2)];
  }
  return kAllDTypes[below(std::size(kAllDTypes))];
}

double GraphMaker::random_number(DType dtype) {
  if (options_.numbers == Numbers::smooth) return static_cast<double>(below(4000)) / 1000 - 2;
  if (options_.numbers == Numbers::exact || !is_float(dtype)) {
    return static_cast<double>(below(9)) - (is_signed(dtype) ? 4 : 0);
  }
  if (chance(15)) {
    const double special[] = {0.0, -0.0, 1, -1, INFINITY, -INFINITY, std::nan(""), 1e-40, 3e38};
    return special[below(std::size(special))];
  }
  return static_cast<double>(below(4000)) / 1000 - 2;
}

Value GraphMaker::add_input(DType dtype, const Shape& shape) {
  std::vector<int64_t> extents;
  for (Expr e : shape) extents.push_back(count({e}));
  Array array = Array::empty(dtype, extents);
  for (int64_t i = 0; i < array.count(); ++i) {
    Scalar(dtype, random_number(dtype))
        .store(array.data<std::byte>() + static_cast<size_t>(i) * dtype_size(dtype));
  }
  const std::string name = "x" + std::to_string(inputs.size());
  inputs[name] = array;
  keep(meta::input(graph, name, {dtype, shape}));
  return pool_.back();
}

Value GraphMaker::like(const Type& wanted) {
  if (chance(10)) {
    return meta::broadcast_scalar(
        graph, meta::constant(graph, Scalar(wanted.dtype, random_number(wanted.dtype))),
        wanted.shape);
  }
  for (int i = 0; i < 30; ++i) {
    const Value v = pool_[below(pool_.size())];
    if (type(v) == wanted) return v;
  }
  // A broadcast of a smaller value whose axes occur in order.
  for (int i = 0; i < 30; ++i) {
    const Value v = pool_[below(pool_.size())];
    if (type(v).dtype != wanted.dtype || type(v).rank() >= wanted.rank()) continue;
    std::vector<int64_t> axes;
    size_t next = 0;
    for (Expr extent : type(v).shape) {
      while (next < wanted.rank() && !(wanted.shape[next] == extent)) ++next;
      if (next == wanted.rank()) break;
      axes.push_back(static_cast<int64_t>(next++));
    }
    if (axes.size() == type(v).rank()) return meta::broadcast(graph, v, wanted.shape, axes);
  }
  if (wanted.dtype == DType::boolean) {
    const Value x = like({DType::f32, wanted.shape});
    return meta::binary(graph, BinaryOp::lt, x, like({DType::f32, wanted.shape}));
  }
  return add_input(wanted.dtype, wanted.shape);
}

Value GraphMaker::tamed(Value v) {
  const DType dtype = type(v).dtype;
  if (options_.numbers == Numbers::wild || dtype == DType::boolean) return v;
  if (options_.numbers == Numbers::smooth) {
    return is_float(dtype) ? meta::unary(graph, UnaryOp::tanh, v) : v;
  }
  const double low = is_signed(dtype) ? -4 : 0;
  const Value above = meta::binary(graph, BinaryOp::maximum, v, meta::scalar_like(graph, v, low));
  return meta::binary(graph, BinaryOp::minimum, above, meta::scalar_like(graph, v, 4));
}

Value GraphMaker::index_tensor(const Shape& shape, int64_t limit) {
  const Value v = add_input(DType::i64, shape);
  pool_.pop_back();
  Array& array = inputs["x" + std::to_string(inputs.size() - 1)];
  for (int64_t i = 0; i < array.count(); ++i) {
    array.data<int64_t>()[i] = static_cast<int64_t>(below(static_cast<uint64_t>(limit) + 2)) - 1;
  }
  return v;
}

void GraphMaker::step() {
  const Value x = any();
  switch (below(24)) {
    case 0:
    case 1:
    case 2:
      return unary(x);
    case 3:
    case 4:
    case 5:
    case 6:
      return binary(x);
    case 7:
      return ternary(x);
    case 8:
      return cast(x);
    case 9:
      return broadcast(x);
    case 10:
    case 11:
    case 12:
      return reduce(x);
    case 13:
    case 14:
      return normalize(x);
    case 15:
    case 16:
      return reindex(x);
    case 17:
      return gather(x);
    case 18:
      return scatter(x);
    case 19:
      return concat(x);
    case 20:
      return chance(50) ? scan(x) : random_bits();
    case 21:
      return chance(30) ? sort(x) : chance(50) ? window_sum(x) : convolution();
    case 22:
    case 23:
      return contraction(x);
  }
}

void GraphMaker::unary(Value x) {
  const DType dtype = type(x).dtype;
  if (dtype == DType::boolean) return keep(meta::unary(graph, UnaryOp::logical_not, x));
  if (!is_float(dtype)) {
    const UnaryOp ops[] = {UnaryOp::neg, UnaryOp::abs, UnaryOp::bitwise_not, UnaryOp::sign};
    return keep(tamed(meta::unary(graph, ops[below(4)], x)));
  }
  const UnaryOp smooth[] = {UnaryOp::neg, UnaryOp::tanh, UnaryOp::sin,
                            UnaryOp::cos, UnaryOp::erf,  UnaryOp::abs};
  const UnaryOp exact[] = {UnaryOp::neg,   UnaryOp::abs,  UnaryOp::sign,
                           UnaryOp::floor, UnaryOp::ceil, UnaryOp::trunc};
  const UnaryOp wild[] = {UnaryOp::neg,  UnaryOp::exp,   UnaryOp::sqrt,  UnaryOp::rsqrt,
                          UnaryOp::log,  UnaryOp::log1p, UnaryOp::expm1, UnaryOp::round,
                          UnaryOp::sign, UnaryOp::tanh,  UnaryOp::log2,  UnaryOp::is_nan};
  switch (options_.numbers) {
    case Numbers::smooth:
      return keep(meta::unary(graph, smooth[below(6)], x));
    case Numbers::exact:
      return keep(meta::unary(graph, exact[below(6)], x));
    case Numbers::wild:
      return keep(meta::unary(graph, wild[below(12)], x));
  }
}

void GraphMaker::binary(Value x) {
  const Value y = like(type(x));
  const bool swap = chance(50);
  const Value a = swap ? y : x, b = swap ? x : y;
  const DType dtype = type(x).dtype;
  auto add = [&](BinaryOp op) { keep(tamed(meta::binary(graph, op, a, b))); };
  if (dtype == DType::boolean) {
    const BinaryOp ops[] = {BinaryOp::bit_and, BinaryOp::bit_or, BinaryOp::bit_xor, BinaryOp::eq};
    return add(ops[below(4)]);
  }
  if (options_.numbers == Numbers::smooth && is_float(dtype)) {
    const BinaryOp ops[] = {BinaryOp::add, BinaryOp::sub, BinaryOp::mul, BinaryOp::maximum};
    return add(ops[below(4)]);
  }
  if (options_.numbers == Numbers::wild && is_float(dtype)) {
    const BinaryOp ops[] = {BinaryOp::add, BinaryOp::sub,     BinaryOp::mul,     BinaryOp::div,
                            BinaryOp::pow, BinaryOp::maximum, BinaryOp::minimum, BinaryOp::atan2,
                            BinaryOp::mod, BinaryOp::eq,      BinaryOp::lt};
    return add(ops[below(11)]);
  }
  if (is_float(dtype)) {
    const BinaryOp ops[] = {BinaryOp::add,     BinaryOp::sub, BinaryOp::mul, BinaryOp::maximum,
                            BinaryOp::minimum, BinaryOp::eq,  BinaryOp::le};
    return add(ops[below(7)]);
  }
  const BinaryOp ops[] = {BinaryOp::add,    BinaryOp::sub, BinaryOp::mul,     BinaryOp::div,
                          BinaryOp::mod,    BinaryOp::eq,  BinaryOp::maximum, BinaryOp::le,
                          BinaryOp::bit_or, BinaryOp::ne};
  add(ops[below(10)]);
}

void GraphMaker::ternary(Value x) {
  const Value y = like(type(x));
  if (is_float(type(x).dtype) && chance(40)) return keep(tamed(meta::fma(graph, x, y, x)));
  keep(meta::select(graph, like({DType::boolean, type(x).shape}), x, y));
}

void GraphMaker::cast(Value x) {
  const DType from = type(x).dtype;
  // A float that may be out of range of an integer has no one answer.
  const bool to_any = options_.numbers == Numbers::exact || !is_float(from);
  if (options_.numbers == Numbers::smooth) {
    return keep(meta::cast(graph, x, from == DType::f32 ? DType::f64 : DType::f32));
  }
  const DType floats[] = {DType::f32, DType::f64, DType::bf16, DType::f16};
  keep(tamed(
      meta::cast(graph, x, to_any ? kAllDTypes[below(std::size(kAllDTypes))] : floats[below(4)])));
}

void GraphMaker::broadcast(Value x) {
  Shape shape = type(x).shape;
  std::vector<int64_t> axes = all_axes(shape.size());
  for (Expr& extent : shape) {
    if (extent.is_constant(1) && chance(50)) extent = random_extent();
  }
  if (shape.size() < 4 && chance(80)) {
    const uint64_t at = below(shape.size() + 1);
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(at), random_extent());
    for (int64_t& axis : axes) axis += axis >= static_cast<int64_t>(at);
  }
  if (fits(shape)) keep(meta::broadcast(graph, x, std::move(shape), std::move(axes)));
}

void GraphMaker::reduce(Value x) {
  const size_t rank = type(x).rank();
  std::vector<int64_t> axes;
  for (size_t i = 0; i < rank; ++i) {
    if (chance(50)) axes.push_back(static_cast<int64_t>(i));
  }
  if (axes.empty() && rank > 0) axes.push_back(static_cast<int64_t>(below(rank)));
  const DType dtype = type(x).dtype;
  bool empty = false;
  for (int64_t axis : axes) empty |= count({type(x).shape[static_cast<size_t>(axis)]}) == 0;
  if (dtype == DType::boolean) {
    const ReduceOp ops[] = {ReduceOp::any, ReduceOp::all};
    return keep(meta::reduce(graph, ops[below(2)], x, axes));
  }
  if (empty) return keep(meta::reduce(graph, ReduceOp::sum, x, axes));
  if (options_.numbers != Numbers::smooth && axes.size() == 1 && chance(25)) {
    const ReduceOp op = chance(50) ? ReduceOp::argmax : ReduceOp::argmin;
    return keep(meta::reduce(graph, op, x, axes));
  }
  const ReduceOp ops[] = {ReduceOp::sum, ReduceOp::sum, ReduceOp::max, ReduceOp::min,
                          ReduceOp::prod};
  const bool may_multiply = options_.numbers == Numbers::wild ||
                            (options_.numbers == Numbers::exact && is_integer(dtype));
  keep(tamed(meta::reduce(graph, ops[below(may_multiply ? 5 : 4)], x, axes)));
}

void GraphMaker::normalize(Value x) {
  const Type of = type(x);
  if (of.rank() == 0 || of.dtype == DType::boolean || count(of.shape) == 0) return;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < of.rank(); ++i) {
    if (chance(40)) axes.push_back(static_cast<int64_t>(i));
  }
  if (axes.empty()) axes.push_back(static_cast<int64_t>(of.rank()) - 1);
  const ReduceOp op = chance(50) ? ReduceOp::max : ReduceOp::sum;
  const Value total = tamed(meta::reduce(graph, op, x, axes));
  if (chance(50)) keep(total);
  const Value back = meta::restore_axes(graph, total, of.shape, axes);
  keep(tamed(meta::binary(graph, chance(50) ? BinaryOp::sub : BinaryOp::mul, x, back)));
}

void GraphMaker::reindex(Value x) {
  const Type of = type(x);
  Shape shape = of.shape;
  if (shape.empty()) return;
  std::vector<Expr> map = identity_map(shape.size());
  const auto k = static_cast<uint32_t>(below(shape.size()));
  const Expr v = Expr::variable(k);
  switch (below(8)) {
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
    case 3: {  // every other one, or a slice
      if (shape[k].constant().value_or(0) < 2) return;
      const bool strided = chance(50);
      map[k] = strided ? 2 * v : v + 1;
      shape[k] = strided ? ceil_div(shape[k], 2) : shape[k] - 1;
      break;
    }
    case 4: {  // join all axes
      std::vector<Expr> joined;
      Expr rest = Expr::variable(0);
      for (size_t i = shape.size(); i-- > 0;) {
        if (count({shape[i]}) == 0) return;
        joined.insert(joined.begin(), i == 0 ? rest : mod(rest, shape[i]));
        rest = floor_div(rest, shape[i]);
      }
      map = joined;
      shape = {element_count(of.shape)};
      break;
    }
    case 5: {  // split an axis in two
      const std::optional<int64_t> extent = shape[k].constant();
      if (!extent || shape.size() > 3) return;
      int64_t factor = 0;
      for (int64_t f : {2, 3, 4, 5, 7, 8, 11, 13}) {
        if (*extent > f && *extent % f == 0) factor = f;
      }
      if (factor == 0) return;
      shape[k] = *extent / factor;
      shape.insert(shape.begin() + k + 1, Expr(factor));
      for (uint32_t i = k + 1; i < map.size(); ++i) map[i] = Expr::variable(i + 1);
      map[k] = factor * v + Expr::variable(k + 1);
      break;
    }
    case 6:  // windows
      if (shape.size() > 3) return;
      shape.push_back(2);
      map[k] = v + Expr::variable(static_cast<uint32_t>(shape.size() - 1)) - 1;
      break;
    case 7:  // a diagonal that runs along two axes
      if (shape.size() < 2 || k == 0 || !(shape[k] == shape[0])) return;
      map[0] = v;
      break;
  }
  if (!fits(shape)) return;
  const double fill = options_.numbers == Numbers::smooth ? 0.5 : static_cast<double>(below(3));
  keep(meta::reindex(graph, x, shape, map, Scalar(of.dtype, fill)));
}

void GraphMaker::gather(Value x) {
  const Type of = type(x);
  if (of.rank() == 0) return;
  Shape shape = of.shape;
  const auto k = static_cast<uint32_t>(below(shape.size()));
  std::vector<Expr> map = identity_map(shape.size());
  const int64_t limit = count({shape[k]});
  const Expr rows = random_extent();
  // By an index per position along the axis, or per element.
  const bool each = chance(30);
  shape[k] = rows;
  if (!fits(shape)) return;
  const Value index = index_tensor(each ? shape : Shape{rows}, limit);
  map[k] =
      Expr::element(0, each ? identity_map(shape.size()) : std::vector<Expr>{Expr::variable(k)});
  keep(meta::reindex(graph, x, shape, map, Scalar(of.dtype, 1.0), {index}));
}

void GraphMaker::scatter(Value x) {
  const Type of = type(x);
  if (of.rank() == 0 || of.dtype == DType::boolean) return;
  const auto k = static_cast<uint32_t>(below(of.rank()));
  Shape shape = of.shape;
  shape[k] = random_extent();
  if (!fits(shape)) return;
  const Value updates = like({of.dtype, shape});
  std::vector<Expr> map = identity_map(of.rank());
  std::vector<Value> indices;
  if (chance(70)) {
    indices = {index_tensor({shape[k]}, count({of.shape[k]}))};
    map[k] = Expr::element(0, {Expr::variable(k)});
  } else {
    map[k] = chance(50) ? Expr::variable(k) + 1 : 2 * Expr::variable(k);
  }
  if (chance(30)) return keep(meta::scatter_replace(graph, x, updates, map, indices));
  const ReduceOp ops[] = {ReduceOp::sum, ReduceOp::max, ReduceOp::min};
  keep(tamed(meta::scatter(graph, ops[below(3)], x, updates, map, indices)));
}

void GraphMaker::concat(Value x) {
  const Type of = type(x);
  if (of.rank() == 0) return;
  const size_t axis = below(of.rank());
  Shape shape = of.shape;
  shape[axis] = chance(50) ? shape[axis] : random_extent();
  if (count(of.shape) * 2 + count(shape) > most_elements_) return;
  const Value y = like({of.dtype, shape});
  keep(meta::concat(graph, {x, y, x}, static_cast<int64_t>(axis)));
}

void GraphMaker::scan(Value x) {
  const Type of = type(x);
  if (of.rank() == 0 || of.dtype == DType::boolean) return;
  const ReduceOp ops[] = {ReduceOp::sum, ReduceOp::max, ReduceOp::min};
  keep(tamed(
      meta::scan(graph, ops[below(3)], x, static_cast<int64_t>(below(of.rank())), chance(50))));
}

void GraphMaker::sort(Value x) {
  if (type(x).rank() == 0 || options_.numbers == Numbers::smooth) return;
  keep(meta::sort(graph, x, static_cast<int64_t>(below(type(x).rank())), chance(50)));
}

void GraphMaker::random_bits() {
  if (options_.gradients) return;
  const Value key = index_tensor({2}, 1000);
  const Value bits = meta::random(graph, key, random_shape(), salt_++);
  const Value few =
      meta::binary(graph, BinaryOp::shift_right, bits, meta::scalar_like(graph, bits, 30));
  keep(meta::cast(graph, few, DType::f32));
}

// sum over k of x[.., k] * y[k, ..], in random orders of axes, sometimes with a batch axis.
void GraphMaker::contraction(Value x) {
  const Type of = type(x);
  if (of.rank() == 0 || of.rank() > 3 || of.dtype == DType::boolean) return;
  const size_t k = below(of.rank());
  const Expr n = random_extent();
  // y has the summed axis, n, and perhaps one of x's other axes.
  std::vector<size_t> shared = {k};
  if (of.rank() > 1 && chance(40)) {
    const size_t batch = below(of.rank());
    if (batch != k) shared.push_back(batch);
  }
  std::shuffle(shared.begin(), shared.end(), random_);
  Shape y_shape;
  for (size_t axis : shared) y_shape.push_back(of.shape[axis]);
  const size_t place_of_n = below(y_shape.size() + 1);
  y_shape.insert(y_shape.begin() + static_cast<std::ptrdiff_t>(place_of_n), n);
  Shape whole = of.shape;
  whole.push_back(n);
  Shape result = whole;
  result.erase(result.begin() + static_cast<std::ptrdiff_t>(k));
  if (!fits(y_shape) || !fits(result) || count(whole) > 30 * most_elements_) return;
  const Value y = like({of.dtype, y_shape});
  std::vector<int64_t> y_axes;
  for (size_t axis : shared) y_axes.push_back(static_cast<int64_t>(axis));
  y_axes.insert(y_axes.begin() + static_cast<std::ptrdiff_t>(place_of_n),
                static_cast<int64_t>(of.rank()));
  // Broadcast takes axes in order: transpose first.
  std::vector<int64_t> order(y_axes.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return y_axes[static_cast<size_t>(a)] < y_axes[static_cast<size_t>(b)];
  });
  std::sort(y_axes.begin(), y_axes.end());
  const Value y_ordered = meta::transpose(graph, y, order);
  const DType wide = compute_type(of.dtype);
  const Value left = meta::cast(graph, meta::broadcast(graph, x, whole, all_axes(of.rank())), wide);
  const Value right = meta::cast(graph, meta::broadcast(graph, y_ordered, whole, y_axes), wide);
  const Value product = meta::binary(graph, BinaryOp::mul, left, right);
  const Value total = meta::reduce(graph, ReduceOp::sum, product, {static_cast<int64_t>(k)});
  keep(tamed(meta::cast(graph, total, of.dtype)));
}

// A convolution without channels: a sum over windows, weighted or not.
void GraphMaker::window_sum(Value x) {
  const Type of = type(x);
  if (of.rank() == 0 || of.rank() > 3 || of.dtype == DType::boolean) return;
  const auto k = static_cast<uint32_t>(below(of.rank()));
  Shape shape = of.shape;
  const int64_t width = 2 + static_cast<int64_t>(below(2));
  shape.push_back(width);
  if (!fits(shape)) return;
  std::vector<Expr> map = identity_map(of.rank());
  const auto rank = static_cast<int64_t>(of.rank());
  map[k] = Expr::variable(k) + Expr::variable(static_cast<uint32_t>(rank)) - 1;
  Value windows = meta::reindex(graph, x, shape, map, Scalar(of.dtype, 0.0));
  if (chance(50)) {
    const Value weights = like({of.dtype, {Expr(width)}});
    windows =
        meta::binary(graph, BinaryOp::mul, windows, meta::broadcast(graph, weights, shape, {rank}));
  }
  keep(tamed(meta::reduce(graph, chance(70) ? ReduceOp::sum : ReduceOp::max, windows, {rank})));
}

// With channels, sometimes in groups, over one axis or two; channels before or after the positions.
void GraphMaker::convolution() {
  const DType dtype = random_dtype();
  if (dtype == DType::boolean) return;
  const bool grouped = chance(25), channels_last = chance(30);
  const auto number = [&](uint64_t most) { return static_cast<int64_t>(1 + below(most)); };
  const int64_t channels = number(4), outputs = number(20), groups = grouped ? 2 : 1;
  struct Axis {
    int64_t size, kernel, stride, dilation, padding;
  };
  std::vector<Axis> axes;
  Shape image, positions, taps;
  for (uint64_t i = 1 + below(2); i > 0; --i) {
    Axis axis{number(20), number(3), number(3), number(2), static_cast<int64_t>(below(3))};
    const int64_t reach = axis.dilation * (axis.kernel - 1) + 1;
    axis.size = std::max(axis.size, reach);
    image.push_back(axis.size);
    positions.push_back((axis.size + 2 * axis.padding - reach) / axis.stride + 1);
    taps.push_back(axis.kernel);
    axes.push_back(axis);
  }
  // x: batch, group, channels and positions; what it is read as: batch, group, outputs, positions,
  // channels, taps.
  const Expr batch = chance(30) ? random_extent() : Expr(number(3));
  Shape of = {batch, Expr(groups)};
  if (!channels_last) of.push_back(channels);
  of.insert(of.end(), image.begin(), image.end());
  if (channels_last) of.push_back(channels);
  Shape whole = {batch, Expr(groups), Expr(outputs)};
  whole.insert(whole.end(), positions.begin(), positions.end());
  whole.push_back(channels);
  whole.insert(whole.end(), taps.begin(), taps.end());
  Shape weight_shape = {Expr(groups), Expr(outputs), Expr(channels)};
  weight_shape.insert(weight_shape.end(), taps.begin(), taps.end());
  if (!fits(of) || count(whole) > 30 * most_elements_) return;

  const auto first_tap = static_cast<uint32_t>(4 + axes.size());
  const Expr channel = Expr::variable(first_tap - 1);
  std::vector<Expr> map = {Expr::variable(0), Expr::variable(1)};
  if (!channels_last) map.push_back(channel);
  std::vector<int64_t> weight_axes = {1, 2, first_tap - 1}, reduced = {first_tap - 1};
  for (uint32_t i = 0; i < axes.size(); ++i) {
    map.push_back(axes[i].stride * Expr::variable(3 + i) +
                  axes[i].dilation * Expr::variable(first_tap + i) - axes[i].padding);
    weight_axes.push_back(first_tap + i);
    reduced.push_back(first_tap + i);
  }
  if (channels_last) map.push_back(channel);
  const DType wide = compute_type(dtype);
  const Value x = meta::cast(graph, like({dtype, of}), wide);
  const Value weights = meta::cast(graph, like({dtype, weight_shape}), wide);
  // Without the axis of the outputs, which only the weights know.
  Shape seen = whole;
  seen.erase(seen.begin() + 2);
  std::vector<Expr> seen_map;
  for (Expr e : map) {
    Substitution shifted;
    for (uint32_t k = 3; k < whole.size(); ++k) shifted.emplace(k, Expr::variable(k - 1));
    seen_map.push_back(substitute(e, shifted));
  }
  const Value windows = meta::reindex(graph, x, seen, seen_map, Scalar(wide, 0.0));
  std::vector<int64_t> seen_axes;
  for (int64_t k = 0; k < static_cast<int64_t>(whole.size()); ++k) {
    if (k != 2) seen_axes.push_back(k);
  }
  const Value product =
      meta::binary(graph, BinaryOp::mul, meta::broadcast(graph, windows, whole, seen_axes),
                   meta::broadcast(graph, weights, whole, weight_axes));
  keep(tamed(meta::cast(graph, meta::reduce(graph, ReduceOp::sum, product, reduced), dtype)));
}

void GraphMaker::add_gradients() {
  Value y = kNoValue;
  for (int i = 0; i < 50 && y == kNoValue; ++i) {
    const Value v = any();
    if (is_float(type(v).dtype)) y = v;
  }
  if (y == kNoValue) return;
  const Value loss = meta::reduce(graph, ReduceOp::sum, meta::unary(graph, UnaryOp::sin, y),
                                  all_axes(type(y).rank()));
  std::vector<Value> wrt;
  for (Value v = 0; v < graph.size() && wrt.size() < 3; ++v) {
    if (graph.node(v).op == MetaOp::input && is_float(type(v).dtype)) wrt.push_back(v);
  }
  for (Value v : gradients(graph, loss, wrt)) graph.add_output("gradient", v);
}

namespace {

Graph copied(const Graph& graph) {
  return rewrite_graph(graph, [](Graph&, const Node&, std::span<const Value>) { return kNoValue; });
}

Graph with_one_output(const Graph& graph, Value output) {
  Graph result;
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    // Nothing merges or vanishes, so values keep their numbers.
    result.add(node.op, node.operands, node.attributes, node.type);
  }
  result.add_output("y", output);
  return copied(result);
}

Failure with_input_for(const Failure& failure, Value cut, const Array& value) {
  const std::string name = "cut" + std::to_string(cut);
  Failure result{copied(rewrite_graph(failure.graph,
                                      [&](Graph& g, const Node& node, std::span<const Value>) {
                                        return &node == &failure.graph.node(cut)
                                                   ? meta::input(g, name, node.type)
                                                   : kNoValue;
                                      })),
                 {}};
  for (Value v = 0; v < result.graph.size(); ++v) {
    const Node& node = result.graph.node(v);
    if (node.op != MetaOp::input) continue;
    const std::string& input = node.attributes.name;
    result.inputs[input] = input == name ? value : failure.inputs.at(input);
  }
  return result;
}

}  // namespace

Failure reduced(Failure failure, const std::function<bool(const Failure&)>& fails) {
  for (const Output& output : failure.graph.outputs()) {
    if (failure.graph.outputs().size() == 1) break;
    Failure candidate{with_one_output(failure.graph, output.value), failure.inputs};
    if (!fails(candidate)) continue;
    failure = std::move(candidate);
    break;
  }
  for (bool changed = true; changed;) {
    changed = false;
    Graph all = failure.graph;
    const size_t first = all.outputs().size();
    for (Value v = 0; v < all.size(); ++v) all.add_output("all", v);
    const std::vector<Array> values = evaluate(all, failure.inputs).outputs;
    for (size_t i = failure.graph.size(); i-- > 0 && !changed;) {
      const auto v = static_cast<Value>(i);
      const MetaOp op = failure.graph.node(v).op;
      if (op == MetaOp::input || op == MetaOp::constant) continue;
      Failure candidate = with_input_for(failure, v, values[first + i]);
      if (candidate.graph.size() >= failure.graph.size() || !fails(candidate)) continue;
      failure = std::move(candidate);
      changed = true;
    }
  }
  return failure;
}

}  // namespace plait::testing
