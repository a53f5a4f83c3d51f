// The pass densify_scatter, as text before and after.
#include "passes/densify_scatter.h"

#include <catch2/catch.hpp>

#include "core/graph/text.h"

namespace plait {
namespace {

std::string graph_with(const std::string& nodes) {
  return "graph\n"
         "  %0 = input \"t\" : i64[3]\n"
         "  %1 = input \"u\" : f32[3]\n"
         "  %2 = input \"d\" : f32[3, 5]\n" +
         nodes;
}

std::string densified(const std::string& nodes) {
  return to_text(densify_scatter(parse_graph(graph_with(nodes))));
}

}  // namespace

TEST_CASE("one update per row becomes a mask over the row") {
  CHECK(densified("  %3 = scatter sum [i0, t0[i0]] %2 %1 %0 : f32[3, 5]\n"
                  "  output \"y\" %3\n") == graph_with("  %3 = iota 1 : i64[3, 5]\n"
                                                       "  %4 = broadcast [0] %0 : i64[3, 5]\n"
                                                       "  %5 = binary eq %3 %4 : bool[3, 5]\n"
                                                       "  %6 = broadcast [0] %1 : f32[3, 5]\n"
                                                       "  %7 = binary add %2 %6 : f32[3, 5]\n"
                                                       "  %8 = select %5 %7 %2 : f32[3, 5]\n"
                                                       "  output \"y\" %8\n"));
}

TEST_CASE("scatters that may meet an element twice, or report their indices, stay") {
  for (const std::string scatter : {
           "  %3 = scatter max [i0, t0[i0]] %2 %1 %0 : f32[3, 5]\n  output \"y\" %3\n",
           "  %3 = scatter replace [i0, t0[i0]] %2 %1 %0 : f32[3, 5]\n  output \"y\" %3\n",
           "  %3 = scatter sum [i0, t0[i0]] error %2 %1 %0 : f32[3, 5]\n  output \"y\" %3\n",
           "  %3 = scatter sum [t0[i0], i0] %2 %1 %0 : f32[3, 5]\n  output \"y\" %3\n",
       }) {
    CHECK(densified(scatter) == graph_with(scatter));
  }
}

}  // namespace plait
