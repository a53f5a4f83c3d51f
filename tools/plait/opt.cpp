// plait opt: graph passes on a graph text.
#include <fmt/format.h>

#include "core/error.h"
#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "core/nearest.h"
#include "core/slot.h"
#include "jit/pipeline.h"
#include "passes/gradients.h"
#include "tools/plait/graph_file.h"
#include "tools/plait/verbs.h"

namespace plait::tool {
namespace {

constexpr const char* kOp = "opt";

// Adds the gradient of the first output by each live float input and trainable slot, as outputs
// called "grad/NAME".
Graph add_gradients(const Graph& graph, const Options&) {
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

// The table of the compiler, and gradients, which compile() calls before it.
std::vector<GraphPass> passes() {
  std::vector<GraphPass> all = {
      {"gradients", "adds outputs grad/NAME: of the first output by float inputs and slots",
       add_gradients}};
  all.insert(all.end(), graph_passes().begin(), graph_passes().end());
  return all;
}

GraphPass find_pass(const std::string& name) {
  const std::vector<GraphPass> all = passes();
  std::vector<std::string_view> names;
  for (const GraphPass& pass : all) {
    if (name == pass.name) return pass;
    names.push_back(pass.name);
  }
  throw UserError(
      fmt::format("[{}] there is no pass '{}'. hint: {}", kOp, name, nearest_names(name, names)));
}

struct Arguments {
  std::string graph;
  std::vector<std::string> passes;
  bool pipeline = false;
  std::string out = "-";
};

void run(const Arguments& arguments) {
  std::vector<GraphPass> chosen;
  for (const std::string& name : arguments.passes) chosen.push_back(find_pass(name));
  if (arguments.pipeline) {
    chosen.insert(chosen.end(), graph_passes().begin(), graph_passes().end());
  }
  Graph graph = load_graph(arguments.graph);
  for (const GraphPass& pass : chosen) {
    graph = pass.run(graph, Options::global());
    verify(graph);
  }
  save_text(arguments.out, to_text(graph));
}

}  // namespace

Verb add_opt(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("opt", "Run graph passes on a graph text and print it");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("graph", arguments->graph, "A graph text; - is the standard input")->required();
  std::string doc = "A pass to run; may be given several times, in order:";
  for (const GraphPass& pass : passes()) doc += fmt::format("\n{}: {}", pass.name, pass.why_here);
  verb->add_option("--pass", arguments->passes, doc)->expected(1)->take_all();
  verb->add_flag("--pipeline", arguments->pipeline, "Then run all that compiling runs, in order");
  verb->add_option("--out", arguments->out, "The file to write; - is the standard output");
  return {verb, [arguments] { run(*arguments); }};
}

}  // namespace plait::tool
