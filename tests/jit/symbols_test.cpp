// A symbol's value changes no bit: a size that is a number and one that turns out to be it agree.
#include <catch2/catch.hpp>
#include <sstream>

#include "core/error.h"
#include "core/graph/text.h"
#include "tests/support/error_text.h"
#include "tests/support/graphs.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

// The graph's outputs with the symbol `s` and with the number in its place are the same bits.
void check_fixed(const std::string& text, int64_t number) {
  const Graph symbolic = parse_graph("graph\n  dim s 0..4096\n" + text);
  std::map<std::string, Array> inputs = test::random_inputs(symbolic, {{"s", number}});
  for (auto& [name, array] : inputs) {
    if (array.count() > 0 && array.dtype == DType::f32) array.data<float>()[0] = -0.0f;
  }
  Options options;
  options.check = true;
  const std::vector<Array> open = compile(symbolic, options).run(inputs);
  const std::vector<Array> fixed =
      compile(test::with_number(symbolic, "s", number), options).run(inputs);
  REQUIRE(open.size() == fixed.size());
  for (size_t i = 0; i < open.size(); ++i) {
    CAPTURE(i);
    CHECK(testing::same_bits(open[i], fixed[i]));
  }
}

}  // namespace

TEST_CASE("products of bf16 with rows, columns or a sum of open size") {
  for (const int64_t number : {0, 1, 2, 16, 33, 1100}) {
    CAPTURE(number);
    for (const char* shapes : {"s 40 70", "40 s 70", "40 50 s"}) {
      CAPTURE(shapes);
      std::string m, n, k;
      std::istringstream(shapes) >> m >> n >> k;
      const std::string all = m + ", " + n + ", " + k + "]\n";
      check_fixed("  %0 = input \"a\" : bf16[" + m + ", " + k + "]\n" +
                      "  %1 = input \"b\" : bf16[" + n + ", " + k + "]\n" +
                      "  %2 = cast %0 : f32[" + m + ", " + k + "]\n" + "  %3 = cast %1 : f32[" + n +
                      ", " + k + "]\n" + "  %4 = broadcast [0, 2] %2 : f32[" + all +
                      "  %5 = broadcast [1, 2] %3 : f32[" + all + "  %6 = binary mul %4 %5 : f32[" +
                      all + "  %7 = reduce sum [2] %6 : f32[" + m + ", " + n + "]\n" +
                      "  output \"y\" %7\n",
                  number);
    }
  }
}

TEST_CASE("sums of products over, and beside, an axis of one element") {
  for (const int64_t number : {0, 1, 2, 33}) {
    CAPTURE(number);
    // A vector whose axis comes from a transpose.
    check_fixed(R"(
      %0 = input "x" : f32[s]
      %1 = input "a" : f32[4, 70]
      %2 = broadcast [0] %0 : f32[s, 70]
      %3 = reindex [i1, i0] fill 0 %2 : f32[70, s]
      %4 = broadcast [0, 1] %1 : f32[4, 70, s]
      %5 = broadcast [1, 2] %3 : f32[4, 70, s]
      %6 = binary mul %4 %5 : f32[4, 70, s]
      %7 = reduce sum [1] %6 : f32[4, s]
      output "y" %7
    )",
                number);
    // Two transposes in turn.
    check_fixed(R"(
      %0 = input "x" : f32[70, s]
      %1 = input "a" : f32[s, 70, 4]
      %2 = reindex [i1, i0] fill 0 %0 : f32[s, 70]
      %3 = reindex [i0, i2, i1] fill 0 %1 : f32[s, 4, 70]
      %4 = reindex [i1, i0, i2] fill 0 %3 : f32[4, s, 70]
      %5 = broadcast [0, 1, 3] %4 : f32[4, s, s, 70]
      %6 = broadcast [2, 3] %2 : f32[4, s, s, 70]
      %7 = binary mul %5 %6 : f32[4, s, s, 70]
      %8 = reduce sum [3] %7 : f32[4, s, s]
      output "y" %8
    )",
                number);
    // A convolution's window.
    if (number > 0 && number < 9) {
      check_fixed(R"(
        %0 = input "x" : f32[2, 70, 20]
        %1 = input "w" : f32[6, 70, s]
        %2 = reindex [i0, i2, i1 + i3] fill 0 %0 : f32[2, 9, 70, s]
        %3 = broadcast [0, 2, 3, 4] %2 : f32[2, 6, 9, 70, s]
        %4 = broadcast [1, 3, 4] %1 : f32[2, 6, 9, 70, s]
        %5 = binary mul %3 %4 : f32[2, 6, 9, 70, s]
        %6 = reduce sum [3, 4] %5 : f32[2, 6, 9]
        output "y" %6
      )",
                  number);
    }
  }
}

TEST_CASE("folds of one element start where others do") {
  for (const int64_t number : {0, 1, 2, 33}) {
    CAPTURE(number);
    check_fixed(R"(
      %0 = input "x" : f32[5, s]
      %1 = reduce sum [1] %0 : f32[5]
      %2 = reduce prod [1] %0 : f32[5]
      %3 = scan sum 1 %0 : f32[5, s]
      %4 = scan prod 1 %0 : f32[5, s]
      %5 = binary mul %0 %0 : f32[5, s]
      %6 = reduce sum [0, 1] %5 : f32[]
      %7 = reduce sum [1] %5 : f32[5]
      output "sum" %1
      output "product" %2
      output "sums" %3
      output "products" %4
      output "squares" %6
      output "rows" %7
    )",
                number);
  }
}

