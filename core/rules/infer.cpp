#include "core/rules/infer.h"

#include <algorithm>

#include "core/error.h"
#include "core/index/simplify.h"
#include "core/slot.h"

namespace plait {
namespace {

// One application of the rule: the operands, and the words for its errors.
class Inference {
 public:
  Inference(MetaOp op, std::span<const Type> operands, const Attributes& attributes,
            const Type& result, std::vector<SizeGuard>& guards)
      : op_(op),
        operands_(operands),
        attributes_(attributes),
        result_(result),
        guards_(guards),
        name_(OpName::current().empty() ? name_of(op) : OpName::current()) {}

  Type run();

 private:
  const Type& a() const { return operands_[0]; }

  void count(size_t expected) const {
    PLAIT_CHECK(operands_.size() == expected, name_, "expects {} operands; got {}", expected,
                operands_.size());
  }
  void axis_in(int64_t axis, size_t rank) const {
    PLAIT_CHECK(axis >= 0 && axis < static_cast<int64_t>(rank), name_,
                "axis out of range; got axis {} for {} of rank {}", axis, to_string(a()), rank);
  }
  void same_dtype(const Type& x, const Type& y) const {
    PLAIT_CHECK(x.dtype == y.dtype, name_,
                "operands must have one dtype; got a: {}, b: {}; {} != {}. hint: cast one of them",
                to_string(x), to_string(y), dtype_name(x.dtype), dtype_name(y.dtype));
  }
  // Equal, or a guard; `what` names the axis.
  void equal_size(Expr x, Expr y, const Type& left, const Type& right, size_t axis) const {
    if (x == y) return;
    const std::optional<bool> proof = prove_equal(x, y, {});
    if (proof == true) return;
    std::string message =
        fmt::format("[{}] sizes must agree; got a: {}, b: {}; axis {}: {} != {}", name_,
                    to_string(left), to_string(right), axis, to_string(x), to_string(y));
    if (proof == false) throw UserError(message);
    guards_.push_back({x, y, std::move(message)});
  }
  void same_shape(const Type& x, const Type& y) const {
    PLAIT_CHECK(x.rank() == y.rank(), name_,
                "operands must have one shape; got a: {}, b: {}; rank {} != {}", to_string(x),
                to_string(y), x.rank(), y.rank());
    for (size_t i = 0; i < x.rank(); ++i) equal_size(x.shape[i], y.shape[i], x, y, i);
  }

  Type unary() const;
  Type binary() const;
  Type broadcast() const;
  Type reduce() const;
  Type reindex() const;
  Type scatter() const;
  Type concat() const;
  Type constant() const;
  void check_map(const std::vector<Expr>& map, size_t variables, size_t first_index) const;

