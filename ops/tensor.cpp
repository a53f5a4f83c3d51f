#include "ops/tensor.h"

#include "core/error.h"
#include "core/graph/build.h"
#include "ops/compose.h"
#include "ops/functions.h"

namespace plait {
namespace {

std::shared_ptr<Graph>& current() {
  thread_local std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  return graph;
}

}  // namespace

std::shared_ptr<Graph> current_graph() { return current(); }

void reset_current_graph() { current() = std::make_shared<Graph>(); }

Expr Tensor::size(int64_t dim) const { return shape()[detail::normalize_axis(dim, *this)]; }

Operand::Operand(Expr size) : value_(size) {
  if (const std::optional<int64_t> number = size.constant()) value_ = *number;
}

DType Operand::number_dtype() const { return is_size() ? DType::i64 : number().dtype(); }

Scalar Operand::number() const {
  if (const auto* flag = std::get_if<bool>(&value_)) return {DType::boolean, int64_t{*flag}};
  if (const auto* integer = std::get_if<int64_t>(&value_)) return {DType::i64, *integer};
  return {DType::f64, std::get<double>(value_)};
}

Tensor input(const std::string& name, DType dtype, Shape shape) {
  const std::shared_ptr<Graph> graph = current();
  return {graph, meta::input(*graph, name, {dtype, std::move(shape)})};
}

Tensor parameter(std::shared_ptr<Slot> slot) {
  const std::shared_ptr<Graph> graph = current();
  return {graph, meta::parameter(*graph, std::move(slot))};
}

Tensor constant(const Array& array) {
  const std::shared_ptr<Graph> graph = current();
  const auto* bytes = array.data<std::byte>();
  return {graph, meta::constant(*graph, array.type(), std::span(bytes, array.bytes()))};
}

void assign(const std::shared_ptr<Slot>& slot, const Tensor& value) {
  OpScope op("assign");
  const std::shared_ptr<Graph> graph = detail::graph_of({&value});
  meta::assign(*graph, slot, value.value());
}

int& OpScope::depth() {
  thread_local int value = 0;
  return value;
}

Tensor operator+(const Operand& a, const Operand& b) { return add(a, b); }
Tensor operator-(const Operand& a, const Operand& b) { return sub(a, b); }
Tensor operator*(const Operand& a, const Operand& b) { return mul(a, b); }
Tensor operator/(const Operand& a, const Operand& b) { return div(a, b); }
Tensor operator-(const Tensor& a) { return neg(a); }

}  // namespace plait
