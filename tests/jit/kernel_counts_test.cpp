// How many launches a composite takes, and how many bytes they move: a launch counts as one only if
// it moves no more than its operands and results, within a twentieth.
#include <catch2/catch.hpp>
#include <set>

#include "jit/interp/byte_counts.h"
#include "jit/program_impl.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/optim/adamw.h"
#include "passes/gradients.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

struct Cost {
  size_t launches;
  double bytes;
};

// Of one run on the interpreter.
Cost cost_of(Program program, const std::map<std::string, Array>& inputs) {
  auto entry_of = [](const std::shared_ptr<KernelInfo>& info) -> const CompiledKernel& {
    return dynamic_cast<const KernelEntry&>(*info).compiled();
  };
  for (const auto& info : program.kernels()) reset_byte_counts(entry_of(info));
  program.run(inputs);
  double bytes = 0;
  for (const auto& info : program.kernels()) {
    bytes += static_cast<double>(byte_counts(entry_of(info)).bytes());
  }
  return {program.launches(), bytes};
}

Options interpreted() {
  Options options;
  options.backend = Engine::interp;
  options.threads = 1;
  return options;
}

class Kernels {
 protected:
  Kernels() { reset_current_graph(); }

  Tensor make(const std::string& name, std::vector<int64_t> shape, DType dtype = DType::f32) {
    inputs_[name] = test::random_array(dtype, std::move(shape), random_);
    return input(name, dtype, inputs_[name].type().shape);
  }
  Tensor classes(const std::string& name, int64_t count, int64_t limit) {
    Array array = Array::empty(DType::i64, {count});
    for (int64_t i = 0; i < count; ++i) array.data<int64_t>()[i] = (i * 7919) % limit;
    inputs_[name] = array;
    return input(name, DType::i64, {count});
  }
  std::vector<Tensor> backward(const std::vector<Tensor>& y, const std::vector<Tensor>& dy,
                               const std::vector<Tensor>& wrt) {
    const std::shared_ptr<Graph> graph = current_graph();
    Tensor loss;
    for (size_t i = 0; i < y.size(); ++i) {
      const Tensor part = sum(y[i] * dy[i]);
      loss = loss.defined() ? loss + part : part;
    }
    std::vector<Value> values;
    for (const Tensor& x : wrt) values.push_back(x.value());
    std::vector<Tensor> result;
    for (Value v : gradients(*graph, loss.value(), values)) result.emplace_back(graph, v);
    return result;
  }
  std::shared_ptr<Slot> slot(const std::string& name, std::vector<int64_t> shape) {
    return std::make_shared<Slot>(name, test::random_array(DType::f32, std::move(shape), random_));
  }
  // `floor`: elements of four bytes that any program must read or write.
  void check(const std::vector<Tensor>& outputs, size_t most_launches, double floor) {
    const Cost cost = cost_of(compile(outputs, interpreted()), inputs_);
    CHECK(cost.launches <= most_launches);
    CHECK(cost.bytes <= 1.05 * 4 * floor);
    CHECK(cost.bytes >= 4 * floor);
  }

  std::mt19937 random_{3};
  std::map<std::string, Array> inputs_;
};

// Rows of 3 KB; together more than a cache.
constexpr int64_t kRows = 300, kColumns = 771;
constexpr double kAll = kRows * kColumns;

}  // namespace

TEST_CASE_METHOD(Kernels, "softmax is one kernel") {
  check({softmax(make("x", {kRows, kColumns}), 1)}, 1, 2 * kAll);
}

TEST_CASE_METHOD(Kernels, "layer norm is one kernel, its backward at most two") {
  const Tensor x = make("x", {kRows, kColumns});
  const Tensor w = make("w", {kColumns}), b = make("b", {kColumns});
  const Tensor y = layer_norm(x, {kColumns}, w, b);
  SECTION("forward") { check({y}, 1, 2 * kAll + 2 * kColumns); }
  SECTION("backward") {
    const Tensor dy = make("dy", {kRows, kColumns});
    std::vector<Tensor> outputs = backward({y}, {dy}, {x, w, b});
    inputs_.erase("b");
    check(outputs, 2, 3 * kAll + 3 * kColumns);
  }
}

TEST_CASE_METHOD(Kernels, "a product with bias and gelu is one kernel") {
  // Rows dominate: packing the right operand costs little.
  const int64_t m = 1000, n = 48, k = 40;
  const Tensor a = make("a", {m, k}), b = make("b", {k, n}), bias = make("bias", {n});
  check({gelu(matmul(a, b) + bias)}, 1, static_cast<double>(m * k + k * n + n + m * n));
}

TEST_CASE_METHOD(Kernels, "residual, dropout and layer norm are one kernel, backward at most two") {
  const Tensor x = make("x", {kRows, kColumns}), r = make("r", {kRows, kColumns});
  const Tensor w = make("w", {kColumns}), b = make("b", {kColumns});
  const Tensor h = r + dropout(x, 0.1);
  const Tensor y = layer_norm(h, {kColumns}, w, b);
  const double key = 4;  // two numbers of 8 bytes, read here
  SECTION("forward") { check({h, y}, 1, 4 * kAll + 2 * kColumns + key); }
  SECTION("backward") {
    const Tensor dy = make("dy", {kRows, kColumns}), dh = make("dh", {kRows, kColumns});
    std::vector<Tensor> outputs = backward({h, y}, {dh, dy}, {x, r, w, b});
    inputs_.erase("b");
    check(outputs, 2, 6 * kAll + 3 * kColumns + key);
  }
}