  MetaOp op_;
  std::span<const Type> operands_;
  const Attributes& attributes_;
  const Type& result_;
  std::vector<SizeGuard>& guards_;
  std::string_view name_;
};

Type Inference::run() {
  switch (op_) {
    case MetaOp::input:
      count(0);
      PLAIT_CHECK(!attributes_.name.empty(), name_, "an input needs a name");
      return result_;
    case MetaOp::parameter:
      count(0);
      return attributes_.slot->type();
    case MetaOp::constant:
      return constant();
    case MetaOp::iota:
      count(0);
      PLAIT_CHECK(result_.dtype != DType::boolean, name_, "dtype must be a number; got bool");
      axis_in(attributes_.axes.at(0), result_.rank());
      return result_;
    case MetaOp::size:
      count(0);
      return {DType::i64, {}};
    case MetaOp::random:
      count(1);
      PLAIT_CHECK(a().dtype == DType::i64 && a().shape == Shape{2}, name_,
                  "the key must be i64[2] (seed, step); got {}", to_string(a()));
      return {DType::u32, result_.shape};
    case MetaOp::unary:
      return unary();
    case MetaOp::binary:
      return binary();
    case MetaOp::fma:
      count(3);
      for (int i : {1, 2}) {
        same_dtype(a(), operands_[i]);
        same_shape(a(), operands_[i]);
      }
      return a();
    case MetaOp::select:
      count(3);
      PLAIT_CHECK(a().dtype == DType::boolean, name_, "the condition must be bool; got {}",
                  to_string(a()));
      same_dtype(operands_[1], operands_[2]);
      same_shape(a(), operands_[1]);
      same_shape(a(), operands_[2]);
      return {operands_[1].dtype, a().shape};
    case MetaOp::cast:
      count(1);
      return {result_.dtype, a().shape};
    case MetaOp::detach:
      count(1);
      return a();
    case MetaOp::broadcast:
      return broadcast();
    case MetaOp::reduce:
      return reduce();
    case MetaOp::reindex:
      return reindex();
    case MetaOp::scatter:
      return scatter();
    case MetaOp::concat:
      return concat();
    case MetaOp::scan:
      count(1);
      axis_in(attributes_.axes.at(0), a().rank());
      return a();
    case MetaOp::sort:
      count(1);
      axis_in(attributes_.axes.at(0), a().rank());
      return {DType::i64, a().shape};
    case MetaOp::assign:
      count(1);
      PLAIT_CHECK(a() == attributes_.slot->type(), name_,
                  "a slot keeps its type; got {} for slot '{}': {}", to_string(a()),
                  attributes_.slot->name(), to_string(attributes_.slot->type()));
      return a();
  }
  PLAIT_UNREACHABLE("meta-op {}", static_cast<int>(op_));
}

Type Inference::unary() const {
  count(1);
  const DType dtype = a().dtype;
  const auto function = static_cast<UnaryOp>(attributes_.function);
  auto require = [&](bool holds, const char* rule) {
    PLAIT_CHECK(holds, name_, "{} needs {}; got {}. hint: cast it first", name_of(function), rule,
                to_string(a()));
  };
  switch (function) {
    case UnaryOp::neg:
    case UnaryOp::abs:
    case UnaryOp::sign:
      require(dtype != DType::boolean, "a number");
      return a();
    case UnaryOp::floor:
    case UnaryOp::ceil:
    case UnaryOp::round:
    case UnaryOp::trunc:
    case UnaryOp::sqrt:
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
      require(is_float(dtype), "a float");
      return a();
    case UnaryOp::logical_not:
      require(dtype == DType::boolean, "a bool");
      return a();
    case UnaryOp::bitwise_not:
      require(is_integer(dtype), "an integer");
      return a();
    case UnaryOp::is_nan:
      require(is_float(dtype), "a float");
      return {DType::boolean, a().shape};
  }
  PLAIT_UNREACHABLE("unary {}", attributes_.function);
}

Type Inference::binary() const {
  count(2);
  same_dtype(a(), operands_[1]);
  same_shape(a(), operands_[1]);
  const DType dtype = a().dtype;
  const auto function = static_cast<BinaryOp>(attributes_.function);
  auto require = [&](bool holds, const char* rule) {
    PLAIT_CHECK(holds, name_, "{} needs {}; got {}. hint: cast them first", name_of(function), rule,
                to_string(a()));
  };
  switch (function) {
    case BinaryOp::add:
    case BinaryOp::sub:
    case BinaryOp::mul:
    case BinaryOp::div:
    case BinaryOp::mod:
      require(dtype != DType::boolean, "numbers");
      return a();
    case BinaryOp::maximum:
    case BinaryOp::minimum:
      return a();
    case BinaryOp::pow:
    case BinaryOp::atan2:
      require(is_float(dtype), "floats");
      return a();
    case BinaryOp::eq:
    case BinaryOp::ne:
    case BinaryOp::lt:
    case BinaryOp::le:
      return {DType::boolean, a().shape};
    case BinaryOp::bit_and:
    case BinaryOp::bit_or:
    case BinaryOp::bit_xor:
      require(!is_float(dtype), "integers or bools");
      return a();
    case BinaryOp::shift_left:
    case BinaryOp::shift_right:
      require(is_integer(dtype), "integers");
      return a();
  }
  PLAIT_UNREACHABLE("binary {}", attributes_.function);
}

Type Inference::constant() const {
  count(0);
  const std::optional<int64_t> elements = element_count(result_.shape).constant();
  PLAIT_CHECK(elements.has_value(), name_, "a constant needs fixed sizes; got {}",
              to_string(result_));
  const size_t expected = static_cast<size_t>(*elements) * dtype_size(result_.dtype);
  PLAIT_CHECK(attributes_.data && attributes_.data->size() == expected, name_,
              "{} needs {} bytes; got {}", to_string(result_), expected,
              attributes_.data ? attributes_.data->size() : 0);
  return result_;
}

Type Inference::broadcast() const {
  count(1);
  PLAIT_CHECK(attributes_.axes.size() == a().rank(), name_,
              "one result axis per operand axis is needed; got {} axes for {}",
              attributes_.axes.size(), to_string(a()));
  for (size_t i = 0; i < a().rank(); ++i) {
    const int64_t to = attributes_.axes[i];
    PLAIT_CHECK(to >= 0 && to < static_cast<int64_t>(result_.rank()) &&
                    (i == 0 || attributes_.axes[i - 1] < to),
                name_, "result axes must rise within rank {}; got {}", result_.rank(), to);
    if (a().shape[i].is_constant(1)) continue;
    equal_size(a().shape[i], result_.shape[to], a(), result_, to);
  }
  element_count(result_.shape);  // memory bounds the others, loops run over this one
  return {a().dtype, result_.shape};
}

Type Inference::reduce() const {
  count(1);
  const auto function = static_cast<ReduceOp>(attributes_.function);
  std::vector<bool> gone(a().rank(), false);
  for (size_t i = 0; i < attributes_.axes.size(); ++i) {
    const int64_t axis = attributes_.axes[i];
    axis_in(axis, a().rank());
    PLAIT_CHECK(i == 0 || attributes_.axes[i - 1] < axis, name_,
                "axes must be sorted and distinct; got axis {} twice or out of order", axis);
    gone[axis] = true;
  }
  DType dtype = a().dtype;
  switch (function) {
    case ReduceOp::sum:
    case ReduceOp::prod:
      PLAIT_CHECK(dtype != DType::boolean, name_, "{} needs numbers; got {}. hint: cast it first",
                  name_of(function), to_string(a()));
      break;
    case ReduceOp::any:
    case ReduceOp::all:
      PLAIT_CHECK(dtype == DType::boolean, name_, "{} needs bools; got {}", name_of(function),
                  to_string(a()));
      break;
    case ReduceOp::argmax:
    case ReduceOp::argmin:
      PLAIT_CHECK(attributes_.axes.size() == 1, name_, "{} takes one axis; got {}",
                  name_of(function), attributes_.axes.size());
      dtype = DType::i64;
      [[fallthrough]];
    case ReduceOp::max:
    case ReduceOp::min:
      for (int64_t axis : attributes_.axes) {
        PLAIT_CHECK(!a().shape[axis].is_constant(0), name_,
                    "an empty axis has no {}; got {}; axis {} has size 0", name_of(function),
                    to_string(a()), axis);
      }
      break;
  }
  Shape shape;
  for (size_t i = 0; i < a().rank(); ++i) {
    if (!gone[i]) shape.push_back(a().shape[i]);
  }
  return {dtype, std::move(shape)};
}

void Inference::check_map(const std::vector<Expr>& map, size_t variables,
                          size_t first_index) const {
  for (Expr e : map) {
    for (uint32_t id : variables_of(e)) {
      PLAIT_CHECK(id < variables, name_, "the map {} uses axis {} of {}", to_string(e), id,
                  variables);
    }
    replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
      const size_t operand = first_index + tensor;
      PLAIT_CHECK(operand < operands_.size(), name_, "the map {} reads tensor {} of {}",
                  to_string(e), tensor, operands_.size() - first_index);
      PLAIT_CHECK(is_integer(operands_[operand].dtype), name_, "indices must be integers; got {}",
                  to_string(operands_[operand]));
      PLAIT_CHECK(indices.size() == operands_[operand].rank(), name_,
                  "the map {} reads {} with {} indices", to_string(e),
                  to_string(operands_[operand]), indices.size());
      return Expr();
    });
  }
}

