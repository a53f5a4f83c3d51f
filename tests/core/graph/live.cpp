#include <catch2/catch.hpp>

#include "core/graph/text.h"

namespace plait {
namespace {

Graph parse(const std::string& lines) {
  return parse_graph("graph\n  dim live_s 0..64\n  dim live_t 0..64\n" + lines);
}

std::vector<std::string> live_inputs(const Graph& graph) {
  const std::vector<bool> live = live_nodes(graph);
  std::vector<std::string> names;
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    if (live[v] && node.op == MetaOp::input) names.push_back(node.attributes.name);
  }
  return names;
}

std::vector<std::string> untold(const std::string& lines) {
  std::vector<std::string> names;
  for (Expr symbol : untold_symbols(parse(lines))) names.push_back(symbol.name());
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("an input that nothing reads is needed where it alone tells a size") {
  // Of what is computed, of a size as a value, of a map.
  CHECK(live_inputs(parse(R"(
    %0 = input "x" : f32[4, live_s]
    %1 = iota 0 : i64[live_s]
    output "y" %1
  )")) == Names{"x"});
  CHECK(live_inputs(parse(R"(
    %0 = input "x" : f32[live_s, 4]
    %1 = size [2*live_s] : i64[]
    output "y" %1
  )")) == Names{"x"});
  CHECK(live_inputs(parse(R"(
    %0 = input "x" : f32[live_s]
    %1 = input "y" : f32[8]
    %2 = reindex [i0 + live_s] fill 0 %1 : f32[8]
    output "y" %2
  )")) == Names{"x", "y"});
  // Another input tells it; nobody asks for it; it tells none of those asked for.
  CHECK(live_inputs(parse(R"(
    %0 = input "x" : f32[live_s]
    %1 = input "y" : f32[2*live_s]
    output "y" %1
  )")) == Names{"y"});
  CHECK(live_inputs(parse(R"(
    %0 = input "x" : f32[live_s]
    %1 = input "y" : f32[8]
    output "y" %1
  )")) == Names{"y"});
  CHECK(live_inputs(parse(R"(
    %0 = input "x" : f32[live_t]
    %1 = input "y" : f32[floor_div(live_s, 2)]
    %2 = input "z" : f32[live_s]
    %3 = iota 0 : i64[live_s]
    output "y" %3
  )")) == Names{"z"});
  // With what another one tells.
  CHECK(live_inputs(parse(R"(
    %0 = input "x" : f32[live_s + live_t]
    %1 = input "y" : f32[live_s]
    %2 = iota 0 : i64[live_t]
    output "y" %1
    output "z" %2
  )")) == Names{"x", "y"});
}

TEST_CASE("a copy of a graph keeps what tells its sizes") {
  const Graph graph = parse(R"(
    %0 = input "x" : f32[live_s]
    %1 = input "unused" : f32[live_s]
    %2 = iota 0 : i64[live_s]
    output "y" %2
  )");
  const Graph copy =
      rewrite_graph(graph, [](Graph&, const Node&, std::span<const Value>) { return kNoValue; });
  CHECK(copy.size() == 2);
  CHECK(live_inputs(copy) == Names{"x"});
}

TEST_CASE("symbols that no input tells are listed by name") {
  CHECK(untold(R"(
    %0 = iota 0 : i64[live_t, live_s]
    output "y" %0
  )") == Names{"live_s", "live_t"});
  CHECK(untold(R"(
    %0 = input "x" : f32[live_s*live_s]
    output "y" %0
  )") == Names{"live_s"});
  CHECK(untold(R"(
    %0 = input "x" : f32[live_s*live_t, live_s]
    output "y" %0
  )") == Names{});
  CHECK(untold_symbols(parse_graph(R"(graph
    dim live_even 0..64 multiple 2
    %0 = input "x" : f32[floor_div(live_even, 2)]
    %1 = iota 0 : i64[live_even]
    output "x" %0
    output "y" %1
  )"))
            .empty());
}

}  // namespace plait
