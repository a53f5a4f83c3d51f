#include "tests/support/graphs.h"

#include <cmath>
#include <cstring>

#include "passes/gradients.h"

namespace plait::testing {
namespace {

// sum(f(x) * weights); the weights are uneven so that no gradient cancels by chance.
Value weighted_sum(Graph& g, Value y) {
  const Type type = g.type(y);
  const Value count = meta::iota(g, DType::f64, {element_count(type.shape)}, 0);
  std::vector<Expr> here;
  for (uint32_t i = 0; i < type.rank(); ++i) here.push_back(Expr::variable(i));
  const Value number = meta::reindex(g, count, type.shape, {linear_index(type.shape, here)});
  const Value weights = meta::binary(
      g, BinaryOp::add, meta::scalar_like(g, number, 0.7),
      meta::unary(g, UnaryOp::sin,
                  meta::binary(g, BinaryOp::mul, number, meta::scalar_like(g, number, 1.3))));
  std::vector<int64_t> axes;
  for (size_t i = 0; i < type.rank(); ++i) axes.push_back(static_cast<int64_t>(i));
  return meta::reduce(g, ReduceOp::sum, meta::binary(g, BinaryOp::mul, y, weights), axes);
}

Value plain_sum(Graph& g, Value y) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < g.type(y).rank(); ++i) axes.push_back(static_cast<int64_t>(i));
  return meta::reduce(g, ReduceOp::sum, y, axes);
}

std::vector<std::vector<double>> gradients_with(const Function& f, const std::vector<Array>& x,
                                                Value (*loss_of)(Graph&, Value)) {
  Graph g;
  std::map<std::string, Array> inputs;
  std::vector<Value> operands;
  for (const Array& a : x) operands.push_back(input_for(g, inputs, a));
  const Value loss = loss_of(g, f(g, operands));
  for (Value v : gradients(g, loss, operands)) g.add_output("gradient", v);
  std::vector<std::vector<double>> result;
  for (const Array& a : evaluate(g, inputs).outputs) result.push_back(values(a));
  return result;
}

}  // namespace

Array array(DType dtype, std::vector<int64_t> shape, const std::vector<double>& values) {
  Array result = Array::empty(dtype, std::move(shape));
  if (static_cast<int64_t>(values.size()) != result.count()) {
    throw std::logic_error("the test gives the wrong number of values");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    Scalar(dtype, values[i]).store(result.data<std::byte>() + i * dtype_size(dtype));
  }
  return result;
}

std::vector<double> values(const Array& array) {
  std::vector<double> result;
  for (int64_t i = 0; i < array.count(); ++i) result.push_back(array.at(i).as_double());
  return result;
}

Array random_array(std::mt19937_64& random, DType dtype, std::vector<int64_t> shape, double lo,
                   double hi) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  std::vector<double> data(static_cast<size_t>(count));
  for (double& x : data) {
    x = lo + (hi - lo) * static_cast<double>(random() >> 11) * 0x1p-53;
    if (!is_float(dtype)) x = std::floor(x);
  }
  return array(dtype, std::move(shape), data);
}

Shape shape_of(const std::vector<int64_t>& shape) { return Shape(shape.begin(), shape.end()); }

Array run(const Graph& graph, const std::map<std::string, Array>& inputs) {
  return evaluate(graph, inputs).outputs.at(0);
}

Value input_for(Graph& graph, std::map<std::string, Array>& inputs, const Array& array) {
  const std::string name = "x" + std::to_string(inputs.size());
  inputs[name] = array;
  return meta::input(graph, name, array.type());
}

bool same_bits(const Array& a, const Array& b) {
  if (a.type() != b.type()) return false;
  for (int64_t i = 0; i < a.count(); ++i) {
    const Scalar x = a.at(i);
    const Scalar y = b.at(i);
    const bool both_nan =
        is_float(a.dtype) && std::isnan(x.as_double()) && std::isnan(y.as_double());
    if (x != y && !both_nan) return false;
  }
  return true;
}

bool close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (!(std::fabs(a[i] - b[i]) <= tolerance * std::max(1.0, std::fabs(b[i])))) return false;
  }
  return true;
}

std::vector<std::vector<double>> gradients_of(const Function& f, const std::vector<Array>& x) {
  return gradients_with(f, x, weighted_sum);
}

std::vector<std::vector<double>> sum_gradients_of(const Function& f, const std::vector<Array>& x) {
  return gradients_with(f, x, plain_sum);
}

std::vector<std::vector<double>> differences_of(const Function& f, const std::vector<Array>& x) {
  Graph g;
  std::map<std::string, Array> inputs;
  std::vector<Value> operands;
  for (const Array& a : x) operands.push_back(input_for(g, inputs, a));
  g.add_output("loss", weighted_sum(g, f(g, operands)));
  std::vector<std::vector<double>> result;
  for (size_t k = 0; k < x.size(); ++k) {
    result.emplace_back();
    for (int64_t i = 0; i < x[k].count(); ++i) {
      const double at = x[k].data<double>()[i];
      const double step = 1e-6 * std::max(1.0, std::fabs(at));
      auto loss_at = [&](double value) {
        std::map<std::string, Array> moved = inputs;
        Array copy = x[k].clone();
        copy.data<double>()[i] = value;
        moved["x" + std::to_string(k)] = copy;
        return run(g, moved).item();
      };
      result.back().push_back((loss_at(at + step) - loss_at(at - step)) / (2 * step));
    }
  }
  return result;
}

}  // namespace plait::testing
