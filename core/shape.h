// Shapes: lists of dimensions, each an index expression.
#pragma once

#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/index/expr.h"

namespace plait {

using Shape = std::vector<Expr>;

struct Type {
  DType dtype = DType::f32;
  Shape shape;

  size_t rank() const { return shape.size(); }
  friend bool operator==(const Type&, const Type&) = default;
};

Expr element_count(const Shape& shape);
// Row-major strides, in elements.
std::vector<Expr> row_major_strides(const Shape& shape);
// The row-major offset of an index tuple, in elements.
Expr linear_index(const Shape& shape, std::span<const Expr> index);
std::string to_string(const Shape& shape);  // "[batch, 768]"
std::string to_string(const Type& type);    // "f32[batch, 768]"
Type parse_type(std::string_view text);

// A user's named dimension: dim("seq", 1, 2048, 8).
inline Expr dim(const std::string& name, int64_t lo, int64_t hi, int64_t multiple = 1) {
  return Expr::symbol(name, lo, hi, multiple);
}

}  // namespace plait