TEST_CASE_METHOD(Kernels, "cross-entropy and its gradient are one kernel") {
  const Tensor logits = make("logits", {kRows, kColumns});
  const Tensor targets = classes("targets", kRows, kColumns);
  const Tensor loss = cross_entropy(logits, targets);
  const std::shared_ptr<Graph> graph = current_graph();
  const std::vector<Value> wrt = {logits.value()};
  const Tensor gradient(graph, gradients(*graph, loss.value(), wrt)[0]);
  check({loss, gradient}, 1, 2 * kAll + 2 * kRows + 1);
}

TEST_CASE_METHOD(Kernels, "AdamW of all parameters is one launch") {
  const std::vector<std::vector<int64_t>> shapes = {{64, 1000}, {33}, {20, 3, 5}, {2}, {5000}};
  std::vector<std::shared_ptr<Slot>> parameters;
  std::vector<Tensor> gradients;
  double elements = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const std::string name = std::to_string(i);
    parameters.push_back(
        std::make_shared<Slot>(name, test::random_array(DType::f32, shapes[i], random_)));
    gradients.push_back(make("g" + name, shapes[i]));
    elements += static_cast<double>(parameters.back()->value().count());
  }
  optim::AdamW optimizer(parameters);
  optimizer.update(gradients);
  for (const auto& [name, value] : optimizer.scalars()) inputs_[name] = value;
  // The output is a copy of an input.
  check({gradients[3]}, 1, 7 * elements);
}

TEST_CASE("the text of a kernel tells the steps of its schedule") {
  auto text_of = [](const Tensor& result) {
    const Program program = compile({result});
    REQUIRE(program.kernels().size() == 1);
    const std::string text = program.kernels()[0]->print(Stage::kernel_ir);
    kernel::verify(kernel::parse_kernel(text));  // they are comments
    reset_current_graph();
    return text;
  };
  using Catch::Matchers::Contains;
  CHECK_THAT(text_of(softmax(input("x", DType::f32, {40, 100}), 1)),
             Contains("  # loops: 40 rows of 100\n  # parallel over rows\n  # vectorise"));
  const std::string product =
      text_of(matmul(input("a", DType::f32, {40, 100}), input("b", DType::f32, {100, 70})));
  CHECK_THAT(product, Contains("  # contraction 40 x 70 x 100, batch 1\n  # split m by ") &&
                          Contains("in vector registers, vectorise n by "));
}

TEST_CASE("elementwise kernels serve every shape") {
  std::set<std::string> texts;
  for (const Shape& shape :
       {Shape{512, 512, 3, 3}, Shape{8, 64, 7, 7}, Shape{10, 3, 5}, Shape{768, 100}}) {
    reset_current_graph();
    const Program program = compile({to(relu(input("x", DType::f32, shape)) * 2.0, DType::bf16)});
    REQUIRE(program.kernels().size() == 1);
    const std::string text = program.kernels()[0]->print(Stage::kernel_ir);
    CAPTURE(text);
    CHECK(text.find("mod(") == std::string::npos);
    texts.insert(text);
  }
  CHECK(texts.size() == 1);
}

TEST_CASE_METHOD(Kernels, "an optimizer's update is one launch, whatever the sizes") {
  optim::AdamW optimizer({slot("a", {kRows, 7}), slot("b", {1}), slot("c", {kColumns}),
                          slot("d", {1, 1}), slot("e", {2, 3})});
  std::vector<Tensor> updated;
  for (const auto& parameter : optimizer.parameters()) {
    updated.push_back(make("g_" + parameter->name(), parameter->value().shape));
  }
  optimizer.update(updated);
  for (const auto& [name, value] : optimizer.scalars()) inputs_[name] = value;
  Program program = compile(*updated[0].graph(), interpreted());
  CHECK(program.launches() == 1);
  // Those of one element are no vector.
  REQUIRE(program.kernels().size() <= 3);
  for (const auto& kernel : program.kernels()) CHECK(kernel->launches() == 1);
  const double elements = kRows * 7 + kColumns + 6 + 2;
  const double bytes = cost_of(program, inputs_).bytes;
  CHECK(bytes >= 7 * 4 * elements);
  CHECK(bytes <= 1.05 * 7 * 4 * elements);
}

// Without streaming the scores are in memory: once computed, once as probabilities.
TEST_CASE_METHOD(Kernels, "attention is three kernels, its backward four") {
  const int64_t heads = 3, length = 200, width = 48;
  const std::vector<int64_t> shape = {2, heads, length, width};
  const Tensor q = make("q", shape), k = make("k", shape), v = make("v", shape);
  const Tensor y = scaled_dot_product_attention(q, k, v);
  const double all = 2.0 * heads * length * width, scores = 2.0 * heads * length * length;
  SECTION("forward") { check({y}, 3, 4 * all + 4 * scores); }
  SECTION("backward") {
    const Tensor dy = make("dy", shape);
    // Both products of scores; probabilities and their cotangents; three products of those.
    check(backward({y}, {dy}, {q, k, v}), 4,
          4 * all + 2 * scores + 4 * scores + 3 * scores + 6 * all);
  }
}

}  // namespace plait
