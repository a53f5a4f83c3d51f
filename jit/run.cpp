// One run of a program.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <unordered_map>

#include "core/error.h"
#include "core/interrupt.h"
#include "core/rules/evaluate.h"
#include "jit/program_impl.h"
#include "jit/thread_pool.h"

namespace plait {
namespace {

// Less work than this (nanoseconds) is done before other threads have woken up.
constexpr double kInline = 20000;
// Pieces of a phase that go to a thread at a time.
constexpr double kPiece = 10000;

int64_t number(Expr e, const SymbolValues& symbols) {
  return evaluate(
      e, [](uint32_t id) -> int64_t { PLAIT_UNREACHABLE("variable {} in a size", id); }, symbols);
}

std::vector<int64_t> numbers(const Shape& shape, const SymbolValues& symbols) {
  std::vector<int64_t> result;
  for (Expr e : shape) result.push_back(number(e, symbols));
  return result;
}

// What a reindex reads or a scatter writes.
const Shape& indexed_shape(const Graph& graph, Value owner) {
  const Node& node = graph.node(owner);
  return node.op == MetaOp::scatter ? node.type.shape : graph.type(node.operands[0]).shape;
}

// The first element that is not in [0, extent), or -1.
int64_t first_outside(const Array& indices, int64_t extent) {
  const int64_t count = indices.count();
  const auto find = [&](const auto& at) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t index = at(i);
      if (index < 0 || index >= extent) return i;
    }
    return int64_t{-1};
  };
  if (indices.dtype == DType::i64) {
    return find([data = indices.data<int64_t>()](int64_t i) { return data[i]; });
  }
  if (indices.dtype == DType::i32) {
    return find([data = indices.data<int32_t>()](int64_t i) { return int64_t{data[i]}; });
  }
  return find([&](int64_t i) { return indices.at(i).as_int(); });
}

std::vector<int64_t> position_of(int64_t element, std::vector<int64_t> shape) {
  for (size_t k = shape.size(); k-- > 0;) {
    const int64_t extent = std::max<int64_t>(shape[k], 1);
    shape[k] = element % extent;
    element /= extent;
  }
  return shape;
}

}  // namespace

// Who runs the phases of one run, and their memory.
struct Program::Impl::Workers {
  ThreadPool& pool;
  ThreadPool::Scratch scratch;
};

Program::Impl::Impl(Graph graph, const Options& options, fusion::FusionPlan plan, LaunchList list,
                    std::vector<std::shared_ptr<CompiledKernel>> compiled, Storage storage)
    : graph_(std::move(graph)),
      plan_(std::move(plan)),
      shared_list_(std::make_shared<const LaunchList>(std::move(list))),
      list_(*shared_list_),
      compiled_(std::move(compiled)),
      storage_(std::move(storage)),
      threads_(options.threads) {
  std::unordered_map<size_t, std::shared_ptr<KernelEntry>> entries;  // by kernel
  for (size_t i = 0; i < list_.launches.size(); ++i) {
    check_interrupt();
    const Launch& launch = list_.launches[i];
    for (const Segment& segment : launch.segments) {
      std::shared_ptr<KernelEntry>& entry = entries[segment.kernel];
      if (!entry) {
        entry = std::make_shared<KernelEntry>(segment.name, shared_list_, segment.kernel,
                                              compiled_[segment.kernel]);
        infos_.push_back(entry);
      }
      entry->add(segment, i);
    }
    pointers_.emplace_back();
    for (const Segment& segment : launch.segments) {
      pointers_.back().emplace_back(segment.buffers.size());
    }
  }
  interruptible_ = list_.launches.size();
  for (size_t i = list_.launches.size(); i-- > 0;) {
    for (const std::vector<Location>& segment : storage_.launches[i]) {
      for (const Location& buffer : segment) {
        const bool over_a_slot =
            buffer.place == Place::assigned && storage_.assigns[buffer.index].in_place;
        if (over_a_slot) interruptible_ = i;
      }
    }
  }
  outputs_.resize(graph_.outputs().size());
  targets_.resize(storage_.assigns.size());
  spare_.resize(storage_.assigns.size());
  slot_values_.resize(storage_.slots.size());
  // With fixed sizes the memory is known, and taken, before the first run.
  if (!has_symbols()) {
    bind_sizes({});
    ThreadPool::get(threads_).scratch(bound_->local_bytes);
  }
}

