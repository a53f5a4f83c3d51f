#include "jit/storage.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "core/interrupt.h"

namespace plait {
namespace {

class StoragePlanner {
 public:
  StoragePlanner(const Graph& graph, const fusion::FusionPlan& plan, const LaunchList& list,
                 bool keep_all)
      : graph_(graph), plan_(plan), list_(list), keep_all_(keep_all) {}

  Storage run() {
    result_.values.resize(graph_.size());
    place_sources();
    place_assigns_and_outputs();
    place_launches();
    find_safe_launches();
    allow_in_place();
    return std::move(result_);
  }

 private:
  void place_sources() {
    std::unordered_map<const Slot*, size_t> slots;
    for (Value v = 0; v < graph_.size(); ++v) {
      const Node& node = graph_.node(v);
      Location& location = result_.values[v];
      if (node.op == MetaOp::input) {
        location = {Place::input, result_.inputs.size()};
        result_.inputs.push_back(node.attributes.name);
        result_.input_values.push_back(v);
      } else if (node.op == MetaOp::parameter) {
        location = {Place::slot, slot_index(node.attributes.slot)};
      } else if (node.op == MetaOp::constant && plan_.in_memory[v]) {
        location = {Place::constant, result_.constants.size()};
        std::vector<int64_t> shape;
        for (Expr extent : node.type.shape) shape.push_back(*extent.constant());
        Array array = Array::empty(node.type.dtype, std::move(shape));
        if (array.bytes() > 0) {
          std::memcpy(array.data<std::byte>(), node.attributes.data->data(), array.bytes());
        }
        result_.constants.push_back(std::move(array));
      }
    }
  }

  size_t slot_index(const std::shared_ptr<Slot>& slot) {
    const auto it = std::find(result_.slots.begin(), result_.slots.end(), slot);
    if (it != result_.slots.end()) return it - result_.slots.begin();
    result_.slots.push_back(slot);
    return result_.slots.size() - 1;
  }

  // A computed value lives in the first assigned slot or output that it becomes; the others and
  // sources are copied when the run ends.
  void place_at(Value v, Location to) {
    if (result_.values[v].place == Place::none) {
      result_.values[v] = to;
    } else {
      result_.copies.push_back({v, to});
    }
  }

  void place_assigns_and_outputs() {
    std::set<size_t> assigned;
    for (Value v : graph_.assigns()) {
      const size_t slot = slot_index(graph_.node(v).attributes.slot);
      const Value value = graph_.node(v).operands[0];
      PLAIT_CHECK(assigned.insert(slot).second, "compile", "slot '{}' is assigned twice",
                  result_.slots[slot]->name());
      place_at(value, {Place::assigned, result_.assigns.size()});
      result_.assigns.push_back({slot, value});
    }
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      place_at(graph_.outputs()[i].value, {Place::output, i});
    }
  }

  void place_launches() {
    for (size_t launch = 0; launch < list_.launches.size(); ++launch) {
      check_interrupt();
      result_.launches.emplace_back();
      const std::vector<Segment>& segments = list_.launches[launch].segments;
      for (size_t s = 0; s < segments.size(); ++s) {
        const kernel::Kernel& kernel = list_.kernels[segments[s].kernel];
        std::vector<Location> buffers;
        for (size_t i = 0; i < segments[s].buffers.size(); ++i) {
          const bool writes = kernel.buffers[i].access != kernel::Access::read;
          buffers.push_back(place_buffer(segments[s].buffers[i], launch, s, writes));
        }
        result_.launches.back().push_back(std::move(buffers));
      }
    }
    if (!keep_all_) return;
    for (ArenaItem& item : result_.arena) {
      item.first = item.segment ? item.first : 0;
      item.last = list_.launches.size();
    }
  }

  Location place_buffer(const lower::Binding& binding, size_t launch, size_t segment, bool writes) {
    if (binding.value == kNoValue) return new_in_arena({binding.bytes, launch, launch, segment});
    const Value v = binding.value;
    Location& location = result_.values[v];
    if (location.place == Place::none) {
      const auto size = static_cast<int64_t>(dtype_size(graph_.type(v).dtype));
      const Expr bytes = element_count(graph_.type(v).shape) * size;
      // Nothing writes the elements of an empty value.
      PLAIT_INTERNAL_CHECK(writes || bytes.is_constant(0), "%{} is read before it is written", v);
      location = new_in_arena({bytes, launch, launch, std::nullopt});
    } else if (location.place == Place::arena) {
      result_.arena[location.index].last = launch;
    }
    return location;
  }

  Location new_in_arena(ArenaItem item) {
    result_.arena.push_back(item);
    return {Place::arena, result_.arena.size() - 1};
  }

  // The input whose elements the node takes as they are for indices of an axis.
  std::optional<size_t> index_input(Value owner, size_t axis) const {
    const Node& node = graph_.node(owner);
    const Expr e = node.attributes.map[axis];
    if (e.kind() != ExprKind::element) return std::nullopt;
    const size_t first = node.op == MetaOp::scatter ? 2 : 1;
    const Location place = result_.values[node.operands[first + e.id()]];
    if (place.place != Place::input) return std::nullopt;
    return place.index;
  }

