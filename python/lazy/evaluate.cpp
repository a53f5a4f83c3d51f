#include "python/lazy/evaluate.h"

#include <algorithm>
#include <bit>
#include <list>
#include <unordered_set>

#include "core/error.h"
#include "core/graph/build.h"
#include "jit/compile.h"
#include "ops/compose.h"
#include "python/lazy/call.h"
#include "python/lazy/capture.h"
#include "python/lazy/emit.h"
#include "python/lazy/region.h"

namespace plait::lazy {
namespace {

// A map that forgets what was not used for longest.
template <class T>
class Recent {
 public:
  explicit Recent(size_t most) : most_(most) {}
  T* find(const Hash& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, it->second);
    return &it->second->second;
  }
  T& add(const Hash& key, T value) {
    if (T* known = find(key)) return *known;
    entries_.emplace_front(key, std::move(value));
    index_[key] = entries_.begin();
    if (entries_.size() > most_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return entries_.front().second;
  }
  size_t size() const { return entries_.size(); }
  void clear() {
    index_.clear();
    entries_.clear();
  }

 private:
  size_t most_;
  std::list<std::pair<Hash, T>> entries_;  // the latest first
  std::map<Hash, typename std::list<std::pair<Hash, T>>::iterator> index_;
};

// The numbers of a structure, each at the value it was seen with first until it varies.
struct Numbers {
  std::vector<double> first;
  std::vector<bool> varying, fixed;
};

struct CachedProgram {
  Program program;
  std::vector<DType> number_dtypes;
  std::vector<std::string> inputs;  // sorted; an op may not need all its operands
  // Slots and an optimizer that the key names by address must outlive the key.
  std::vector<std::shared_ptr<Slot>> slots;
  std::shared_ptr<optim::Optimizer> optimizer;
};

Recent<CachedProgram>& programs() {
  static Recent<CachedProgram> cache(kMaxPrograms);
  return cache;
}
Recent<Program>& captured_programs() {
  static Recent<Program> cache(kMaxPrograms);
  return cache;
}
Recent<Numbers>& numbers() {
  static Recent<Numbers> cache(16 * kMaxPrograms);
  return cache;
}

Unlocked& unlocked() {
  static Unlocked runner = [](const std::function<void()>& f) { f(); };
  return runner;
}

Numbers& numbers_of(const Plan& plan) {
  const auto& seen = plan.numbers();
  Numbers* known = numbers().find(plan.structure());
  if (!known) {
    Numbers first;
    for (const Plan::Number& number : seen) first.first.push_back(number.value);
    first.varying.assign(seen.size(), false);
    first.fixed.assign(seen.size(), false);
    return numbers().add(plan.structure(), std::move(first));
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    const bool same =
        std::bit_cast<uint64_t>(known->first[i]) == std::bit_cast<uint64_t>(seen[i].value);
    if (!same && !known->fixed[i]) known->varying[i] = true;
  }
  return *known;
}

Hash program_key(const Plan& plan, const Numbers& n, const optim::Optimizer* optimizer) {
  std::string key;
  const auto add = [&](const auto& value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  add(plan.structure());
  add(optimizer);
  for (size_t i = 0; i < n.first.size(); ++i) {
    key += n.varying[i] ? 'v' : 'f';
    if (!n.varying[i]) add(plan.numbers()[i].value);
  }
  const Options& options = Options::global();
  add(options.threads);
  key += options.dump + '\n' + options.cache_dir + '\n' + options.key();
  return hash_bytes(key);
}

// The graph of the plan, with numbers as inputs where that works.
Emitter emit_plan(const Plan& plan, Numbers& n) {
  while (true) {
    reset_current_graph();
    try {
      return Emitter(plan, n.varying, false);
    } catch (const FixedNumber& fixed) {
      n.varying[fixed.number] = false;
      n.fixed[fixed.number] = true;
    }
  }
}

CachedProgram build(const Plan& plan, Numbers& n,
                    const std::shared_ptr<optim::Optimizer>& optimizer,
                    const std::vector<Ref>& gradients) {
  const Emitter emitter = emit_plan(plan, n);
  std::vector<Tensor> outputs;
  for (const Ref& ref : plan.outputs()) outputs.push_back(emitter.at(ref));
  if (optimizer) {
    std::vector<Tensor> tensors;
    for (const Ref& ref : gradients) tensors.push_back(ref ? emitter.at(ref) : Tensor());
    optimizer->update(tensors);
  }
  CachedProgram result{Program(nullptr), {}, {}, {}, optimizer};
  for (size_t i = 0; i < plan.numbers().size(); ++i) {
    result.number_dtypes.push_back(emitter.number_dtype(i));
  }
  for (const Ref& ref : plan.inputs()) {
    if (plan.reads_slot(ref)) result.slots.push_back(ref.node->slot);
  }
  const Options options = Options::global();
  run_unlocked([&] { result.program = compile(outputs, options); });
  result.inputs = result.program.input_names();
  std::sort(result.inputs.begin(), result.inputs.end());
  return result;
}

// Names and values, taken before other threads may run.
std::map<std::string, Array> inputs_of(const Plan& plan) {
  std::map<std::string, Array> inputs;
  for (size_t i = 0; i < plan.inputs().size(); ++i) {
    const Ref& ref = plan.inputs()[i];
    if (plan.reads_slot(i)) continue;
    PLAIT_INTERNAL_CHECK(ref.node->computed(ref.index), "an input has no value");
    inputs.emplace("input" + std::to_string(i), ref.node->arrays[ref.index]);
  }
  for (size_t i = 0; i < plan.draws().size(); ++i) {
    inputs.emplace("key" + std::to_string(i), plan.draws()[i]->key);
  }
  return inputs;
}

void add_numbers(std::map<std::string, Array>& inputs, const Plan& plan,
                 const std::vector<bool>& varying, const CachedProgram& cached) {
  for (size_t i = 0; i < plan.numbers().size(); ++i) {
    if (!varying[i]) continue;
    const DType dtype = cached.number_dtypes[i];
    inputs.emplace("number" + std::to_string(i),
                   Array::full(dtype, {}, Scalar(dtype, plan.numbers()[i].value)));
  }
}

bool all_computed(const Node& node) {
  for (uint32_t i = 0; i < node.types.size(); ++i) {
    if (!node.computed(i)) return false;
  }
  return true;
}
bool keeps_history(const Node& node) { return node.requires_grad && !node.history_freed; }

// What gradients that do not run now pass through.
std::unordered_set<const Node*> needed_by_other_gradients(const Plan& plan) {
  std::unordered_set<const Node*> needed;
  std::vector<const Node*> pending;
  for (const Node* gradient : pending_gradients()) {
    if (!plan.emits(*gradient)) pending.push_back(gradient);
  }
  while (!pending.empty()) {
    const Node* node = pending.back();
    pending.pop_back();
    for (const Ref& operand : node->operands) {
      const Node* next = operand.node.get();
      if (next->requires_grad && needed.insert(next).second) pending.push_back(next);
    }
  }
  return needed;
}

// Results go to their nodes, which forget their operands unless gradients may need them.
void keep_results(const Plan& plan, std::vector<Array> results) {
  for (size_t i = 0; i < plan.outputs().size(); ++i) {
    const Ref& ref = plan.outputs()[i];
    ref.node->arrays[ref.index] = std::move(results[i]);
    ref.node->depth = 0;
  }
  const std::unordered_set<const Node*> needed = needed_by_other_gradients(plan);
  for (const NodePtr& node : plan.nodes()) {
    if (!all_computed(*node)) continue;
    if (node->kind == Kind::gradient) set_pending(*node, false);
    if (keeps_history(*node) || needed.contains(node.get())) continue;
    node->operands.clear();
    node->key = {};
  }
}

// Programs change the memory of a slot that nobody else holds. The values of slots that this plan
// alone needs are let go of while its program runs.
class SlotLoan {
 public:
  SlotLoan(const Plan& plan, const std::vector<Ref>& also_held) {
    std::unordered_map<const Node*, int64_t> held;  // references from here
    const auto count = [&](const std::vector<Ref>& refs) {
      for (const Ref& ref : refs) ++held[ref.node.get()];
    };
    count(also_held);
    count(plan.inputs());
    count(plan.outputs());
    for (const NodePtr& node : plan.nodes()) {
      ++held[node.get()];
      count(node->operands);
    }
    for (const NodePtr& node : plan.draws()) ++held[node.get()];
    std::unordered_set<const Node*> outputs;
    for (const Ref& ref : plan.outputs()) outputs.insert(ref.node.get());
    const std::unordered_set<const Node*> histories = needed_by_other_gradients(plan);
    std::unordered_set<const Node*> needed = histories;
    for (size_t i = plan.nodes().size(); i-- > 0;) {
      const NodePtr& node = plan.nodes()[i];
      const bool wanted = needed.contains(node.get()) || node.use_count() > held[node.get()];
      const bool known = outputs.contains(node.get()) || all_computed(*node);
      const bool forgets = known && !keeps_history(*node) && !histories.contains(node.get());
      if (!wanted || forgets) continue;
      for (const Ref& operand : node->operands) needed.insert(operand.node.get());
    }
    for (size_t i = 0; i < plan.inputs().size(); ++i) {
      const NodePtr& node = plan.inputs()[i].node;
      if (!plan.reads_slot(i) || needed.contains(node.get())) continue;
      if (node.use_count() > held[node.get()]) continue;
      node->arrays[0].buffer.reset();
      lent_.push_back(node);
    }
  }
  ~SlotLoan() {
    for (const NodePtr& node : lent_) {
      if (node->slot_version == node->slot->version()) node->arrays[0] = node->slot->value();
    }
  }
  SlotLoan(const SlotLoan&) = delete;
  SlotLoan& operator=(const SlotLoan&) = delete;

 private:
  std::vector<NodePtr> lent_;
};

struct Step {
  Recent<CachedProgram>& programs;
  std::shared_ptr<optim::Optimizer> optimizer;
  std::vector<Ref> gradients;
};

// The program of a plan, from memory if it is known.
struct Found {
  CachedProgram cached;
  std::vector<bool> varying;
  bool is_new;
};
Found find_program(const Plan& plan, const Step& step, bool anew) {
  Numbers& known = numbers_of(plan);
  const Hash key = program_key(plan, known, step.optimizer.get());
  if (CachedProgram* found = anew ? nullptr : step.programs.find(key)) {
    return {*found, known.varying, false};
  }
  // Compiling lets other threads run: what they change in the caches is not ours to hold.
  Numbers n = known;
  CachedProgram cached = build(plan, n, step.optimizer, step.gradients);
  if (Numbers* now = numbers().find(plan.structure())) *now = n;
  if (!anew) step.programs.add(program_key(plan, n, step.optimizer.get()), cached);
  return {std::move(cached), std::move(n.varying), true};
}

std::vector<Array> run_found(Found& found, const Plan& plan, const Step& step,
                             std::map<std::string, Array> inputs) {
  add_numbers(inputs, plan, found.varying, found.cached);
  if (step.optimizer) {
    for (const auto& [name, value] : step.optimizer->scalars())
      inputs.insert_or_assign(name, value);
  }
  const std::vector<std::string>& needed = found.cached.inputs;
  std::erase_if(inputs, [&](const auto& input) {
    return !std::binary_search(needed.begin(), needed.end(), input.first);
  });
  std::vector<Array> results;
  run_unlocked([&] { results = found.cached.program.run(inputs); });
  return results;
}

void run_plan(const Plan& plan, const Step& step) {
  const std::map<std::string, Array> inputs = inputs_of(plan);
  Found found = find_program(plan, step, false);
  const auto run = [&] {
    const SlotLoan loan(plan, step.gradients);
    return run_found(found, plan, step, inputs);
  };
  std::vector<Array> results;
  try {
    results = run();
  } catch (const UserError&) {
    // A program that equal calls shared names the lines of the first of them.
    if (found.is_new) throw;
    found = find_program(plan, step, true);
    results = run();
  }
  if (step.optimizer) step.optimizer->advance();
  keep_results(plan, std::move(results));
}

}  // namespace

class StepPrograms {
 public:
  StepPrograms() { all().push_back(this); }
  ~StepPrograms() { std::erase(all(), this); }
  StepPrograms(const StepPrograms&) = delete;
  StepPrograms& operator=(const StepPrograms&) = delete;