bool Program::Impl::has_symbols() const {
  const std::vector<bool> live = live_nodes(graph_);
  for (Value v = 0; v < graph_.size(); ++v) {
    if (!live[v]) continue;
    for (Expr extent : graph_.type(v).shape) {
      if (!extent.constant()) return true;
    }
  }
  return false;
}

std::vector<Array> Program::Impl::run(const std::map<std::string, Array>& inputs) {
  std::lock_guard lock(mutex_);
  return run_once(inputs);
}

std::vector<Array> Program::Impl::run_once(const std::map<std::string, Array>& inputs) {
  // Programs share slots: one run at a time of those that have any. Others overlap.
  static std::mutex slots_mutex;
  std::unique_lock slots_lock(slots_mutex, std::defer_lock);
  if (!storage_.slots.empty()) slots_lock.lock();
  if (!optimizer) return run_locked(inputs, true);
  std::map<std::string, Array> all = inputs;
  for (const auto& [name, value] : optimizer->scalars()) all.insert_or_assign(name, value);
  std::vector<Array> outputs = run_locked(all, true);
  optimizer->advance();
  return outputs;
}

std::vector<std::string> Program::Impl::input_names() const {
  std::vector<std::string> names;
  for (Value v = 0; v < signature.size(); ++v) names.push_back(signature.node(v).attributes.name);
  return names;
}

void Program::Impl::check_inputs(const std::map<std::string, Array>& inputs) const {
  const std::vector<std::string> names = input_names();
  const auto is_given = [&](const std::string& name) { return inputs.contains(name); };
  if (static_cast<size_t>(std::ranges::count_if(names, is_given)) == inputs.size()) return;
  for (const auto& [name, array] : inputs) {
    PLAIT_CHECK(std::ranges::find(names, name) != names.end(), "run",
                "there is no input '{}'; got {}. hint: the inputs are: {}", name,
                to_string(array.type()), fmt::join(names, ", "));
  }
}

const Program::Impl::Bound& Program::Impl::bind(const std::map<std::string, Array>& inputs) {
  check_inputs(inputs);
  SymbolValues symbols = infer_symbols(signature, inputs);
  if (!bound_ || bound_->symbols != symbols) bind_sizes(std::move(symbols));
  return *bound_;
}

void Program::Impl::bind_sizes(SymbolValues symbols) {
  bound_.reset();
  Bound bound;
  bound.symbols = std::move(symbols);
  std::vector<std::vector<SymbolValues>> arguments;  // launch, segment: the kernel's symbols
  for (const Launch& launch : list_.launches) {
    check_interrupt();
    arguments.emplace_back();
    bound.sizes.emplace_back();
    bound.iterations.emplace_back();
    for (const Segment& segment : launch.segments) {
      const kernel::Kernel& kernel = list_.kernels[segment.kernel];
      SymbolValues& here = arguments.back().emplace_back();
      std::vector<int64_t> sizes;
      for (size_t i = 0; i < segment.sizes.size(); ++i) {
        sizes.push_back(number(segment.sizes[i], bound.symbols));
        here[kernel.symbols[i]] = sizes.back();
      }
      std::vector<int64_t> iterations;
      for (const kernel::Phase& phase : kernel.phases) {
        iterations.push_back(number(phase.extent, here));
      }
      bound.local_bytes =
          std::max(bound.local_bytes, compiled_[segment.kernel]->local_bytes(sizes.data()));
      bound.sizes.back().push_back(std::move(sizes));
      bound.iterations.back().push_back(std::move(iterations));
    }
  }
  std::vector<Lifetime> lifetimes;
  for (const ArenaItem& item : storage_.arena) {
    const SymbolValues& sizes = item.segment ? arguments[item.first][*item.segment] : bound.symbols;
    lifetimes.push_back({static_cast<size_t>(number(item.bytes, sizes)), item.first, item.last});
  }
  bound.memory = plan_memory(lifetimes);
  bound.arena = Buffer::allocate(bound.memory.bytes);
  for (const Output& output : graph_.outputs()) {
    bound.output_shapes.push_back(numbers(graph_.type(output.value).shape, bound.symbols));
  }
  bound_ = std::move(bound);
}

