// Constant folding. Only what every backend computes to the same bits is folded.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/rules/evaluate.h"
#include "passes/simplify/simplifier.h"

namespace plait {
namespace {

constexpr int64_t kMostElements = 64;

bool is_exact(UnaryOp op) {
  switch (op) {
    case UnaryOp::neg:
    case UnaryOp::abs:
    case UnaryOp::sign:
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc:
    case UnaryOp::sqrt:
    case UnaryOp::logical_not:
    case UnaryOp::bitwise_not:
    case UnaryOp::is_nan:
      return true;
    case UnaryOp::rsqrt:
    case UnaryOp::exp:
    case UnaryOp::expm1:
    case UnaryOp::log:
    case UnaryOp::log1p:
    case UnaryOp::log2:
    case UnaryOp::sin:
    case UnaryOp::cos:
    case UnaryOp::tanh:
    case UnaryOp::erf:
      return false;
  }
  PLAIT_UNREACHABLE("unary {}", static_cast<int>(op));
}

bool is_exact(BinaryOp op, DType dtype) {
  if (op == BinaryOp::pow || op == BinaryOp::atan2) return false;
  return op != BinaryOp::mod || !is_float(dtype);
}

// Whether the order of combination can't matter.
bool is_exact(ReduceOp op, DType dtype) {
  return !is_float(dtype) || (op != ReduceOp::sum && op != ReduceOp::prod);
}

bool is_foldable(MetaOp op, const Attributes& a, DType dtype) {
  switch (kind_of(op)) {
    case OpKind::elementwise:
      if (op == MetaOp::unary) return is_exact(static_cast<UnaryOp>(a.function));
      return op != MetaOp::binary || is_exact(static_cast<BinaryOp>(a.function), dtype);
    case OpKind::movement:
      // A broadcast constant is as good as a constant.
      return op != MetaOp::broadcast && a.out_of_range == OutOfRange::fill;
    case OpKind::reduction:
    case OpKind::whole: {
      using enum AttributeField;
      const bool combines = has_attribute(op, {reduce_function, reduce_function_or_replace});
      return a.out_of_range == OutOfRange::fill &&
             (!combines || a.replace || is_exact(static_cast<ReduceOp>(a.function), dtype));
    }
    case OpKind::join:
      return true;
    case OpKind::source:
    case OpKind::generated:
    case OpKind::state:
      return false;
  }
  PLAIT_UNREACHABLE("meta-op {}", name_of(op));
}

// Nothing if an extent is a symbol, even beside a 0.
std::optional<int64_t> count_of(const Shape& shape) {
  const bool known = std::ranges::all_of(shape, [](Expr e) { return e.constant().has_value(); });
  return known ? element_count(shape).constant() : std::nullopt;
}

}  // namespace

Simplifier::Rule Simplifier::fold(MetaOp op, const std::vector<Value>& operands,
                                  const Attributes& a, const Type& type) {
  if (operands.empty() || !is_foldable(op, a, type_of(operands[0]).dtype)) return std::nullopt;
  bool all_uniform = true;
  for (Value v : operands) {
    const bool broadcast_constant =
        is(v, MetaOp::broadcast) && is(node(v).operands[0], MetaOp::constant);
    if (!is(v, MetaOp::constant) && !broadcast_constant) return std::nullopt;
    const auto count = count_of(type_of(v).shape);
    if (!count || *count > kMostElements) {
      // A broadcast is read, never expanded; only elementwise operations do without.
      if (!broadcast_constant || !is_elementwise(op)) return std::nullopt;
    }
    all_uniform = all_uniform && uniform_of(v).has_value();
  }
  const auto count = count_of(type.shape);
  const bool scalar = all_uniform && is_elementwise(op);
  if (!scalar && (!count || *count > kMostElements)) return std::nullopt;
  Graph small;
  std::vector<Value> copies;
  for (Value v : operands) {
    if (scalar) {
      copies.push_back(meta::constant(small, *uniform_of(v)));
      continue;
    }
    const bool broadcast = is(v, MetaOp::broadcast);
    const Node& source = node(broadcast ? node(v).operands[0] : v);
    Value copy = small.add(MetaOp::constant, {}, source.attributes, source.type);
    if (broadcast) {
      copy = small.add(MetaOp::broadcast, {copy}, node(v).attributes, type_of(v));
    }
    copies.push_back(copy);
  }
  small.add_output("folded",
                   small.add(op, std::move(copies), a, scalar ? Type{type.dtype, {}} : type));
  const Array result = evaluate(small, {}).outputs[0];
  if (scalar) return uniform(result.at(0), type.shape);
  const Value constant = meta::constant(g, type, {result.data<std::byte>(), result.bytes()});
  return constant_rule(node(constant).attributes, type).value_or(constant);
}

// A tensor of equal elements is a broadcast scalar.
Simplifier::Rule Simplifier::constant_rule(const Attributes& a, const Type& type) {
  const size_t size = dtype_size(type.dtype);
  const std::vector<std::byte>& data = *a.data;
  if (type.rank() == 0 || data.empty()) return std::nullopt;
  for (size_t i = size; i < data.size(); i += size) {
    if (std::memcmp(&data[0], &data[i], size) != 0) return std::nullopt;
  }
  const Value scalar = meta::constant(g, {type.dtype, {}}, std::span(data).first(size));
  return meta::broadcast_scalar(g, scalar, type.shape);
}

// n * c for the sum of n equal elements, where every partial sum is exact in any order.
Simplifier::Rule Simplifier::fold_uniform_sum(const std::vector<Value>& operands,
                                              const Attributes& a, const Type& type) {
  const std::optional<Scalar> value = uniform_of(operands[0]);
  if (!value) return std::nullopt;
  const Shape shape = type_of(operands[0]).shape;
  Expr count = 1;
  for (int64_t axis : a.axes) count = count * shape[axis];
  const auto n = count.constant();
  if (!n) return std::nullopt;
  if (!is_float(type.dtype)) {
    const auto product = static_cast<uint64_t>(value->as_int()) * static_cast<uint64_t>(*n);
    return uniform(Scalar(type.dtype, static_cast<int64_t>(product)), type.shape);
  }
  const double element = value->as_double();
  const double exact_below = type.dtype == DType::f64 ? 0x1p53 : 0x1p24;
  const bool whole = std::trunc(element) == element && !std::signbit(element);
  const double total = element * static_cast<double>(*n);
  if (!whole || !(total <= exact_below)) return std::nullopt;
  return uniform(Scalar(type.dtype, total), type.shape);
}

}  // namespace plait