  static std::vector<StepPrograms*>& all() {
    static auto& list = *new std::vector<StepPrograms*>;
    return list;
  }

  Recent<CachedProgram> recent{16};
};
std::shared_ptr<StepPrograms> make_step_programs() { return std::make_shared<StepPrograms>(); }

void set_unlocked(Unlocked runner) { unlocked() = std::move(runner); }
void run_unlocked(const std::function<void()>& f) { unlocked()(f); }

void evaluate(const std::vector<Ref>& refs) {
  std::vector<Ref> targets;
  for (const Ref& ref : refs) {
    if (!ref.node->computed(ref.index)) targets.push_back(ref);
  }
  if (targets.empty()) return;
  check_not_capturing("evaluate");
  std::erase_if(targets, [](const Ref& ref) { return take_part(ref.node); });
  if (targets.empty()) return;
  run_plan(Plan(targets, true, false), {programs(), nullptr, {}});
}

Array array_of(const Ref& ref) {
  evaluate({ref});
  return ref.node->arrays[ref.index];
}

void step(const std::shared_ptr<optim::Optimizer>& optimizer, std::vector<Ref> gradients,
          StepPrograms& programs) {
  check_not_capturing("step");
  std::vector<Ref> targets;
  for (const Ref& ref : gradients) {
    if (ref) targets.push_back(ref);
  }
  PLAIT_CHECK(!targets.empty(), "step",
              "no parameter has a gradient. hint: call backward() on the loss first");
  const Plan plan(std::move(targets), true, true);
  run_plan(plan, {programs.recent, optimizer, std::move(gradients)});
}

namespace {

// What a program without slots is known by; nothing if it has some.
std::optional<Hash> key_of_captured(const Plan& plan, const std::vector<Ref>& results,
                                    const Capture& capture, const Options& options) {
  std::string key;
  const auto add = [&](const auto& value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  add(plan.structure());
  add(results.size());
  for (const Plan::Number& number : plan.numbers()) add(number.value);
  for (const Capture::External& external : capture.externals()) {
    if (external.written() && external.cell->slot()) return std::nullopt;
  }
  for (size_t i = 0; i < plan.inputs().size(); ++i) {
    if (plan.reads_slot(i)) return std::nullopt;
    const Node& node = *plan.inputs()[i].node;
    if (node.kind != Kind::array) continue;
    const Array& array = node.arrays[0];
    key.append(array.data<char>(), array.bytes());
  }
  add(options.threads);
  key += options.dump + '\n' + options.cache_dir + '\n' + options.key();
  return hash_bytes(key);
}

}  // namespace

Captured compile_captured(const std::vector<Ref>& results, const Capture& capture,
                          std::shared_ptr<optim::Optimizer> optimizer, const Options& options) {
  std::vector<Ref> targets = results;
  for (const Capture::External& external : capture.externals()) {
    if (external.written()) targets.push_back(external.now);
  }
  const Plan plan(targets, false, true);
  Captured captured{Program(nullptr), results.size(), {}};
  std::optional<Hash> key;
  if (!optimizer) key = key_of_captured(plan, results, capture, options);
  if (const Program* known = key ? captured_programs().find(*key) : nullptr) {
    captured.program = *known;
    captured.used = known->input_names();
    return captured;
  }
  reset_current_graph();
  const Emitter emitter(plan, {}, true);
  std::vector<Tensor> outputs;
  for (const Ref& ref : results) outputs.push_back(emitter.at(ref));
  for (const Capture::External& external : capture.externals()) {
    if (!external.written()) continue;
    if (external.cell->slot()) {
      assign(external.cell->slot(), emitter.at(external.now));
    } else {
      outputs.push_back(emitter.at(external.now));
    }
  }
  run_unlocked([&] {
    captured.program = optimizer ? compile(outputs, optimizer, options) : compile(outputs, options);
  });
  captured.used = captured.program.input_names();
  if (key) captured_programs().add(*key, captured.program);
  return captured;
}

size_t cached_programs() {
  size_t count = programs().size() + captured_programs().size();
  for (const StepPrograms* each : StepPrograms::all()) count += each->recent.size();
  return count;
}

void clear_cache() {
  programs().clear();
  captured_programs().clear();
  for (StepPrograms* each : StepPrograms::all()) each->recent.clear();
  numbers().clear();
  clear_call_memory();
}

}  // namespace plait::lazy