// Memory for outputs and new slot values: what earlier runs left, if nobody holds it.
void Program::Impl::prepare_targets(const Bound& bound, bool commits) {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Array& output = outputs_[i];
    const bool reusable =
        output.buffer && output.buffer.use_count() == 1 && output.shape == bound.output_shapes[i];
    if (reusable) continue;
    output = Array::empty(graph_.type(graph_.outputs()[i].value).dtype, bound.output_shapes[i]);
  }
  for (size_t i = 0; i < storage_.slots.size(); ++i) {
    slot_values_[i] = storage_.slots[i]->value().buffer;
  }
  for (size_t i = 0; i < storage_.assigns.size(); ++i) {
    const AssignState& assign = storage_.assigns[i];
    const Array& old = storage_.slots[assign.slot]->value();
    // Two holders: the slot and this run. Foreign memory is its owner's to write to.
    const bool ours = old.buffer->is_owned() && old.buffer.use_count() == 2;
    if (assign.in_place && commits && ours) {
      targets_[i] = old;
      continue;
    }
    const bool reusable = spare_[i].buffer && spare_[i].buffer.use_count() == 1;
    targets_[i] = reusable ? spare_[i] : Array::empty(old.dtype, old.shape);
    spare_[i] = {};
  }
}

void* Program::Impl::address(Location location, const std::map<std::string, Array>& inputs) const {
  switch (location.place) {
    case Place::input:
      return inputs.at(storage_.inputs[location.index]).buffer->data();
    case Place::slot:
      return slot_values_[location.index]->data();
    case Place::constant:
      return storage_.constants[location.index].buffer->data();
    case Place::arena:
      return static_cast<std::byte*>(bound_->arena->data()) +
             bound_->memory.offsets[location.index];
    case Place::output:
      return outputs_[location.index].buffer->data();
    case Place::assigned:
      return targets_[location.index].buffer->data();
    case Place::none:
      break;
  }
  PLAIT_UNREACHABLE("a value without a place");
}

