// Random programs with state, run several times: slots, outputs and errors of native code, fused or
// not and on several threads, are those of unfused interpreted code.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/graph/build.h"
#include "core/graph/text.h"
#include "jit/compile.h"
#include "tests/fuzz/graph_maker.h"
#include "tests/support/graphs.h"

namespace plait::testing {
namespace {

constexpr int kRuns = 4;

struct Subject {
  Graph graph;
  std::map<std::string, Array> inputs, bad_inputs;
  std::vector<std::shared_ptr<Slot>> slots;
  std::vector<Array> at_start;  // by slot
};

bool has_fixed_shape(const Type& type) {
  return std::ranges::all_of(type.shape, [](Expr extent) { return extent.constant().has_value(); });
}

// Some inputs become slots, some gathers and scatters report bad indices, and each slot may get the
// value of a node of its type.
class StateMaker {
 public:
  StateMaker(const MakerOptions& options) : random_(options.seed * 31 + 5), maker_(options) {}

  Subject make() {
    subject_.inputs = maker_.inputs;
    subject_.graph = rewrite_graph(maker_.graph, [&](Graph& g, const Node& node,
                                                     std::span<const Value> operands) {
      if (node.op == MetaOp::input) return slot_for(g, node);
      return node.op == MetaOp::reindex || node.op == MetaOp::scatter ? reporting(g, node, operands)
                                                                      : kNoValue;
    });
    subject_.bad_inputs = subject_.inputs;
    make_indices_good();
    add_assigns();
    return std::move(subject_);
  }

 private:
  bool chance(uint64_t percent) { return random_() % 100 < percent; }

  Value slot_for(Graph& g, const Node& node) {
    const std::string name = node.attributes.name;
    if (node.type.dtype == DType::i64 || !has_fixed_shape(node.type) || !chance(60)) {
      return kNoValue;
    }
    subject_.at_start.push_back(subject_.inputs.at(name));
    subject_.inputs.erase(name);
    subject_.slots.push_back(std::make_shared<Slot>(name, subject_.at_start.back().clone()));
    return meta::parameter(g, subject_.slots.back());
  }

  // With its index tensor an input, an axis that the index alone chooses.
  Value reporting(Graph& g, const Node& node, std::span<const Value> operands) {
    const size_t first = node.op == MetaOp::scatter ? 2 : 1;
    if (operands.size() != first + 1 || !chance(50)) return kNoValue;
    if (g.node(operands[first]).op != MetaOp::input) return kNoValue;
    for (size_t axis = 0; axis < node.attributes.map.size(); ++axis) {
      const Expr e = node.attributes.map[axis];
      const std::optional<int64_t> extent = g.type(operands[0]).shape[axis].constant();
      if (e.kind() != ExprKind::element) continue;
      // Nothing lies in an empty axis.
      if (!extent || *extent == 0) return kNoValue;
      indices_.emplace_back(g.node(operands[first]).attributes.name, *extent);
    }
    Attributes attributes = node.attributes;
    attributes.out_of_range = OutOfRange::error;
    return g.add(node.op, {operands.begin(), operands.end()}, attributes, node.type);
  }

  void make_indices_good() {
    for (const auto& [name, extent] : indices_) {
      Array& array = subject_.inputs.at(name);
      array = array.clone();
      for (int64_t i = 0; i < array.count(); ++i) {
        int64_t& index = array.data<int64_t>()[i];
        index = std::clamp<int64_t>(index, 0, extent - 1);
      }
    }
  }

  void add_assigns() {
    const std::vector<bool> live = live_nodes(subject_.graph);
    for (const std::shared_ptr<Slot>& slot : subject_.slots) {
      std::vector<Value> candidates;
      for (Value v = 0; v < live.size(); ++v) {
        if (live[v] && subject_.graph.type(v) == slot->type()) candidates.push_back(v);
      }
      if (candidates.empty() || !chance(80)) continue;
      meta::assign(subject_.graph, slot, candidates[random_() % candidates.size()]);
    }
  }

  std::mt19937_64 random_;
  GraphMaker maker_;
  Subject subject_;
  std::vector<std::pair<std::string, int64_t>> indices_;  // of those that report: the extent
};

// What the runs leave: outputs and slots by run, or the error.
struct Trace {
  std::vector<std::vector<Array>> outputs, slots;
  std::vector<std::string> errors;
  std::string complaint;  // of this trace alone
};

std::vector<Array> copies(const std::vector<Array>& arrays) {
  std::vector<Array> result;
  for (const Array& array : arrays) result.push_back(array.clone());
  return result;
}

bool all_same(const std::vector<Array>& a, const std::vector<Array>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) return false;
  }
  return true;
}

