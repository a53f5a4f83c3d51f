// Compiles graphs and compares what they compute with the reference evaluator.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "jit/compile.h"

namespace plait::test {

// Normal numbers (floats), or small integers around 0.
Array random_array(DType dtype, std::vector<int64_t> shape, std::mt19937& random);

// Largest |got - expected| / (1 + |expected|); NaN and infinities must agree: else infinite.
double largest_error(const Array& got, const Array& expected);

// What rounding to `dtype` and a short chain of operations may cost.
double tolerance(DType dtype);

// Runs `outputs` compiled (every kernel also unfused, bit by bit, by options.check) with each
// backend, and requires them to agree with evaluate().
void check_program(const std::vector<Tensor>& outputs, const std::map<std::string, Array>& inputs,
                   double factor = 1);

// The same for a graph with outputs.
void check_graph(const Graph& graph, const std::map<std::string, Array>& inputs, double factor = 1);

// Random arrays for the inputs of a graph: normal floats, integers in [-5, 5]. `symbols`: the
// sizes that are no numbers.
std::map<std::string, Array> random_inputs(const Graph& graph, const SymbolValues& symbols = {});

// The same graph with a symbol as a number.
Graph with_number(const Graph& graph, const std::string& symbol, int64_t number);

// Parses a graph and checks it with random inputs.
void check_text(const std::string& graph, const SymbolValues& symbols = {}, double factor = 1);

}  // namespace plait::test
