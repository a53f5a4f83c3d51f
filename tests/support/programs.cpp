#include "tests/support/programs.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <regex>

#include "core/graph/text.h"
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
  Graph graph;
  const std::vector<Value> values = detail::values_in(graph, outputs);
  for (size_t i = 0; i < values.size(); ++i) graph.add_output(std::to_string(i), values[i]);
  check_graph(graph, inputs, factor);
}

namespace {

void require_close(const Array& got, const Array& expected, double factor) {
  REQUIRE(got.dtype == expected.dtype);
  REQUIRE(got.shape == expected.shape);
  REQUIRE(largest_error(got, expected) <= factor * tolerance(expected.dtype));
}

// The slots of a graph, put back to what they held.
class SlotKeeper {
 public:
  explicit SlotKeeper(const Graph& graph) {
    for (Value v = 0; v < graph.size(); ++v) {
      const std::shared_ptr<Slot>& slot = graph.node(v).attributes.slot;
      if (slot) values_.emplace_back(slot, slot->value().clone());
    }
  }
  void restore() {
    for (const auto& [slot, value] : values_) slot->set(value.clone());
  }

 private:
  std::vector<std::pair<std::shared_ptr<Slot>, Array>> values_;
};

}  // namespace

void check_graph(const Graph& graph, const std::map<std::string, Array>& inputs, double factor) {
  const Evaluation expected = evaluate(graph, inputs);
  SlotKeeper slots(graph);
  for (const Engine engine : {Engine::llvm, Engine::interp}) {
    Options options;
    options.backend = engine;
    options.check = true;
    options.cache_dir = "off";
    const std::vector<Array> got = compile(graph, options).run(inputs);
    for (size_t i = 0; i < got.size(); ++i) {
      INFO("output " << i << ", backend " << name_of(engine));
      require_close(got[i], expected.outputs[i], factor);
    }
    for (const auto& [slot, value] : expected.assigns) {
      INFO("slot " << slot->name() << ", backend " << name_of(engine));
      require_close(slot->value(), value, factor);
    }
    slots.restore();
  }
}

std::map<std::string, Array> random_inputs(const Graph& graph, const SymbolValues& symbols) {
  std::mt19937 random(1);
  std::map<std::string, Array> inputs;
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    if (node.op != MetaOp::input) continue;
    std::vector<int64_t> shape;
    for (Expr extent : node.type.shape) {
      shape.push_back(evaluate(extent, [](uint32_t) { return int64_t{0}; }, symbols));
    }
    inputs[node.attributes.name] = random_array(node.type.dtype, shape, random);
  }
  return inputs;
}

Graph with_number(const Graph& graph, const std::string& symbol, int64_t number) {
  const std::regex declaration("\\s*dim " + symbol + "[^\n]*");
  const std::regex name("\\b" + symbol + "\\b");
  const std::string text = std::regex_replace(to_text(graph), declaration, "");
  return parse_graph(std::regex_replace(text, name, std::to_string(number)));
}

void check_text(const std::string& graph, const SymbolValues& symbols, double factor) {
  const Graph parsed = parse_graph(graph);
  check_graph(parsed, random_inputs(parsed, symbols), factor);
}

}  // namespace plait::test
