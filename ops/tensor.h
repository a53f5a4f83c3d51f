// The tensor handle: what users hold. A value in a graph that grows as operations are called.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/graph/graph.h"
#include "core/slot.h"

namespace plait {

class Tensor {
 public:
  Tensor() = default;  // no value; using it in an op is a UserError
  Tensor(std::shared_ptr<Graph> graph, Value value) : graph_(std::move(graph)), value_(value) {}

  bool defined() const { return graph_ != nullptr; }
  const std::shared_ptr<Graph>& graph() const { return graph_; }
  Value value() const { return value_; }
  const Type& type() const { return graph_->type(value_); }
  DType dtype() const { return type().dtype; }
  const Shape& shape() const { return type().shape; }
  int64_t rank() const { return static_cast<int64_t>(type().rank()); }
  Expr size(int64_t dim) const;  // negative counts from the end; UserError names rank and dim

 private:
  std::shared_ptr<Graph> graph_;
  Value value_ = kNoValue;
};

// The graph this thread's sources (inputs, constants, parameters) go to. Ops add to the graph of
// their operands; operands of different graphs are merged into this one.
std::shared_ptr<Graph> current_graph();
// Starts a new one; handles keep the old one alive.
void reset_current_graph();

// An operand that may be a plain number or a size: it takes the dtype of the tensor beside it
// (dtype.h, promote_scalar; a size counts as an integer).
class Operand {
 public:
  Operand(Tensor tensor) : value_(std::move(tensor)) {}          // NOLINT
  Operand(double number) : value_(number) {}                     // NOLINT
  Operand(int64_t number) : value_(number) {}                    // NOLINT
  Operand(int number) : value_(static_cast<int64_t>(number)) {}  // NOLINT
  Operand(bool flag) : value_(flag) {}                           // NOLINT
  Operand(Expr size);                                            // NOLINT
  bool is_tensor() const { return std::holds_alternative<Tensor>(value_); }
  const Tensor& tensor() const { return std::get<Tensor>(value_); }
  bool is_size() const { return std::holds_alternative<Expr>(value_); }  // a symbolic one
  Expr size() const { return std::get<Expr>(value_); }
  Scalar number() const;       // as i64, f64 or bool; only if neither tensor nor symbolic size
  DType number_dtype() const;  // i64, f64 or bool; i64 for a size

 private:
  std::variant<Tensor, double, int64_t, bool, Expr> value_;
};

// A list of integers (strides, paddings, shifts); one number stands for a list of one.
class IntList {
 public:
  IntList(int64_t value) : values_{value} {}                            // NOLINT
  IntList(int value) : values_{value} {}                                // NOLINT
  IntList(std::initializer_list<int64_t> values) : values_(values) {}   // NOLINT
  IntList(std::vector<int64_t> values) : values_(std::move(values)) {}  // NOLINT
  const std::vector<int64_t>& values() const { return values_; }
  size_t size() const { return values_.size(); }
  int64_t operator[](size_t i) const { return values_[i]; }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::vector<int64_t> values_;
};

// An optional list of integers: dims of a reduction or a squeeze, where none stands for all of
// them, or a stride that follows the kernel.
class Dims {
 public:
  Dims() = default;
  Dims(int64_t dim) : values_{dim} {}                            // NOLINT
  Dims(int dim) : values_{dim} {}                                // NOLINT
  Dims(std::initializer_list<int64_t> dims) : values_(dims) {}   // NOLINT
  Dims(std::vector<int64_t> dims) : values_(std::move(dims)) {}  // NOLINT
  bool all() const { return values_.empty(); }
  const std::vector<int64_t>& values() const { return values_; }

 private:
  std::vector<int64_t> values_;
};

// Sources.
Tensor input(const std::string& name, DType dtype, Shape shape);
Tensor parameter(std::shared_ptr<Slot> slot);
Tensor constant(const Array& array);  // copies the elements into the graph

// Stores `value` in the slot at the end of each run of the value's graph; dtype and shape must be
// the slot's. Reads of the slot in the same run see its value at entry.
void assign(const std::shared_ptr<Slot>& slot, const Tensor& value);

// What an op's composition begins with: it names the op for errors and ends the scope path. Ops
// called inside another one change neither.
class OpScope {
 public:
  explicit OpScope(std::string_view name)
      : scope_(OpName::current().empty() ? name : std::string_view()), name_(name) {
    ++depth();
  }
  ~OpScope() { --depth(); }
  // Whether the op that runs now was called by the user, not by another op.
  static bool outermost() { return depth() <= 1; }

 private:
  static int& depth();
  Scope scope_;
  OpName name_;
};

Tensor operator+(const Operand& a, const Operand& b);
Tensor operator-(const Operand& a, const Operand& b);
Tensor operator*(const Operand& a, const Operand& b);
Tensor operator/(const Operand& a, const Operand& b);
Tensor operator-(const Tensor& a);

}  // namespace plait