TEST_CASE("sums over axes that an axis of one element parts") {
  for (const int64_t number : {1, 2, 33}) {
    CAPTURE(number);
    check_fixed(R"(
      %0 = input "x" : f32[90, s]
      %1 = reduce sum [0] %0 : f32[s]
      %2 = unary tanh %0 : f32[90, s]
      %3 = reduce sum [0] %2 : f32[s]
      %4 = input "z" : f32[9, s, 70]
      %5 = reduce sum [0, 2] %4 : f32[s]
      %6 = input "w" : f32[s, 9, 70]
      %7 = reduce sum [1, 2] %6 : f32[s]
      %8 = reduce sum [0] %6 : f32[9, 70]
      output "column" %1
      output "computed" %3
      output "both sides" %5
      output "behind" %7
      output "before" %8
    )",
                number);
  }
}

TEST_CASE("a sum over a transposed sum of products, of one or of more") {
  for (const int64_t number : {0, 1, 2, 33}) {
    CAPTURE(number);
    check_fixed(R"(
      %0 = input "x" : f32[s, 31, 4]
      %1 = input "w" : f32[s, 4, 31]
      %2 = broadcast [0, 1, 2] %0 : f32[s, 31, 4, 31]
      %3 = broadcast [0, 2, 3] %1 : f32[s, 31, 4, 31]
      %4 = binary mul %3 %2 : f32[s, 31, 4, 31]
      %5 = reduce sum [0] %4 : f32[31, 4, 31]
      %6 = reindex [i1, i0, i2] fill 0 %5 : f32[4, 31, 31]
      %7 = reduce sum [0, 2] %6 : f32[31]
      output "y" %7
    )",
                number);
  }
}

TEST_CASE("a size is known though all that reads its input folds away") {
  // An empty input, of which only the filling is read; a product with 0; a size as a value.
  const char* texts[] = {R"(
    %0 = input "x" : f32[0, 4, s, 0]
    %1 = reindex [i0 - 1, i1, i2, i3] fill 2 %0 : f32[2, 4, s, 0]
    %2 = reduce min [0] %1 : f32[4, s, 0]
    output "y" %2
  )",
                         R"(
    %0 = input "x" : f32[0, 4, s]
    %1 = reindex [i0 - 1, i1, i2] fill 2 %0 : f32[2, 4, s]
    %2 = reduce sum [0] %1 : f32[4, s]
    output "y" %2
  )",
                         R"(
    %0 = input "x" : i32[3, 2*s + 1]
    %1 = constant 0 : i32[]
    %2 = broadcast [] %1 : i32[3, 2*s + 1]
    %3 = binary mul %0 %2 : i32[3, 2*s + 1]
    %4 = iota 0 : i32[s]
    output "y" %3
    output "z" %4
  )",
                         R"(
    %0 = input "x" : i32[3, s]
    %1 = size [3*s + 1] : i64[]
    output "y" %1
  )"};
  for (const char* text : texts) {
    for (const int64_t number : {0, 1, 7}) {
      CAPTURE(text, number);
      const std::string graph = std::string("graph\n  dim s 0..4096\n") + text;
      test::check_text(graph, {{"s", number}});
      check_fixed(text, number);
    }
  }
}

TEST_CASE("inputs are checked though all that reads them folds away") {
  const Graph graph = parse_graph(R"(graph
    dim s 0..4096
    %0 = input "x" : i32[s, 3]
    %1 = constant 0 : i32[]
    %2 = broadcast [] %1 : i32[s, 3]
    %3 = binary mul %0 %2 : i32[s, 3]
    output "y" %3
  )");
  Program program = compile(graph);
  const auto error = [&](const std::map<std::string, Array>& inputs) {
    return error_text<UserError>([&] { program.run(inputs); });
  };
  using Catch::Matchers::Contains;
  CHECK_THAT(error({}), Contains("input 'x' (i32[s, 3]) is missing"));
  CHECK_THAT(error({{"x", Array::full(DType::f32, {2, 3}, {})}}), Contains("must be i32[s, 3]"));
  CHECK_THAT(error({{"x", Array::full(DType::i32, {2, 4}, {})}}), Contains("axis 1: 4 != 3"));
  CHECK(program.run({{"x", Array::full(DType::i32, {2, 3}, {})}})[0].shape ==
        std::vector<int64_t>{2, 3});
}

TEST_CASE("a size that no input tells is an error of the compile") {
  const Graph graph = parse_graph(R"(graph
    dim s 0..4096
    dim t 0..4096
    %0 = input "x" : i32[t, 3]
    %1 = iota 0 : i32[s, 3]
    output "x" %0
    output "y" %1
  )");
  CHECK(error_text<UserError>([&] { compile(graph); }) ==
        "[compile] no input tells the size of dimension 's'. hint: declare an input that has it as "
        "an axis");
}

}  // namespace plait
