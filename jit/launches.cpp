#include "jit/launches.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "core/error.h"
#include "core/interrupt.h"
#include "core/log.h"
#include "passes/fusion/extract.h"
#include "passes/fusion/roles.h"

namespace plait {
namespace {

// The scope of a value, as the user wrote it: "gpt/h.0/attn/softmax".
std::string scope_of(const Graph& graph, Value v) {
  const std::span<const Origin> origins = graph.origins(v);
  return origins.empty() ? std::string() : origins.front().scope;
}

std::string shape_text(const Type& type) {
  std::string text = dtype_name(type.dtype);
  for (size_t i = 0; i < type.rank(); ++i) {
    text += (i == 0 ? "_" : "x") + to_string(type.shape[i]);
  }
  return text;
}

// Less work than dispatching a launch.
bool is_small(const fusion::Group& group) {
  constexpr double kMostResults = 256;
  double results = 0;
  for (const fusion::Nest& nest : group.nests) {
    if (nest.kind != fusion::NestKind::loops) return false;
    results += fusion::estimated_elements(nest.extents) * static_cast<double>(nest.members.size());
  }
  return results <= kMostResults;
}

// Named by the largest thing the group stores.
void name_segment(const Graph& graph, const fusion::Group& group, Segment& segment) {
  Value largest = kNoValue;
  double most = -1;
  for (const fusion::Nest& nest : group.nests) {
    for (Value v : nest.stores) {
      const std::string scope = scope_of(graph, v);
      if (!scope.empty() &&
          std::find(segment.scopes.begin(), segment.scopes.end(), scope) == segment.scopes.end()) {
        segment.scopes.push_back(scope);
      }
      double elements = 1;
      for (Expr extent : graph.type(v).shape) {
        elements *= static_cast<double>(bounds(extent, {}).hi.value_or(1 << 20));
      }
      if (elements > most) {
        most = elements;
        largest = v;
      }
    }
  }
  if (largest == kNoValue) return;
  std::string scope = scope_of(graph, largest);
  if (scope.empty()) scope = name_of(graph.node(largest).op);
  std::string name = scope + "_" + shape_text(graph.type(largest));
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '_' && c != '.' && c != '-') c = c == '/' ? '.' : '_';
  }
  segment.name = std::move(name);
}

// Proofs of accesses take longer than the rest of lowering: a kernel is verified once a process.
// Its name is that of its content.
void verify_once(const kernel::Kernel& kernel) {
  static std::mutex mutex;
  static std::set<std::string> verified;
  {
    std::lock_guard lock(mutex);
    if (verified.contains(kernel.name)) return;
  }
  kernel::verify(kernel);
  std::lock_guard lock(mutex);
  verified.insert(kernel.name);
}

// Lowers each computation once.
class Lowering {
 public:
  explicit Lowering(const Target& target) : target_(target) {}

  struct Kernel {
    size_t number;  // of kernels()
    std::vector<lower::Binding> buffers;
    std::vector<Expr> sizes;
    std::vector<Value> axis_owners;
  };
  Kernel lower(const Graph& graph, const fusion::FusionPlan& plan, const fusion::Group& group) {
    fusion::Extract extract = fusion::extract_group(graph, plan, group);
    const std::vector<Value> values = std::move(extract.values);
    extract.values.clear();
    Kernel result = find_or_lower(std::move(extract));
    for (lower::Binding& buffer : result.buffers) {
      if (buffer.value != kNoValue) buffer.value = values[buffer.value];
    }
    for (Value& owner : result.axis_owners) owner = values[owner];
    return result;
  }

  std::vector<kernel::Kernel> take_kernels() { return std::move(kernels_); }
  const std::vector<kernel::Kernel>& kernels() const { return kernels_; }

 private:
  // In terms of the extract's values.
  const Kernel& find_or_lower(fusion::Extract extract) {
    std::vector<std::pair<fusion::Extract, Kernel>>& known = by_hash_[extract.hash()];
    for (const auto& [other, kernel] : known) {
      if (other == extract) return kernel;
    }
    lower::LoweredGroup lowered =
        lower::lower_group(extract.graph, extract.plan, extract.group(), target_);
    const size_t number = add_kernel(std::move(lowered.kernel));
    Kernel kernel{number, std::move(lowered.buffers), std::move(lowered.sizes),
                  std::move(lowered.axis_owners)};
    return known.emplace_back(std::move(extract), std::move(kernel)).second;
  }

  // Different computations may have equal kernels.
  size_t add_kernel(kernel::Kernel kernel) {
    kernel.name = "kernel";
    const auto [entry, is_new] = by_text_.emplace(to_text(kernel), kernels_.size());
    if (!is_new) return entry->second;
    kernel.name = content_name(entry->first);
    PLAIT_LOG(trace, "lowered\n{}", entry->first);
    verify_once(kernel);
    kernels_.push_back(std::move(kernel));
    return entry->second;
  }

  const Target& target_;
  std::unordered_map<size_t, std::vector<std::pair<fusion::Extract, Kernel>>> by_hash_;
  std::unordered_map<std::string, size_t> by_text_;
  std::vector<kernel::Kernel> kernels_;
};