  // Calls f(launch, owner, axis) for all that can report a bad index.
  template <class F>
  void for_each_site(const F& f) const {
    for (size_t launch = 0; launch < list_.launches.size(); ++launch) {
      for (const Segment& segment : list_.launches[launch].segments) {
        const auto& sites = list_.kernels[segment.kernel].sites;
        for (size_t i = 0; i < sites.size(); ++i) {
          f(launch, segment.axis_owners[i], static_cast<size_t>(sites[i].axis));
        }
      }
    }
  }

  void find_safe_launches() {
    for_each_site([&](size_t launch, Value owner, size_t axis) {
      if (!index_input(owner, axis)) result_.first_safe_launch = launch + 1;
    });
  }

  // A new value may go over the old one if the run can't fail any more, nobody reads the old one
  // later, and the writing kernel reads each old element before it writes that element, and only
  // there.
  void allow_in_place() {
    size_t first = list_.launches.size();  // that writes in place
    for (AssignState& assign : result_.assigns) {
      check_interrupt();
      const Location target = result_.values[assign.value];
      if (target.place != Place::assigned || &result_.assigns[target.index] != &assign) continue;
      if (is_copied(assign.slot)) continue;
      const std::optional<size_t> writer = writes_over_safely(assign);
      assign.in_place = writer.has_value();
      if (writer) first = std::min(first, *writer);
    }
    std::set<std::tuple<size_t, Value, size_t>> checks;
    for_each_site([&](size_t launch, Value owner, size_t axis) {
      if (launch >= first) checks.emplace(*index_input(owner, axis), owner, axis);
    });
    for (const auto& [input, owner, axis] : checks) result_.checks.push_back({input, owner, axis});
  }

  bool is_copied(size_t slot) const {
    return std::any_of(result_.copies.begin(), result_.copies.end(), [&](const FinalCopy& copy) {
      const Location from = result_.values[copy.from];
      return from.place == Place::slot && from.index == slot;
    });
  }

  // The launch that writes, if it is safe.
  std::optional<size_t> writes_over_safely(const AssignState& assign) const {
    std::optional<size_t> writer;
    for (size_t launch = list_.launches.size(); launch-- > 0;) {
      const auto& segments = list_.launches[launch].segments;
      for (size_t s = 0; s < segments.size(); ++s) {
        const kernel::Kernel& kernel = list_.kernels[segments[s].kernel];
        std::optional<size_t> read, written;
        for (size_t i = 0; i < segments[s].buffers.size(); ++i) {
          const Location& buffer = result_.launches[launch][s][i];
          const bool writes = kernel.buffers[i].access != kernel::Access::read;
          if (writes && segments[s].buffers[i].value == assign.value) written = i;
          if (buffer.place == Place::slot && buffer.index == assign.slot) read = i;
        }
        if (written) writer = launch;
        if (!read) continue;
        // A later or parallel reader.
        if (!written && (!writer || *writer == launch)) return std::nullopt;
        if (written && !reads_before_writing(segments[s], *read, *written)) return std::nullopt;
      }
    }
    return writer && *writer >= result_.first_safe_launch ? writer : std::nullopt;
  }

  // Phases run one after the other: the old value is read in those before the one that writes it,
  // or there, at the place that is written next.
  bool reads_before_writing(const Segment& segment, size_t read, size_t written) const {
    const kernel::Kernel& kernel = list_.kernels[segment.kernel];
    bool is_written = false;
    for (const kernel::Phase& phase : kernel.phases) {
      std::unordered_set<Expr> reads, writes;
      bool in_order = true, reads_old = false;
      kernel::for_each_instruction(phase.body, [&](const kernel::Instruction& i) {
        if (i.op == kernel::Op::load && (i.buffer == read || i.buffer == written)) {
          in_order = in_order && !writes.contains(i.expression);
          reads.insert(i.expression);
          reads_old |= i.buffer == read;
        }
        if (i.op == kernel::Op::store && i.buffer == written) writes.insert(i.expression);
        for (const kernel::Place& place : i.places) {
          in_order = in_order && place.buffer != read && place.buffer != written;
          reads_old |= place.buffer == read;
        }
      });
      if (is_written && reads_old) return false;
      if (writes.empty()) continue;
      is_written = true;
      const bool matched = std::all_of(reads.begin(), reads.end(),
                                       [&](Expr index) { return writes.contains(index); });
      if (!in_order || !matched) return false;
    }
    return true;
  }

  const Graph& graph_;
  const fusion::FusionPlan& plan_;
  const LaunchList& list_;
  bool keep_all_;
  Storage result_;
};

}  // namespace

Storage plan_storage(const Graph& graph, const fusion::FusionPlan& plan, const LaunchList& list,
                     bool keep_all) {
  return StoragePlanner(graph, plan, list, keep_all).run();
}

}  // namespace plait
