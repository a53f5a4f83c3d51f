#include "tests/support/programs.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/rules/evaluate.h"
#include "ops/compose.h"

namespace plait::test {

Array random_array(DType dtype, std::vector<int64_t> shape, std::mt19937& random) {
  Array array = Array::empty(dtype, std::move(shape));
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int64_t> small(-5, 5);
  const size_t size = dtype_size(dtype);
  for (int64_t i = 0; i < array.count(); ++i) {
    const Scalar value = is_float(dtype) ? Scalar(dtype, normal(random))
                                         : Scalar(DType::i64, small(random)).cast(dtype);
    value.store(array.data<std::byte>() + static_cast<size_t>(i) * size);
  }
  return array;
}

double largest_error(const Array& got, const Array& expected) {
  double largest = 0;
  for (int64_t i = 0; i < expected.count(); ++i) {
    const double a = got.at(i).as_double(), e = expected.at(i).as_double();
    if (std::isnan(a) && std::isnan(e)) continue;
    if (a == e) continue;
    const double error = std::abs(a - e) / (1 + std::abs(e));
    if (!(error <= largest))
      largest = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return largest;
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 1e-12;
    case DType::f32:
      return 2e-5;
    case DType::f16:
      return 4e-3;
    case DType::bf16:
      return 3e-2;
    case DType::boolean:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u32:
    case DType::u64:
      return 0;
  }
  return 0;
}

void check_program(const std::vector<Tensor>& outputs, const std::map<std::string, Array>& inputs,
                   double factor) {
  Graph graph = *outputs.front().graph();
  for (size_t i = 0; i < outputs.size(); ++i) {
    graph.add_output(std::to_string(i), detail::value_in(graph, outputs[i]));
  }
  const std::vector<Array> expected = evaluate(graph, inputs).outputs;
  for (const Engine engine : {Engine::llvm, Engine::interp}) {
    Options options;
    options.backend = engine;
    options.check = true;
    options.cache_dir = "off";
    const std::vector<Array> got = compile(graph, options).run(inputs);
    for (size_t i = 0; i < expected.size(); ++i) {
      INFO("output " << i << ", backend " << name_of(engine));
      REQUIRE(got[i].dtype == expected[i].dtype);
      REQUIRE(got[i].shape == expected[i].shape);
      REQUIRE(largest_error(got[i], expected[i]) <= factor * tolerance(expected[i].dtype));
    }
  }
}

}  // namespace plait::test
