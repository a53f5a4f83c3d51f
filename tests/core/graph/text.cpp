#include "core/graph/text.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"
#include "core/graph/build.h"
#include "core/graph/verify.h"
#include "core/slot.h"
#include "tests/support/error_text.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

constexpr const char* kEveryOp = R"(graph
  dim text_batch 1..64
  dim text_seq 8..2048 multiple 8
  %0 = input "x" : f32[text_batch, 4]  @ gpt/embed "my model.py":12  @ "with space"
  %1 = parameter "w" frozen : f32[4]
  %2 = parameter "w" copy 1 : f32[4]
  %3 = constant -0 : f32[]
  %4 = constant [1, -2, 3] : i32[3]
  %5 = constant [true, false] : bool[2]
  %6 = iota 1 : i64[text_batch, 4]
  %7 = size [4*text_batch] : i64[]
  %8 = input "key" : i64[2]
  %9 = random salt 18446744073709551615 %8 : u32[text_seq, 3]
  %10 = unary exp %0 : f32[text_batch, 4]
  %11 = broadcast [1] %1 : f32[text_batch, 4]
  %12 = binary mul %10 %11 : f32[text_batch, 4]
  %13 = fma %12 %0 %11 : f32[text_batch, 4]
  %14 = binary lt %12 %13 : bool[text_batch, 4]
  %15 = select %14 %12 %13 : f32[text_batch, 4]
  %16 = cast %15 : bf16[text_batch, 4]
  %17 = detach %16 : bf16[text_batch, 4]
  %18 = reduce argmax [1] %15 : i64[text_batch]
  %19 = reindex [t0[i0], i1 + 1] fill -inf error %15 %18 : f32[text_batch, 5]
  %20 = scatter sum [i0, t0[i0]] %15 %13 %18 : f32[text_batch, 4]
  %21 = scatter replace [i0, i1] error %15 %13 : f32[text_batch, 4]
  %22 = concat 1 %20 %21 : f32[text_batch, 8]
  %23 = scan prod 0 reverse %22 : f32[text_batch, 8]
  %24 = sort 1 descending %23 : i64[text_batch, 8]
  %25 = binary add %1 %2 : f32[4]
  %26 = assign "w" frozen %25 : f32[4]
  guard text_batch == text_seq "[add] sizes \"must\" agree"
  output "y" %24
  output "a \"quoted\" name" %17
)";

std::string parse_error(const std::string& lines) {
  return error_text<UserError>([&] { parse_graph("graph\n" + lines); });
}

}  // namespace

TEST_CASE("every meta-op prints and parses back to the same text") {
  const Graph g = parse_graph(kEveryOp);
  verify(g);
  CHECK(to_text(g) == kEveryOp);
  CHECK(to_text(parse_graph(to_text(g))) == kEveryOp);
  CHECK(g.node(1).attributes.slot != g.node(2).attributes.slot);
  CHECK(g.node(1).attributes.slot == g.node(26).attributes.slot);
  CHECK(!g.node(1).attributes.slot->trainable());
  CHECK(g.origins(0)[0] == Origin{"gpt/embed", "my model.py", 12});
}

TEST_CASE("constants keep their bits") {
  Graph g;
  const uint32_t odd_nan = 0x7fc12345;
  const double fine[] = {0.1, 1e-310, INFINITY, -0.0, std::nan("")};
  std::vector<float> many(65, 0.25f);
  g.add_output("a", meta::constant(g, {DType::f32, {}}, std::as_bytes(std::span(&odd_nan, 1))));
  g.add_output("b", meta::constant(g, {DType::f64, {5}}, std::as_bytes(std::span(fine))));
  g.add_output("c", meta::constant(g, {DType::f32, {5, 13}}, std::as_bytes(std::span(many))));
  g.add_output("d", meta::constant(g, {DType::f32, {0}}, {}));
  const Graph again = parse_graph(to_text(g));
  for (size_t i = 0; i < 4; ++i) {
    CHECK(*again.node(again.outputs()[i].value).attributes.data ==
          *g.node(g.outputs()[i].value).attributes.data);
  }
  CHECK(to_text(g).find("constant hex 4523c17f : f32[]") != std::string::npos);
}

TEST_CASE("names are free, comments and empty lines are skipped") {
  const Graph g = parse_graph(R"(
    # a chain
    graph
      %in = input "x" : f32[3]   # the input

      %twice = binary add %in %in : f32[3]
      output "y" %twice)");
  CHECK(to_text(g) ==
        "graph\n"
        "  %0 = input \"x\" : f32[3]\n"
        "  %1 = binary add %0 %0 : f32[3]\n"
        "  output \"y\" %1\n");
}

TEST_CASE("errors of the text name line and column") {
  const std::string x = "  %0 = input \"x\" : f32[3]\n";
  CHECK(error_text<UserError>([] { parse_graph("grph"); }) ==
        "[parse_graph] line 1, column 1: expected 'graph'; got 'grph'");
  CHECK(error_text<UserError>([] { parse_graph(""); }) ==
        "[parse_graph] the text must start with 'graph'; got no line");
  CHECK(parse_error(x + "  %1 = unary exq %0 : f32[3]") ==
        "[parse_graph] line 3, column 17: unknown function 'exq'; got ' %0 : f32[3]'");
  CHECK(parse_error(x + "  %1 = unary exp %7 : f32[3]") ==
        "[parse_graph] line 3, column 20: no value %7 above; got ' : f32[3]'");
  CHECK(parse_error(x + "  %1 = unary exp %0 : f32[4]") ==
        "[parse_graph] line 3, column 29: the type of %1 is f32[3]; got ''");
  CHECK(parse_error(x + "  %1 = unary exp %0 : f32[3] what") ==
        "[parse_graph] line 3, column 30: expected the end of the line; got 'what'");
  CHECK(parse_error(x + x) == "[parse_graph] line 3, column 26: %0 is there already; got ''");
  CHECK(parse_error("  dim d") ==
        "[parse_graph] line 2, column 8: expected the smallest size; got ''");
  CHECK(parse_error(x + "  %1 = reduce sum [0, %0 : f32[]") ==
        "[parse_graph] line 3, column 33: a list has no end; got ''");
  CHECK(parse_error("  %0 = input \"x : f32[3]").find("a string has no end") != std::string::npos);
  CHECK(parse_error("  %0 = constant hex 0 : u8[1]").find("odd number") != std::string::npos);
  // Rules of the graph name the line.
  CHECK(parse_error(x + "  %1 = reduce sum [1] %0 : f32[]").find("line 3: [reduce] axis out of") !=
        std::string::npos);
  CHECK(parse_error("  %0 = input \"x\" : f33[3]").find("line 2: ") != std::string::npos);
  CHECK_THAT(parse_error(x + "  %1 = broadcast [1] %0 : f32[4294967296, 3, 4294967296]"),
             Catch::Matchers::Contains("line 3: [shape] the number of elements must fit 64 bits"));
  CHECK_THAT(parse_error("  %0 = parameter \"w\" : f32[3]\n  %1 = assign \"w\" %0 : f32[3]\n"
                         "  %2 = unary exp %1 : f32[3]"),
             Catch::Matchers::Contains("line 4: [unary] an assign has no users; got %1, which "
                                       "assigns slot 'w'"));
}
