// plait opt: graph passes on a graph text.
#include <fmt/format.h>

#include "core/error.h"
#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "core/nearest.h"
#include "core/slot.h"
#include "passes/gradients.h"
#include "tools/plait/graph_file.h"
#include "tools/plait/verbs.h"

namespace plait::tool {
namespace {

constexpr const char* kOp = "opt";

// Adds the gradient of the first output by each live float input and trainable slot, as outputs
// called "grad/NAME".
Graph add_gradients(const Graph& graph) {
  PLAIT_CHECK(!graph.outputs().empty(), kOp, "gradients needs an output to differentiate");
  Graph result = graph;
  std::vector<Value> wrt;
  std::vector<std::string> names;
  const auto live = live_nodes(graph);
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    const bool input = node.op == MetaOp::input;
    const bool parameter = node.op == MetaOp::parameter && node.attributes.slot->trainable();
    if (!live[v] || !(input || parameter) || !is_float(node.type.dtype)) continue;
    wrt.push_back(v);
    names.push_back(input ? node.attributes.name : node.attributes.slot->name());
  }
  const auto gradients_of = gradients(result, graph.outputs()[0].value, wrt);
  for (size_t i = 0; i < wrt.size(); ++i) result.add_output("grad/" + names[i], gradients_of[i]);
  return result;
}

// Drops what no output and no assign needs.
Graph drop_dead_nodes(const Graph& graph) {
  return rewrite_graph(graph, [](Graph&, const Node&, std::span<const Value>) { return kNoValue; });
}

struct Pass {
  const char* name;
  Graph (*run)(const Graph&);
  const char* doc;
};
constexpr Pass kPasses[] = {
    {"dce", drop_dead_nodes, "drops what no output and no assign needs"},
    {"gradients", add_gradients,
     "adds outputs grad/NAME: of the first output by float inputs and trainable slots"},
};

const Pass& find_pass(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Pass& pass : kPasses) {
    if (name == pass.name) return pass;
    names.push_back(pass.name);
  }
  throw UserError(
      fmt::format("[{}] there is no pass '{}'. hint: {}", kOp, name, nearest_names(name, names)));
}

struct Arguments {
  std::string graph;
  std::vector<std::string> passes;
  std::string out = "-";
};

void run(const Arguments& arguments) {
  std::vector<const Pass*> passes;
  for (const std::string& name : arguments.passes) passes.push_back(&find_pass(name));
  Graph graph = load_graph(arguments.graph);
  for (const Pass* pass : passes) {
    graph = pass->run(graph);
    verify(graph);
  }
  save_text(arguments.out, to_text(graph));
}

}  // namespace

Verb add_opt(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("opt", "Run graph passes on a graph text and print it");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("graph", arguments->graph, "A graph text; - is the standard input")->required();
  std::string passes = "A pass to run; may be given several times, in order:";
  for (const Pass& pass : kPasses) passes += fmt::format("\n{}: {}", pass.name, pass.doc);
  verb->add_option("--pass", arguments->passes, passes)->expected(1)->take_all();
  verb->add_option("--out", arguments->out, "The file to write; - is the standard output");
  return {verb, [arguments] { run(*arguments); }};
}

}  // namespace plait::tool
