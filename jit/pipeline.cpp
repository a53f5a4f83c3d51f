#include "jit/pipeline.h"

#include <chrono>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "core/log.h"
#include "passes/densify_scatter.h"
#include "passes/simplify.h"

namespace plait {
namespace {

constexpr GraphPass kPasses[] = {
    {"simplify",
     "gradients leave adjoints of views and identities behind; fusion wants the fewest nodes",
     simplify},
    {"densify_scatter", "the scatters that simplify could not remove are data-indexed by now",
     densify_scatter},
};

}  // namespace

std::span<const GraphPass> graph_passes() { return kPasses; }

Graph run_graph_passes(Graph graph, const std::function<void(const char*, const Graph&)>& after) {
  for (const GraphPass& pass : kPasses) {
    const auto start = std::chrono::steady_clock::now();
    Graph next = pass.run(graph);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    PLAIT_LOG(debug, "{}: {} nodes to {} in {:.2f} ms", pass.name, graph.size(), next.size(),
              took.count());
    verify(next);
    if (after && to_text(next) != to_text(graph)) after(pass.name, next);
    graph = std::move(next);
  }
  return graph;
}

}  // namespace plait
