#include "jit/compile.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "core/error.h"
#include "core/graph/build.h"
#include "core/graph/text.h"
#include "core/interrupt.h"
#include "jit/dump.h"
#include "jit/launches.h"
#include "jit/pipeline.h"
#include "jit/program_impl.h"
#include "jit/streams.h"
#include "ops/compose.h"
#include "passes/gradients.h"

namespace plait {
namespace {

// Why programs were compiled, the latest last.
class CompileLog {
 public:
  void add(const Graph& graph, const Options& options) {
    const size_t hash = std::hash<std::string>()(to_text(graph));
    std::lock_guard lock(mutex_);
    std::set<std::string>& keys = options_of_graph_[hash];
    const char* why = keys.empty() ? "new graph" : "new options";
    if (!keys.insert(options.key()).second) why = "compiled before, and let go or asked for again";
    constexpr size_t kMost = 1000;
    if (reasons_.size() == kMost) reasons_.erase(reasons_.begin());
    reasons_.push_back(
        fmt::format("{}: {} outputs, {} nodes", why, graph.outputs().size(), graph.size()));
    ++programs_;
  }
  void copy_to(CompileCount& count) {
    std::lock_guard lock(mutex_);
    count.programs = programs_;
    count.reasons = reasons_;
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::set<std::string>> options_of_graph_;
  std::vector<std::string> reasons_;
  uint64_t programs_ = 0;
};

CompileLog& compile_log() {
  static CompileLog log;
  return log;
}

std::atomic<uint64_t> kernel_count = 0;
std::atomic<uint64_t> cached_count = 0;

// One backend per engine and cache folder, for the life of the process.
Backend& backend_for(const Options& options) {
  static std::mutex mutex;
  static std::map<std::pair<Engine, std::string>, std::unique_ptr<Backend>> backends;
  std::lock_guard lock(mutex);
  std::unique_ptr<Backend>& backend = backends[{options.backend, options.cache_dir}];
  if (backend) return *backend;
  switch (options.backend) {
#define PLAIT_BACKEND(name, make, doc) \
  case Engine::name:                   \
    backend = make(options);           \
    return *backend;
#include "core/backends.def"
  }
  PLAIT_UNREACHABLE("engine {}", static_cast<int>(options.backend));
}

std::shared_ptr<Program::Impl> build(const Graph& graph, const Options& options, bool fuse,
                                     bool keep_all, Dump* dump) {
  fusion::FusionPlan plan = fusion::plan_fusion(graph, fuse);
  LaunchList list = make_launches(graph, plan, host_target());
  Storage storage = plan_storage(graph, plan, list, keep_all);
  stream_large_results(graph, storage, host_target(), list);
  Backend& backend = backend_for(options);
  const BackendCounts before = backend.counts();
  std::vector<std::shared_ptr<CompiledKernel>> compiled(list.kernels.size());
  tbb::parallel_for(size_t{0}, compiled.size(), [&](size_t i) {
    check_interrupt();
    compiled[i] = backend.compile(list.kernels[i]);
  });
  const BackendCounts after = backend.counts();
  kernel_count += after.compiled - before.compiled;
  cached_count += after.cached - before.cached;
  auto impl = std::make_shared<Program::Impl>(graph, options, std::move(plan), std::move(list),
                                              std::move(compiled), std::move(storage));
  if (dump) dump->program(*impl);
  return impl;
}

// Advances the state of every random stream that the graph draws from.
void advance_random_states(Graph& graph) {
  std::set<Value> keys;
  std::set<const Slot*> assigned;
  for (Value v : graph.assigns()) assigned.insert(graph.node(v).attributes.slot.get());
  for (Value v = 0; v < graph.size(); ++v) {
    if (graph.node(v).op == MetaOp::random) keys.insert(graph.node(v).operands[0]);
  }
  for (Value key : keys) {
    const Node& node = graph.node(key);
    if (node.op != MetaOp::parameter || assigned.contains(node.attributes.slot.get())) continue;
    const std::shared_ptr<Slot> slot = node.attributes.slot;
    const int64_t one_step[2] = {0, 1};
    const Value step = meta::constant(graph, {DType::i64, {2}}, std::as_bytes(std::span(one_step)));
    meta::assign(graph, slot, meta::binary(graph, BinaryOp::add, key, step));
  }
}

Graph signature_of(const Graph& graph) {
  const std::vector<bool> live = live_nodes(graph);
  Graph result;
  for (Value v = 0; v < graph.size(); ++v) {
    const Node& node = graph.node(v);
    if (node.op != MetaOp::input) continue;
    const Value input = meta::input(result, node.attributes.name, node.type);
    if (live[v]) result.add_output(node.attributes.name, input);
  }
  for (const SizeGuard& guard : graph.guards()) result.add_guard(guard);
  return result;
}

Program compile_graph(const Graph& graph, const Options& options,
                      std::shared_ptr<optim::Optimizer> optimizer) {
  const std::vector<Expr> untold = untold_symbols(graph);
  PLAIT_CHECK(untold.empty(), "compile",
              "no input tells the size of dimension '{}'. hint: declare an input that has it as an "
              "axis",
              untold.front().name());
  std::optional<Dump> dump;
  if (!options.dump.empty()) dump.emplace(options.dump);
  if (dump) dump->graph("graph", graph);
  std::function<void(const char*, const Graph&)> after;
  if (dump) after = [&](const char* name, const Graph& result) { dump->graph(name, result); };
  const Graph simplified = run_graph_passes(graph, options, after);
  auto impl = build(simplified, options, options.fuse, false, dump ? &*dump : nullptr);
  if (options.check) impl->unfused = build(simplified, options, false, true, nullptr);
  impl->optimizer = std::move(optimizer);
  impl->signature = signature_of(graph);
  if (impl->unfused) impl->unfused->signature = impl->signature;
  compile_log().add(simplified, options);
  return Program(std::move(impl));
}

// The part of the outputs' graph that they need, with all its assigns, in a graph of its own.
std::shared_ptr<Graph> copy_for_compile(const std::vector<Tensor>& outputs) {
  PLAIT_CHECK(!outputs.empty(), "compile", "needs at least one output");
  std::vector<Tensor> tensors = outputs;
  const std::shared_ptr<Graph> source = detail::graph_of(tensors);
  const auto rooted = std::make_shared<Graph>(*source);
  // Values of the source keep their numbers in its copy.
  for (Tensor& tensor : tensors) {
    if (tensor.graph() == source) tensor = {rooted, tensor.value()};
  }
  const std::vector<Value> values = detail::values_in(*rooted, tensors);
  for (size_t i = 0; i < values.size(); ++i) rooted->add_output(std::to_string(i), values[i]);
  return std::make_shared<Graph>(
      rewrite_graph(*rooted, [](Graph&, const Node&, std::span<const Value>) { return kNoValue; }));
}

}  // namespace

Program compile(const Graph& graph, const Options& options) {
  Graph copy = graph;
  advance_random_states(copy);
  return compile_graph(copy, options, nullptr);
}

Program compile(const std::vector<Tensor>& outputs, const Options& options) {
  const std::shared_ptr<Graph> graph = copy_for_compile(outputs);
  reset_current_graph();
  advance_random_states(*graph);
  return compile_graph(*graph, options, nullptr);
}

Program compile(const std::vector<Tensor>& outputs, std::shared_ptr<optim::Optimizer> optimizer,
                const Options& options) {
  const std::shared_ptr<Graph> graph = copy_for_compile(outputs);
  reset_current_graph();
  const Value loss = graph->outputs().front().value;
  const std::vector<bool> live = live_nodes(*graph);
  // A parameter that the loss does not depend on gets no gradient, and stays as it is.
  std::vector<Value> parameters;
  std::vector<size_t> index;
  const auto& slots = optimizer->parameters();
  for (size_t i = 0; i < slots.size(); ++i) {
    const Value v = meta::parameter(*graph, slots[i]);
    if (v >= live.size()) continue;
    parameters.push_back(v);
    index.push_back(i);
  }
  const std::vector<Value> cotangents = gradients(*graph, loss, parameters);
  std::vector<Tensor> by_parameter(slots.size());
  for (size_t i = 0; i < index.size(); ++i) by_parameter[index[i]] = Tensor(graph, cotangents[i]);
  optimizer->update(by_parameter);
  advance_random_states(*graph);
  return compile_graph(*graph, options, std::move(optimizer));
}

CompileCount compile_count() {
  CompileCount count;
  compile_log().copy_to(count);
  count.kernels = kernel_count;
  count.kernels_cached = cached_count;
  return count;
}

}  // namespace plait
