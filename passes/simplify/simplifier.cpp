#include "passes/simplify/simplifier.h"

#include "core/error.h"

namespace plait {

Value Simplifier::make(MetaOp op, std::vector<Value> operands, Attributes attributes, Type result) {
  const auto rule = [&]() -> Rule {
    if (Rule folded = fold(op, operands, attributes, result)) return folded;
    switch (op) {
      case MetaOp::input:
      case MetaOp::parameter:
      case MetaOp::iota:
      case MetaOp::random:
      case MetaOp::assign:
        return std::nullopt;
      case MetaOp::constant:
        return constant_rule(attributes, result);
      case MetaOp::size:
        if (const auto value = attributes.size.constant()) {
          return meta::constant(g, Scalar(DType::i64, *value));
        }
        return std::nullopt;
      case MetaOp::unary:
        return unary_rule(static_cast<UnaryOp>(attributes.function), operands[0]);
      case MetaOp::binary:
        return binary_rule(static_cast<BinaryOp>(attributes.function), operands[0], operands[1]);
      case MetaOp::fma:
        return fma_rule(operands[0], operands[1], operands[2]);
      case MetaOp::select:
        return select_rule(operands[0], operands[1], operands[2]);
      case MetaOp::cast:
        return cast_rule(operands[0], result.dtype);
      case MetaOp::detach:
        return operands[0];
      case MetaOp::broadcast:
        return broadcast_rule(operands[0], attributes, result);
      case MetaOp::reduce:
        return reduce_rule(operands[0], attributes, result);
      case MetaOp::reindex:
        return reindex_rule(operands, attributes, result);
      case MetaOp::scatter:
        return scatter_rule(operands, attributes, result);
      case MetaOp::concat:
        return concat_rule(operands, attributes, result);
      case MetaOp::scan:
        return scan_rule(operands[0], attributes, result);
      case MetaOp::sort:
        return sort_rule(operands[0], attributes, result);
    }
    PLAIT_UNREACHABLE("meta-op {}", static_cast<int>(op));
  };
  if (const Rule simpler = rule()) return *simpler;
  if (const Rule earlier = before_broadcast(op, operands, attributes, result)) return *earlier;
  return g.add(op, std::move(operands), std::move(attributes), std::move(result));
}

Value Simplifier::unary(UnaryOp op, Value x) {
  Attributes a;
  a.function = static_cast<uint8_t>(op);
  const Type type = type_of(x);
  return make(MetaOp::unary, {x}, std::move(a),
              {op == UnaryOp::is_nan ? DType::boolean : type.dtype, type.shape});
}

Value Simplifier::binary(BinaryOp op, Value x, Value y) {
  Attributes a;
  a.function = static_cast<uint8_t>(op);
  const bool comparison =
      op == BinaryOp::eq || op == BinaryOp::ne || op == BinaryOp::lt || op == BinaryOp::le;
  const Type type = type_of(x);
  return make(MetaOp::binary, {x, y}, std::move(a),
              {comparison ? DType::boolean : type.dtype, type.shape});
}

Value Simplifier::select(Value condition, Value yes, Value no) {
  return make(MetaOp::select, {condition, yes, no}, {},
              {type_of(yes).dtype, type_of(condition).shape});
}

Value Simplifier::cast(Value x, DType dtype) {
  if (type_of(x).dtype == dtype) return x;
  return make(MetaOp::cast, {x}, {}, {dtype, type_of(x).shape});
}

Value Simplifier::broadcast(Value x, Shape shape, std::vector<int64_t> axes) {
  Attributes a;
  a.axes = std::move(axes);
  return make(MetaOp::broadcast, {x}, std::move(a), {type_of(x).dtype, std::move(shape)});
}

Value Simplifier::reduce(ReduceOp op, Value x, std::vector<int64_t> axes) {
  Attributes a;
  a.function = static_cast<uint8_t>(op);
  const Type type = type_of(x);
  Shape shape;
  for (size_t i = 0, next = 0; i < type.rank(); ++i) {
    if (next < axes.size() && axes[next] == static_cast<int64_t>(i)) {
      ++next;
    } else {
      shape.push_back(type.shape[i]);
    }
  }
  const bool position = op == ReduceOp::argmax || op == ReduceOp::argmin;
  a.axes = std::move(axes);
  return make(MetaOp::reduce, {x}, std::move(a),
              {position ? DType::i64 : type.dtype, std::move(shape)});
}

Value Simplifier::reindex(std::vector<Value> operands, Shape shape, std::vector<Expr> map,
                          Scalar fill, OutOfRange policy) {
  Attributes a;
  a.map = std::move(map);
  a.fill = fill;
  a.out_of_range = policy;
  const DType dtype = type_of(operands[0]).dtype;
  return make(MetaOp::reindex, std::move(operands), std::move(a), {dtype, std::move(shape)});
}

Value Simplifier::uniform(Scalar value, Shape shape) {
  return meta::broadcast_scalar(g, meta::constant(g, value), std::move(shape));
}

std::optional<Scalar> Simplifier::uniform_of(Value v) const {
  const Node* n = &node(v);
  if (n->op == MetaOp::broadcast) n = &node(n->operands[0]);
  if (n->op != MetaOp::constant || n->type.rank() != 0) return std::nullopt;
  return Scalar::load(n->type.dtype, n->attributes.data->data());
}

bool Simplifier::is_uniform(Value v, double value) const {
  const std::optional<Scalar> scalar = uniform_of(v);
  return scalar && *scalar == Scalar(scalar->dtype(), value);
}

Ranges ranges_of(const Shape& shape) {
  Ranges ranges;
  for (uint32_t i = 0; i < shape.size(); ++i) ranges.set(i, shape[i]);
  return ranges;
}

std::vector<bool> entries_inside(const std::vector<Expr>& map, const Shape& extents,
                                 const Ranges& ranges) {
  std::vector<bool> inside;
  for (size_t i = 0; i < map.size(); ++i) {
    inside.push_back(prove_less(-1, map[i], ranges) == true &&
                     prove_less(map[i], extents[i], ranges) == true);
  }
  return inside;
}

bool all_of(const std::vector<bool>& flags) {
  for (bool flag : flags) {
    if (!flag) return false;
  }
  return true;
}

std::vector<Expr> identity_map(size_t rank) {
  std::vector<Expr> map;
  for (uint32_t i = 0; i < rank; ++i) map.push_back(Expr::variable(i));
  return map;
}

Expr renumber_elements(Expr e, uint32_t offset) {
  if (offset == 0) return e;
  return replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
    return Expr::element(tensor + offset, {indices.begin(), indices.end()});
  });
}

}  // namespace plait
