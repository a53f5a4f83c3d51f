#include "jit/pipeline.h"

#include <chrono>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "core/interrupt.h"
#include "core/log.h"

namespace plait {

#define PLAIT_PASS(name, why_here) Graph name(const Graph& graph, const Options& options);
#include "passes/passes.def"

namespace {

constexpr GraphPass kPasses[] = {
#define PLAIT_PASS(name, why_here) {#name, why_here, name},
#include "passes/passes.def"
};

}  // namespace

std::span<const GraphPass> graph_passes() { return kPasses; }

Graph run_graph_passes(Graph graph, const Options& options,
                       const std::function<void(const char*, const Graph&)>& after) {
  for (const GraphPass& pass : kPasses) {
    const auto start = std::chrono::steady_clock::now();
    Graph next = pass.run(graph, options);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    PLAIT_LOG(debug, "{}: {} nodes to {} in {:.2f} ms", pass.name, graph.size(), next.size(),
              took.count());
    check_interrupt();
    verify(next);
    if (after && to_text(next) != to_text(graph)) after(pass.name, next);
    graph = std::move(next);
  }
  return graph;
}

}  // namespace plait
