// plait run: a graph text on arrays from files.
#include <fmt/format.h>

#include "core/error.h"
#include "core/io/npy.h"
#include "core/io/safetensors.h"
#include "core/rules/evaluate.h"
#include "jit/compile.h"
#include "tools/plait/array_text.h"
#include "tools/plait/bind.h"
#include "tools/plait/graph_file.h"
#include "tools/plait/verbs.h"

namespace plait::tool {
namespace {

constexpr const char* kOp = "run";

struct Arguments {
  std::string graph;
  std::vector<std::string> values;
  std::string out;
  bool evaluate = false;
  bool kernels = false;
  bool memory = false;
};

// Results: the outputs, then the slots that the graph assigns, with their new values.
std::vector<NamedArray> compute(const Graph& graph, const std::map<std::string, Array>& inputs,
                                const Arguments& arguments) {
  std::vector<NamedArray> results;
  const auto& outputs = graph.outputs();
  if (arguments.evaluate) {
    Evaluation evaluation = evaluate(graph, inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      results.push_back({outputs[i].name, std::move(evaluation.outputs[i])});
    }
    for (auto& [slot, array] : evaluation.assigns) {
      results.push_back({slot->name(), std::move(array)});
    }
    return results;
  }
  Program program = compile(graph);
  std::vector<Array> arrays = program.run(inputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    results.push_back({outputs[i].name, std::move(arrays[i])});
  }
  for (Value v : graph.assigns()) {
    const Slot& slot = *graph.node(v).attributes.slot;
    results.push_back({slot.name(), slot.value()});
  }
  if (arguments.kernels) {
    for (const auto& kernel : program.kernels()) {
      fmt::print("# {}\n{}\n", kernel->name(), kernel->print(Stage::kernel_ir));
    }
  }
  if (arguments.memory) fmt::print("# memory\n{}\n", to_text(program.memory_report()));
  return results;
}

void save(const std::string& file, const std::vector<NamedArray>& results) {
  if (file.ends_with(".safetensors")) {
    save_safetensors(file, results);
    return;
  }
  PLAIT_CHECK(results.size() == 1, kOp,
              "--out '{}' holds one array; the graph gives {}. hint: a .safetensors file", file,
              results.size());
  save_npy(file, results[0].array);
}

void run(const Arguments& arguments) {
  PLAIT_CHECK(arguments.out.empty() || arguments.out.ends_with(".npy") ||
                  arguments.out.ends_with(".safetensors"),
              kOp, "--out '{}' is neither a .npy nor a .safetensors file", arguments.out);
  const Graph graph = load_graph(arguments.graph);
  const auto results = compute(graph, bind(graph, arguments.values), arguments);
  if (!arguments.out.empty()) {
    save(arguments.out, results);
    return;
  }
  for (const NamedArray& result : results) {
    fmt::print("{}: {} = {}\n", result.name, to_string(result.array.type()),
               array_text(result.array));
  }
}

}  // namespace

Verb add_run(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("run", "Run a graph text on arrays from files");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("graph", arguments->graph, "A graph text; - is the standard input")->required();
  verb->add_option("values", arguments->values,
                   "Inputs and slots: NAME=FILE.npy, NAME=FILE.safetensors[:TENSOR], or "
                   "FILE.safetensors for each that it names. Slots not given are zero");
  verb->add_option(
      "--out", arguments->out,
      "Write the results there instead of printing them: FILE.safetensors, or FILE.npy "
      "if there is one");
  const auto evaluate = verb->add_flag("--evaluate", arguments->evaluate,
                                       "Use the slow reference evaluator; compile nothing");
  verb->add_flag("--kernels", arguments->kernels, "Print the kernel IR of each kernel first")
      ->excludes(evaluate);
  verb->add_flag("--memory", arguments->memory,
                 "Print the peak of memory first: what is alive then, and the life of all buffers")
      ->excludes(evaluate);
  return {verb, [arguments] { run(*arguments); }};
}

}  // namespace plait::tool