Trace trace_of(const Subject& subject, const Options& options) {
  for (size_t i = 0; i < subject.slots.size(); ++i) {
    subject.slots[i]->set(subject.at_start[i].clone());
  }
  Program program = compile(subject.graph, options);
  Trace trace;
  std::vector<std::vector<Array>> held;
  std::vector<Array> held_slot;  // an old value that somebody keeps
  std::vector<Array> held_slot_copy;
  for (int run = 0; run < kRuns; ++run) {
    const bool bad = run == 2;
    std::vector<Array> before, after;
    for (const auto& slot : subject.slots) before.push_back(slot->value().clone());
    if (run == 1 && !subject.slots.empty()) {
      held_slot = {subject.slots[0]->value()};
      held_slot_copy = copies(held_slot);
    }
    trace.errors.emplace_back();
    std::vector<Array> outputs;
    try {
      outputs = program.run(bad ? subject.bad_inputs : subject.inputs);
    } catch (const UserError& error) {
      trace.errors.back() = "error";
    }
    for (const auto& slot : subject.slots) after.push_back(slot->value().clone());
    if (!trace.errors.back().empty() && !all_same(before, after)) {
      trace.complaint = "a run that failed changed a slot";
    }
    trace.outputs.push_back(copies(outputs));
    trace.slots.push_back(std::move(after));
    // Of every other run the outputs stay with the caller.
    held.push_back(run % 2 == 0 ? outputs : std::vector<Array>());
  }
  for (int run = 0; run < kRuns; run += 2) {
    if (!all_same(held[run], trace.outputs[run])) trace.complaint = "a held output changed";
  }
  if (!all_same(held_slot, held_slot_copy)) trace.complaint = "a held value of a slot changed";
  return trace;
}

std::string difference(const Trace& got, const Trace& expected) {
  if (!got.complaint.empty()) return got.complaint;
  for (int run = 0; run < kRuns; ++run) {
    if (got.errors[run] != expected.errors[run]) {
      return fmt::format("run {}: {} and not {}", run,
                         got.errors[run].empty() ? "no error" : "error",
                         expected.errors[run].empty() ? "none" : "one");
    }
    if (!all_same(got.outputs[run], expected.outputs[run])) {
      return fmt::format("run {}: outputs differ", run);
    }
    if (!all_same(got.slots[run], expected.slots[run])) {
      return fmt::format("run {}: slots differ", run);
    }
  }
  return "";
}

Options options_for(Engine engine, bool fuse, bool check, int64_t threads) {
  Options options;
  options.backend = engine;
  options.fuse = fuse;
  options.check = check;
  options.threads = threads;
  options.cache_dir = "off";
  return options;
}

std::string complaint(const Subject& subject) {
  const Trace expected = trace_of(subject, options_for(Engine::interp, false, false, 1));
  if (!expected.complaint.empty()) return expected.complaint;
  const std::pair<const char*, Options> others[] = {
      {"native", options_for(Engine::llvm, true, false, 1)},
      {"checked", options_for(Engine::llvm, true, true, 1)},
      {"three threads", options_for(Engine::llvm, true, false, 3)},
      {"interpreted", options_for(Engine::interp, true, false, 1)},
  };
  for (const auto& [name, options] : others) {
    const std::string text = difference(trace_of(subject, options), expected);
    if (!text.empty()) return fmt::format("{}: {}", name, text);
  }
  return "";
}

uint64_t number_in(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

void check_seed(uint64_t seed) {
  MakerOptions options;
  options.seed = seed;
  options.numbers = static_cast<Numbers>(seed % 3);
  options.steps = 3 + static_cast<int>(seed / 3 % 16);
  options.symbolic = seed % 5 == 0;
  options.gradients = options.numbers == Numbers::smooth && seed % 2 == 0;
  if (seed % 7 == 3) options.scale = 5;
  std::string text, wrong;
  try {
    const Subject subject = StateMaker(options).make();
    text = to_text(subject.graph);
    wrong = complaint(subject);
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  INFO("seed " << seed << "\n" << text);
  CHECK(wrong == "");
}

}  // namespace

// Seeds FUZZ_FIRST … FUZZ_FIRST + FUZZ_COUNT - 1: by default the few that ctest has time for.
TEST_CASE("random programs with state agree over several runs") {
  const uint64_t first = number_in("FUZZ_FIRST", 1), count = number_in("FUZZ_COUNT", 150);
  for (uint64_t seed = first; seed < first + count; ++seed) check_seed(seed);
}

}  // namespace plait::testing
