// The one ordered table of graph passes.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "core/graph/graph.h"
#include "core/options.h"

namespace plait {

struct GraphPass {
  const char* name;
  const char* why_here;
  Graph (*run)(const Graph&, const Options&);
};

std::span<const GraphPass> graph_passes();

// Runs them in order. `after`, if given, sees each pass's name and result where it changed
// something.
Graph run_graph_passes(Graph graph, const Options& options = {},
                       const std::function<void(const char*, const Graph&)>& after = {});

}  // namespace plait