// A group, lowered.
struct Lowered {
  Segment segment;
  std::vector<Value> reads, stores;
};

// Groups in an order in which each comes after those whose values it reads: the plan's, but what
// writes a slot waits for the readers of its old value where it can, and may then go over it.
class Order {
 public:
  Order(const Graph& graph, const std::vector<Lowered>& groups)
      : missing_(groups.size()),
        readers_left_(groups.size()),
        after_(groups.size()),
        writers_(groups.size()) {
    std::unordered_map<Value, size_t> stored_by;
    for (size_t i = 0; i < groups.size(); ++i) {
      for (Value v : groups[i].stores) stored_by[v] = i;
    }
    std::unordered_map<const Slot*, size_t> writer;
    for (Value v : graph.assigns()) {
      const auto it = stored_by.find(graph.node(v).operands[0]);
      if (it != stored_by.end()) writer[graph.node(v).attributes.slot.get()] = it->second;
    }
    for (size_t i = 0; i < groups.size(); ++i) {
      for (Value v : groups[i].reads) {
        if (const auto it = stored_by.find(v); it != stored_by.end() && it->second != i) {
          after_[it->second].push_back(i);
          ++missing_[i];
        }
        if (graph.node(v).op != MetaOp::parameter) continue;
        const auto it = writer.find(graph.node(v).attributes.slot.get());
        if (it == writer.end() || it->second == i) continue;
        writers_[i].push_back(it->second);
        ++readers_left_[it->second];
      }
    }
  }

  std::vector<size_t> run() {
    for (size_t i = 0; i < missing_.size(); ++i) {
      if (missing_[i] == 0) ready(i).insert(i);
    }
    std::vector<size_t> order;
    while (!free_.empty() || !waiting_.empty()) {
      std::set<size_t>& from = free_.empty() ? waiting_ : free_;
      const size_t next = *from.begin();
      from.erase(from.begin());
      order.push_back(next);
      for (size_t i : after_[next]) {
        if (--missing_[i] == 0) ready(i).insert(i);
      }
      for (size_t i : writers_[next]) {
        if (--readers_left_[i] == 0 && waiting_.erase(i) > 0) free_.insert(i);
      }
    }
    return order;
  }

 private:
  std::set<size_t>& ready(size_t i) { return readers_left_[i] > 0 ? waiting_ : free_; }

  std::vector<size_t> missing_, readers_left_;
  std::vector<std::vector<size_t>> after_,
      writers_;  // those that read it; that write what it reads
  std::set<size_t> free_, waiting_;
};

Lowered lower_segment(const Graph& graph, const fusion::FusionPlan& plan, size_t number,
                      Lowering& lowering) {
  check_interrupt();
  const fusion::Group& group = plan.groups[number];
  Lowering::Kernel kernel = lowering.lower(graph, plan, group);
  Lowered lowered{{kernel.number,
                   number,
                   std::move(kernel.buffers),
                   std::move(kernel.sizes),
                   std::move(kernel.axis_owners),
                   {},
                   {}},
                  {},
                  {}};
  name_segment(graph, group, lowered.segment);
  for (size_t i = 0; i < lowered.segment.buffers.size(); ++i) {
    const Value v = lowered.segment.buffers[i].value;
    if (v == kNoValue) continue;
    const bool reads = lowering.kernels()[kernel.number].buffers[i].access == kernel::Access::read;
    (reads ? lowered.reads : lowered.stores).push_back(v);
  }
  return lowered;
}

}  // namespace

std::string content_name(const std::string& text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("k{:016x}{:08x}", hash.high64, static_cast<uint32_t>(hash.low64));
}

LaunchList make_launches(const Graph& graph, const fusion::FusionPlan& plan, const Target& target) {
  LaunchList list;
  Lowering lowering(target);
  std::vector<Lowered> groups;
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    groups.push_back(lower_segment(graph, plan, i, lowering));
  }
  std::unordered_map<Value, size_t> written_by;       // launch that stores a value
  std::unordered_map<size_t, size_t> last_of_kernel;  // the latest launch of a kernel
  bool last_is_small = false;                         // all of the latest launch
  for (size_t i : Order(graph, groups).run()) {
    Lowered& group = groups[i];
    // It may run with an earlier launch of its kernel if all it reads is complete before that. What
    // is small, or stands after what is, does not pay for a launch of its own.
    size_t ready = 0;
    for (Value v : group.reads) {
      if (written_by.contains(v)) ready = std::max(ready, written_by.at(v) + 1);
    }
    const bool small = is_small(plan.groups[i]);
    const size_t kernel = group.segment.kernel;
    const auto last = last_of_kernel.find(kernel);
    size_t launch = list.launches.size();
    if (last != last_of_kernel.end() && last->second >= ready) {
      launch = last->second;
    } else if (ready < launch && (small || last_is_small)) {
      --launch;
    } else {
      list.launches.emplace_back();
      last_is_small = true;
    }
    if (launch + 1 == list.launches.size()) last_is_small = last_is_small && small;
    list.launches[launch].segments.push_back(std::move(group.segment));
    last_of_kernel[kernel] = launch;
    for (Value v : group.stores) written_by[v] = launch;
  }
  list.kernels = lowering.take_kernels();
  return list;
}

}  // namespace plait
