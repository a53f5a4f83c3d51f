// Random graphs through the whole compiler: native code against the interpreter and unfused code
// (every bit) and against the reference evaluator (every bit or a tolerance).
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/graph/text.h"
#include "core/rules/evaluate.h"
#include "jit/compile.h"
#include "tests/fuzz/graph_maker.h"

namespace plait::testing {
namespace {

Options options_for(Engine engine, bool check) {
  Options options;
  options.backend = engine;
  options.check = check;
  options.threads = 1;
  options.cache_dir = "off";
  options.dump = Options::global().dump;
  return options;
}

std::string element_text(const Array& array, int64_t i) { return array.at(i).to_string(); }

// The first element in which they differ, as text; empty if none. Payloads of NaNs and, if asked,
// signs of zeros do not count. tolerance < 0: bits.
std::string difference(const Array& got, const Array& expected, double tolerance,
                       bool zero_signs = true) {
  if (got.type() != expected.type()) {
    return to_string(got.type()) + " is not " + to_string(expected.type());
  }
  if (got.bytes() == 0 ||
      std::memcmp(got.buffer->data(), expected.buffer->data(), got.bytes()) == 0) {
    return "";
  }
  for (int64_t i = 0; i < got.count(); ++i) {
    const Scalar a = got.at(i), e = expected.at(i);
    if (a == e) continue;
    const double x = a.as_double(), y = e.as_double();
    if (is_float(got.dtype)) {
      if (std::isnan(x) && std::isnan(y)) continue;
      if (!zero_signs && x == y) continue;
      if (tolerance >= 0 && std::fabs(x - y) <= tolerance * (1 + std::fabs(y))) continue;
    }
    return fmt::format("element {}: {} is not {}", i, element_text(got, i),
                       element_text(expected, i));
  }
  return "";
}

// What is wrong with how the graph is compiled; empty if nothing.
std::string complaint(const Failure& subject, Numbers numbers) {
  const std::vector<Array> expected = evaluate(subject.graph, subject.inputs).outputs;
  std::vector<Array> native, interpreted;
  try {
    native = compile(subject.graph, options_for(Engine::llvm, true)).run(subject.inputs);
    interpreted = compile(subject.graph, options_for(Engine::interp, false)).run(subject.inputs);
  } catch (const std::exception& error) {
    return std::string("exception: ") + error.what();
  }
  for (size_t i = 0; i < native.size(); ++i) {
    const std::string text = difference(native[i], interpreted[i], -1);
    if (!text.empty()) return fmt::format("output {}, interpreter: {}", i, text);
  }
  if (numbers == Numbers::wild) return "";
  for (size_t i = 0; i < native.size(); ++i) {
    const bool exact = numbers == Numbers::exact;
    // Chains of a few dozen functions and sums of thousands of moderate numbers.
    const double tolerance = exact ? -1 : native[i].dtype == DType::f64 ? 1e-3 : 2e-3;
    const std::string text = difference(native[i], expected[i], tolerance, false);
    if (!text.empty()) return fmt::format("output {}, evaluator: {}", i, text);
  }
  return "";
}

// The part of a complaint that a smaller graph must share.
std::string kind_of(const std::string& complaint) {
  if (complaint.starts_with("exception")) return complaint.substr(0, 45);
  return complaint.find("interpreter") != std::string::npos ? "interpreter" : "evaluator";
}

void check_seed(MakerOptions options) {
  INFO("seed " << options.seed << ", numbers " << static_cast<int>(options.numbers) << ", symbolic "
               << options.symbolic << ", gradients " << options.gradients << ", scale "
               << options.scale << ", steps " << options.steps);
  std::string text;
  std::string wrong;
  try {
    GraphMaker maker(options);
    Failure subject{maker.graph, maker.inputs};
    wrong = complaint(subject, options.numbers);
    if (!wrong.empty()) {
      const std::string kind = kind_of(wrong);
      subject = reduced(subject, [&](const Failure& candidate) {
        try {
          return kind_of(complaint(candidate, options.numbers)) == kind &&
                 !complaint(candidate, options.numbers).empty();
        } catch (const std::exception&) {
          return false;
        }
      });
      text = to_text(subject.graph) + complaint(subject, options.numbers);
    }
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  INFO(text);
  CHECK(wrong == "");
}

// A graph as text, with moderate numbers as inputs.
Failure graph_of(const std::string& text) {
  std::mt19937_64 random(1);
  Failure subject{parse_graph(text), {}};
  for (Value v = 0; v < subject.graph.size(); ++v) {
    const Node& node = subject.graph.node(v);
    if (node.op != MetaOp::input) continue;
    std::vector<int64_t> shape;
    for (Expr extent : node.type.shape) shape.push_back(extent.constant().value_or(33));
    Array array = Array::empty(node.type.dtype, shape);
    for (int64_t i = 0; i < array.count(); ++i) {
      Scalar(node.type.dtype, static_cast<double>(random() % 4000) / 1000 - 2)
          .store(array.data<std::byte>() + static_cast<size_t>(i) * dtype_size(node.type.dtype));
    }
    subject.inputs[node.attributes.name] = array;
  }
  return subject;
}

MakerOptions random_options(uint64_t seed) {
  MakerOptions options;
  options.seed = seed;
  options.numbers = static_cast<Numbers>(seed % 3);
  options.steps = 4 + static_cast<int>(seed / 3 % 20);
  options.symbolic = seed % 4 == 0;
  options.symbol = seed % 5 == 0 ? 70 : 33;
  options.gradients = options.numbers == Numbers::smooth && seed % 2 == 0;
  return options;
}

}  // namespace

TEST_CASE("random graphs: native, unfused, interpreted and evaluated agree") {
  for (uint64_t seed = 1; seed <= 250; ++seed) check_seed(random_options(seed));
}

// FUZZ_FIRST and FUZZ_COUNT choose the seeds.
TEST_CASE("many random graphs", "[.nightly]") {
  const char* first = std::getenv("FUZZ_FIRST");
  const char* count = std::getenv("FUZZ_COUNT");
  const uint64_t begin = first ? std::strtoull(first, nullptr, 10) : 1000;
  const uint64_t many = count ? std::strtoull(count, nullptr, 10) : 20000;
  for (uint64_t seed = begin; seed < begin + many; ++seed) check_seed(random_options(seed));
}

// The graph in the file that FUZZ_GRAPH names.
TEST_CASE("one graph", "[.graph]") {
  const char* path = std::getenv("FUZZ_GRAPH");
  REQUIRE(path);
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  CHECK(complaint(graph_of(text), Numbers::smooth) == "");
}

}  // namespace plait::testing