std::vector<Array> Program::Impl::run_locked(const std::map<std::string, Array>& inputs,
                                             bool commits) {
  const Bound& bound = bind(inputs);
  check_indices(inputs);
  // However it ends, the run holds no slot's value any more.
  const auto let_go = [](std::vector<std::shared_ptr<Buffer>>* values) {
    for (std::shared_ptr<Buffer>& value : *values) value.reset();
  };
  const std::unique_ptr<std::vector<std::shared_ptr<Buffer>>, decltype(let_go)> held(&slot_values_,
                                                                                     let_go);
  if (unfused) unfused->run_locked(inputs, false);
  prepare_targets(bound, commits);
  ThreadPool& pool = ThreadPool::get(threads_);
  const Workers workers{pool, pool.scratch(bound.local_bytes)};
  for (size_t i = 0; i < list_.launches.size(); ++i) {
    if (!launch_seconds_) {
      launch(i, bound, inputs, workers);
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    launch(i, bound, inputs, workers);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    (*launch_seconds_)[i] = elapsed.count();
  }
  copy_results(inputs);
  std::vector<Array> results = outputs_;
  if (commits) commit();
  return results;
}

void Program::Impl::launch(size_t index, const Bound& bound,
                           const std::map<std::string, Array>& inputs, const Workers& workers) {
  const Launch& launch = list_.launches[index];
  if (index <= interruptible_) check_interrupt();
  for (size_t s = 0; s < launch.segments.size(); ++s) {
    for (size_t b = 0; b < launch.segments[s].buffers.size(); ++b) {
      pointers_[index][s][b] = address(storage_.launches[index][s][b], inputs);
    }
  }
  errors_.assign(launch.segments.size(), {});
  size_t phases = 0;
  for (const auto& iterations : bound.iterations[index]) {
    phases = std::max(phases, iterations.size());
  }
  for (size_t phase = 0; phase < phases; ++phase) run_phase(index, phase, bound, workers);
  for (size_t s = 0; s < errors_.size(); ++s) {
    if (errors_[s].site >= 0) raise_bad_index(index, s);
  }
  if (unfused) compare_with_unfused(index);
}

// The iterations of all segments, side by side.
void Program::Impl::run_phase(size_t index, size_t phase, const Bound& bound,
                              const Workers& workers) {
  const Launch& launch = list_.launches[index];
  // Of one segment; none in phases that its kernel does not have.
  auto iterations = [&](size_t s) {
    const std::vector<int64_t>& by_phase = bound.iterations[index][s];
    return phase < by_phase.size() ? by_phase[phase] : 0;
  };
  int64_t total = 0;
  double work = 0;
  for (size_t s = 0; s < launch.segments.size(); ++s) {
    const int64_t count = iterations(s);
    if (count == 0) continue;
    const kernel::Kernel& kernel = list_.kernels[launch.segments[s].kernel];
    total += count;
    work += static_cast<double>(count) * std::max(1.0, kernel.phases[phase].cost);
  }
  if (total == 0) return;
  auto run_range = [&](int64_t begin, int64_t end, int thread) {
    if (index < interruptible_) check_interrupt();
    int64_t start = 0;
    for (size_t s = 0; s < launch.segments.size(); ++s) {
      const int64_t count = iterations(s);
      const int64_t from = std::max(begin, start), to = std::min(end, start + count);
      if (from < to) {
        const CompiledKernel& kernel = *compiled_[launch.segments[s].kernel];
        kernel.run(phase, {pointers_[index][s].data(), bound.sizes[index][s].data(), from - start,
                           to - start, workers.scratch.of_thread(thread), &errors_[s]});
      }
      start += count;
    }
  };
  if (work < kInline) return run_range(0, total, 0);
  const auto grain =
      static_cast<int64_t>(std::max(1.0, kPiece * static_cast<double>(total) / work));
  workers.pool.run(total, grain, run_range);
}

void Program::Impl::check_indices(const std::map<std::string, Array>& inputs) const {
  for (const IndexCheck& check : storage_.checks) {
    const Array& indices = inputs.at(storage_.inputs[check.input]);
    const int64_t extent = number(indexed_shape(graph_, check.owner)[check.axis], bound_->symbols);
    const int64_t bad = first_outside(indices, extent);
    if (bad < 0) continue;
    // Where the node has it first.
    const Node& node = graph_.node(check.owner);
    const Shape& shape =
        node.op == MetaOp::scatter ? graph_.type(node.operands[1]).shape : node.type.shape;
    std::vector<int64_t> position(shape.size(), 0);
    const std::vector<int64_t> at = position_of(bad, indices.shape);
    const std::span<const Expr> axes = node.attributes.map[check.axis].operands();
    for (size_t k = 0; k < axes.size(); ++k) {
      if (axes[k].kind() == ExprKind::variable) position[axes[k].id()] = at[k];
    }
    raise_bad_index(check.owner, check.axis, indices.at(bad).as_int(), position);
  }
}

void Program::Impl::raise_bad_index(size_t index, size_t segment) const {
  const Launch& launch = list_.launches[index];
  const ErrorRecord& error = errors_[segment];
  const auto number_of_site = static_cast<size_t>(error.site);
  const kernel::ErrorSite& site =
      list_.kernels[launch.segments[segment].kernel].sites[number_of_site];
  const Value owner = launch.segments[segment].axis_owners[number_of_site];
  // The position is that of the result (reindex) or of the update (scatter).
  const Node& node = graph_.node(owner);
  const Shape& shape =
      node.op == MetaOp::scatter ? graph_.type(node.operands[1]).shape : node.type.shape;
  raise_bad_index(owner, static_cast<size_t>(site.axis), error.value,
                  position_of(error.position, numbers(shape, bound_->symbols)));
}

void Program::Impl::raise_bad_index(Value owner, size_t axis, int64_t index,
                                    const std::vector<int64_t>& position) const {
  const std::span<const Origin> origins = graph_.origins(owner);
  const std::string op = origins.empty() || origins[0].scope.empty()
                             ? std::string(name_of(graph_.node(owner).op))
                             : origins[0].scope;
  const std::string line = origins.empty() || origins[0].file.empty()
                               ? std::string()
                               : fmt::format(" ({}:{})", origins[0].file, origins[0].line);
  const int64_t extent = number(indexed_shape(graph_, owner)[axis], bound_->symbols);
  throw UserError(
      fmt::format("[{}] index out of range; got index {} for axis {} of size {} at position "
                  "[{}]{}. hint: indices lie in [0, {}); no slot has been written",
                  op, index, axis, extent, fmt::join(position, ", "), line, extent));
}

void Program::Impl::copy_results(const std::map<std::string, Array>& inputs) {
  for (const FinalCopy& copy : storage_.copies) {
    const Array& to =
        copy.to.place == Place::output ? outputs_[copy.to.index] : targets_[copy.to.index];
    if (to.bytes() == 0) continue;
    std::memcpy(to.buffer->data(), address(storage_.values[copy.from], inputs), to.bytes());
  }
}

void Program::Impl::commit() {
  for (size_t i = 0; i < storage_.assigns.size(); ++i) {
    Slot& slot = *storage_.slots[storage_.assigns[i].slot];
    const Array& old = slot.value();
    if (targets_[i].buffer != old.buffer && old.buffer->is_owned()) spare_[i] = old;
    slot.set(std::move(targets_[i]));
    targets_[i] = {};
  }
}

// Every value that the launch stored, against the same value computed by itself: bit by bit.
void Program::Impl::compare_with_unfused(size_t index) const {
  const Launch& launch = list_.launches[index];
  for (size_t s = 0; s < launch.segments.size(); ++s) {
    const kernel::Kernel& kernel = list_.kernels[launch.segments[s].kernel];
    for (size_t b = 0; b < launch.segments[s].buffers.size(); ++b) {
      const Value v = launch.segments[s].buffers[b].value;
      if (v == kNoValue || kernel.buffers[b].access == kernel::Access::read) continue;
      const Type& type = graph_.type(v);
      const size_t size = dtype_size(type.dtype);
      const auto* got = static_cast<const std::byte*>(pointers_[index][s][b]);
      const auto* expected =
          static_cast<const std::byte*>(unfused->address(unfused->storage_.values[v], {}));
      const int64_t count = number(element_count(type.shape), bound_->symbols);
      for (int64_t i = 0; i < count; ++i) {
        if (std::memcmp(got + i * size, expected + i * size, size) == 0) continue;
        const Scalar a = Scalar::load(type.dtype, got + i * size);
        const Scalar e = Scalar::load(type.dtype, expected + i * size);
        // The payload of a NaN is not part of the contract.
        const bool both_nan = is_float(type.dtype) && a.as_double() != a.as_double() &&
                              e.as_double() != e.as_double();
        if (both_nan) continue;
        throw InternalError(fmt::format(
            "options.check: kernel {} gives {} for element {} of %{} ({}), unfused it is {}",
            launch.segments[s].name, a.to_string(), i, v, to_string(type), e.to_string()));
      }
    }
  }
}

size_t Program::Impl::peak_bytes() const {
  size_t total = 0;
  if (bound_) {
    const auto threads = static_cast<size_t>(ThreadPool::get(threads_).threads());
    total = bound_->memory.bytes + threads * bound_->local_bytes;
  }
  for (const Array& output : outputs_) total += output.buffer ? output.bytes() : 0;
  for (const Array& spare : spare_) total += spare.buffer ? spare.bytes() : 0;
  return total;
}

std::string Program::Impl::debug_string() const {
  static constexpr const char* kPlaces[] = {"none",  "input",  "slot",    "constant",
                                            "arena", "output", "assigned"};
  std::string text;
  for (size_t i = 0; i < list_.launches.size(); ++i) {
    const Launch& launch = list_.launches[i];
    for (size_t s = 0; s < launch.segments.size(); ++s) {
      const Segment& segment = launch.segments[s];
      const kernel::Kernel& kernel = list_.kernels[segment.kernel];
      text += fmt::format("{} {} {}\n", s == 0 ? fmt::format("launch {}", i) : "   beside",
                          segment.name, kernel.name);
      for (size_t b = 0; b < segment.buffers.size(); ++b) {
        const Value v = segment.buffers[b].value;
        const Location location = storage_.launches[i][s][b];
        text += fmt::format("    {}: {} {}{}\n", kernel.buffers[b].name,
                            v == kNoValue ? "workspace" : fmt::format("%{}", v),
                            kPlaces[static_cast<size_t>(location.place)],
                            location.place == Place::arena && bound_
                                ? fmt::format(" at {}", bound_->memory.offsets[location.index])
                                : "");
      }
    }
  }
  return text;
}

}  // namespace plait
