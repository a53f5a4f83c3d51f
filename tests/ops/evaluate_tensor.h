// Tensors from numbers, and the numbers of a tensor by the reference evaluator.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/rules/evaluate.h"
#include "ops/functions.h"
#include "passes/gradients.h"

namespace plait::testing {

using Numbers = std::vector<double>;

inline Array array_from(DType dtype, std::vector<int64_t> shape, const Numbers& values) {
  Array array = Array::empty(dtype, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) {
    Scalar(dtype, values[i]).store(array.data<std::byte>() + i * dtype_size(dtype));
  }
  return array;
}

inline Tensor tensor(std::vector<int64_t> shape, const Numbers& values, DType dtype = DType::f32) {
  return constant(array_from(dtype, std::move(shape), values));
}

inline Tensor vector(const Numbers& values, DType dtype = DType::f32) {
  return tensor({static_cast<int64_t>(values.size())}, values, dtype);
}

inline Numbers numbers_of(const Array& array) {
  Numbers result;
  for (int64_t i = 0; i < array.count(); ++i) result.push_back(array.at(i).as_double());
  return result;
}

inline Array evaluated(const Tensor& x, const std::map<std::string, Array>& inputs = {}) {
  Graph graph = *x.graph();
  graph.add_output("x", x.value());
  return evaluate(graph, inputs).outputs[0];
}

inline Numbers values(const Tensor& x, const std::map<std::string, Array>& inputs = {}) {
  return numbers_of(evaluated(x, inputs));
}

// The gradient of sum(y) by x.
inline Numbers gradient(const Tensor& y, const Tensor& x) {
  const Tensor total = sum(y);
  const Value wrt = x.value();
  return values(Tensor(x.graph(), gradients(*x.graph(), total.value(), {&wrt, 1})[0]));
}

}  // namespace plait::testing
