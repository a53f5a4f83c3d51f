// Random graphs through the whole compiler: native code against the interpreter and unfused code
// (every bit) and against the reference evaluator (every bit or a tolerance).
#include "tests/support/programs.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "core/graph/text.h"
#include "core/rules/evaluate.h"
#include "jit/compile.h"
#include "tests/fuzz/graph_maker.h"

namespace plait::testing {
namespace {

Options options_for(Engine engine, bool check, int64_t threads = 1) {
  Options options;
  options.backend = engine;
  options.check = check;
  options.threads = threads;
  options.cache_dir = "off";
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

using Arrays = std::vector<Array>;

std::string first_difference(const char* from, const Arrays& got, const Arrays& expected,
                             double tolerance = -1, bool zero_signs = true) {
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string text = difference(got[i], expected[i], tolerance, zero_signs);
    if (!text.empty()) return fmt::format("{}: output {}, {}", from, i, text);
  }
  return "";
}

// What is wrong with how the graph is compiled; empty if nothing. The first word says which of the
// agreements does not hold.
std::string complaint(const Failure& subject, const MakerOptions& made_with) {
  const Arrays expected = evaluate(subject.graph, subject.inputs).outputs;
  auto run = [&](const Graph& graph, const Options& options) {
    return compile(graph, options).run(subject.inputs);
  };
  std::string wrong;
  auto same = [&](const char* what, const Arrays& got, const Arrays& other, double tolerance = -1,
                  bool zero_signs = true) {
    if (wrong.empty()) wrong = first_difference(what, got, other, tolerance, zero_signs);
  };
  try {
    const Arrays native = run(subject.graph, options_for(Engine::llvm, true));
    same("interpreter", native, run(subject.graph, options_for(Engine::interp, false)));
    for (const int64_t threads : {2, 3}) {
      same("threads", run(subject.graph, options_for(Engine::llvm, false, threads)), native);
    }
    if (made_with.symbolic) {
      const Graph fixed = test::with_number(subject.graph, kFuzzSymbol, made_with.symbol);
      same("fixed", run(fixed, options_for(Engine::llvm, true)), native);
    }
    // Chains of a few dozen functions and sums of thousands of moderate numbers.
    if (made_with.numbers == Numbers::smooth) same("evaluator", native, expected, 2e-3, false);
    if (made_with.numbers == Numbers::exact) same("evaluator", native, expected, -1, false);
  } catch (const std::exception& error) {
    return std::string("exception: ") + error.what();
  }
  return wrong;
}

// The part of a complaint that a smaller graph must share.
std::string kind_of(const std::string& complaint) {
  if (complaint.starts_with("exception")) return complaint.substr(0, 45);
  return complaint.substr(0, complaint.find(':'));
}

void check_seed(const MakerOptions& options) {
  INFO("seed " << options.seed << ", numbers " << static_cast<int>(options.numbers) << ", symbolic "
               << options.symbolic << ", gradients " << options.gradients << ", scale "
               << options.scale << ", steps " << options.steps);
  std::string text;
  std::string wrong;
  try {
    GraphMaker maker(options);
    Failure subject{maker.graph, maker.inputs};
    wrong = complaint(subject, options);
    if (!wrong.empty()) {
      const std::string kind = kind_of(wrong);
      subject = reduced(subject, [&](const Failure& candidate) {
        try {
          return kind_of(complaint(candidate, options)) == kind;
        } catch (const std::exception&) {
          return false;
        }
      });
      text = to_text(subject.graph) + complaint(subject, options);
    }
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  INFO(text);
  CHECK(wrong == "");
}

MakerOptions random_options(uint64_t seed) {
  MakerOptions options;
  options.seed = seed;
  options.numbers = static_cast<Numbers>(seed % 3);
  options.steps = 4 + static_cast<int>(seed / 3 % 20);
  options.symbolic = seed % 4 == 0;
  const int64_t symbols[] = {33, 70, 1, 33, 2, 33, 0, 128};
  options.symbol = symbols[seed / 4 % 8];
  options.gradients = options.numbers == Numbers::smooth && seed % 2 == 0;
  // Large enough for several threads.
  if (seed % 8 == 3) options.scale = 5;
  return options;
}

uint64_t number_in(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

// Seeds FUZZ_FIRST … FUZZ_FIRST + FUZZ_COUNT - 1: by default the few that ctest has time for.
TEST_CASE("random graphs: native, unfused, interpreted and evaluated agree") {
  const uint64_t first = number_in("FUZZ_FIRST", 1), count = number_in("FUZZ_COUNT", 250);
  for (uint64_t seed = first; seed < first + count; ++seed) check_seed(random_options(seed));
}

// The graph in the file that FUZZ_GRAPH names.
TEST_CASE("one graph", "[.graph]") {
  const char* path = std::getenv("FUZZ_GRAPH");
  REQUIRE(path);
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const Graph graph = parse_graph(text);
  CHECK(complaint({graph, test::random_inputs(graph, {{kFuzzSymbol, 33}})}, {}) == "");
}

}  // namespace plait::testing
