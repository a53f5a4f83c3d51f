// Short ways to make arrays, run graphs through the reference evaluator and check gradients.
#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/graph/build.h"
#include "core/rules/evaluate.h"

namespace plait::testing {

Array array(DType dtype, std::vector<int64_t> shape, const std::vector<double>& values);
std::vector<double> values(const Array& array);
Array random_array(std::mt19937_64& random, DType dtype, std::vector<int64_t> shape, double lo,
                   double hi);
Shape shape_of(const std::vector<int64_t>& shape);

// The first output of the graph.
Array run(const Graph& graph, const std::map<std::string, Array>& inputs = {});
// An input named like its position, of the array's type.
Value input_for(Graph& graph, std::map<std::string, Array>& inputs, const Array& array);

// Equal bits but for the payload of NaNs (and so +0 differs from -0).
bool same_bits(const Array& a, const Array& b);
// Equal within `tolerance` relative to max(1, |b|); NaN equals NaN, an infinity itself.
bool close(const std::vector<double>& a, const std::vector<double>& b, double tolerance);

// A function of f64 tensors built as a graph.
using Function = std::function<Value(Graph&, const std::vector<Value>&)>;
// The gradients of sum(f(x) * weights) with fixed uneven weights, by the gradient rules.
std::vector<std::vector<double>> gradients_of(const Function& f, const std::vector<Array>& x);
// The same by central differences.
std::vector<std::vector<double>> differences_of(const Function& f, const std::vector<Array>& x);
// The gradients of sum(f(x)).
std::vector<std::vector<double>> sum_gradients_of(const Function& f, const std::vector<Array>& x);

}  // namespace plait::testing
