// What simplify makes of a graph's text; both verified, and settled.
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "passes/simplify.h"

namespace plait::testing {

// Without its first line; `body` likewise.
inline std::string simplified(const std::string& body) {
  const Graph g = simplify(parse_graph("graph\n" + body));
  verify(g);
  const std::string text = to_text(g);
  CHECK(to_text(simplify(g)) == text);
  return text.substr(text.find('\n') + 1);
}

}  // namespace plait::testing