Type Inference::reindex() const {
  PLAIT_CHECK(!operands_.empty(), name_, "expects an operand");
  PLAIT_CHECK(attributes_.map.size() == a().rank(), name_, "got {} map entries for {}",
              attributes_.map.size(), to_string(a()));
  check_map(attributes_.map, result_.rank(), 1);
  return {a().dtype, result_.shape};
}

Type Inference::scatter() const {
  PLAIT_CHECK(operands_.size() >= 2, name_, "expects a destination and updates");
  same_dtype(a(), operands_[1]);
  PLAIT_CHECK(attributes_.map.size() == a().rank(), name_, "got {} map entries for {}",
              attributes_.map.size(), to_string(a()));
  check_map(attributes_.map, operands_[1].rank(), 2);
  return a();
}

Type Inference::concat() const {
  PLAIT_CHECK(!operands_.empty(), name_, "expects at least one tensor");
  const int64_t axis = attributes_.axes.at(0);
  axis_in(axis, a().rank());
  Expr total = 0;
  for (const Type& part : operands_) {
    same_dtype(a(), part);
    PLAIT_CHECK(part.rank() == a().rank(), name_, "ranks must agree; got a: {}, b: {}",
                to_string(a()), to_string(part));
    for (size_t i = 0; i < a().rank(); ++i) {
      if (static_cast<int64_t>(i) != axis) equal_size(a().shape[i], part.shape[i], a(), part, i);
    }
    total = total + part.shape[axis];
  }
  Type type = a();
  type.shape[axis] = total;
  return type;
}

}  // namespace

Type infer(MetaOp op, std::span<const Type> operands, const Attributes& attributes,
           const Type& result, std::vector<SizeGuard>& guards) {
  return Inference(op, operands, attributes, result, guards).run();
}

}  // namespace plait
