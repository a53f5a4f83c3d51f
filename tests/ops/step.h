// Runs training steps by the reference evaluator, as a program would.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rules/evaluate.h"
#include "ops/optim/optimizer.h"

namespace plait::testing {

inline Array array_of(DType dtype, std::vector<int64_t> shape, const std::vector<double>& values) {
  Array array = Array::empty(dtype, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) {
    Scalar(dtype, values[i]).store(array.data<std::byte>() + i * dtype_size(dtype));
  }
  return array;
}

inline std::vector<double> values_of(const Array& array) {
  std::vector<double> values;
  for (int64_t i = 0; i < array.count(); ++i) values.push_back(array.at(i).as_double());
  return values;
}

inline std::vector<Array> run_step(const Graph& graph, optim::Optimizer& optimizer,
                                   std::map<std::string, Array> inputs) {
  for (const auto& [name, value] : optimizer.scalars()) inputs[name] = value;
  Evaluation evaluation = evaluate(graph, inputs);
  for (auto& [slot, value] : evaluation.assigns) slot->set(std::move(value));
  optimizer.advance();
  return evaluation.outputs;
}

}  // namespace plait::testing
