#include "core/shape.h"

#include "core/error.h"

namespace plait {

namespace {

// A product of sizes; UserError if it leaves 64 bits.
Expr checked_product(const Shape& shape, size_t first) {
  int64_t constant = 1;
  Expr rest = 1;
  bool overflow = false;
  for (size_t axis = first; axis < shape.size(); ++axis) {
    if (shape[axis].is_constant(0)) return Expr(0);
    if (auto size = shape[axis].constant()) {
      overflow |= __builtin_mul_overflow(constant, *size, &constant);
    } else {
      rest = rest * shape[axis];
    }
  }
  PLAIT_CHECK(!overflow, "shape", "the number of elements must fit 64 bits; got {}",
              to_string(shape));
  return Expr(constant) * rest;
}

}  // namespace

Expr element_count(const Shape& shape) { return checked_product(shape, 0); }

std::vector<Expr> row_major_strides(const Shape& shape) {
  std::vector<Expr> strides;
  for (size_t axis = 0; axis < shape.size(); ++axis)
    strides.push_back(checked_product(shape, axis + 1));
  return strides;
}

Expr linear_index(const Shape& shape, std::span<const Expr> index) {
  PLAIT_INTERNAL_CHECK(index.size() == shape.size(), "{} indices for the shape {}", index.size(),
                       to_string(shape));
  const auto strides = row_major_strides(shape);
  std::vector<Expr> terms;
  for (size_t axis = 0; axis < shape.size(); ++axis) terms.push_back(strides[axis] * index[axis]);
  return sum(terms);
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis) text += ", ";
    text += to_string(shape[axis]);
  }
  return text + "]";
}

std::string to_string(const Type& type) { return dtype_name(type.dtype) + to_string(type.shape); }

Type parse_type(std::string_view text) {
  const auto trim = [](std::string_view s) {
    while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
    while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
    return s;
  };
  const std::string_view trimmed = trim(text);
  const size_t open = trimmed.find('[');
  PLAIT_CHECK(open != std::string_view::npos && trimmed.back() == ']', "parse_type",
              "a type reads like f32[batch, 768]; got \"{}\"", text);
  const auto dtype = parse_dtype(trim(trimmed.substr(0, open)));
  PLAIT_CHECK(dtype, "parse_type", "unknown dtype \"{}\" in \"{}\"", trimmed.substr(0, open), text);
  Type type{*dtype, {}};
  const std::string_view list = trim(trimmed.substr(open + 1, trimmed.size() - open - 2));
  if (list.empty()) return type;
  int nesting = 0;
  size_t start = 0;
  for (size_t i = 0; i <= list.size(); ++i) {
    if (i == list.size() || (list[i] == ',' && nesting == 0)) {
      type.shape.push_back(parse_expr(list.substr(start, i - start)));
      start = i + 1;
    } else if (list[i] == '(' || list[i] == '[') {
      ++nesting;
    } else if (list[i] == ')' || list[i] == ']') {
      --nesting;
    }
  }
  return type;
}

}  // namespace plait
