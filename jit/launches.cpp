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

}  // namespace

std::string content_name(const std::string& text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("k{:016x}{:08x}", hash.high64, static_cast<uint32_t>(hash.low64));
}

LaunchList make_launches(const Graph& graph, const fusion::FusionPlan& plan, const Target& target) {
  LaunchList list;
  Lowering lowering(target);
  std::unordered_map<Value, size_t> written_by;       // launch that stores a value
  std::unordered_map<size_t, size_t> last_of_kernel;  // the latest launch of a kernel
  bool last_is_small = false;                         // all of the latest launch
  for (const fusion::Group& group : plan.groups) {
    check_interrupt();
    Lowering::Kernel lowered = lowering.lower(graph, plan, group);
    const size_t kernel = lowered.number;
    Segment segment{kernel,
                    static_cast<size_t>(&group - plan.groups.data()),
                    std::move(lowered.buffers),
                    std::move(lowered.sizes),
                    std::move(lowered.axis_owners),
                    {},
                    {}};
    name_segment(graph, group, segment);

    // It may run with an earlier launch of its kernel if all it reads is complete before that. What
    // is small, or stands after what is, does not pay for a launch of its own.
    size_t ready = 0;
    std::vector<Value> stores;
    for (size_t i = 0; i < segment.buffers.size(); ++i) {
      const Value v = segment.buffers[i].value;
      if (v == kNoValue) continue;
      const bool reads = lowering.kernels()[kernel].buffers[i].access == kernel::Access::read;
      if (!reads) {
        stores.push_back(v);
      } else if (written_by.contains(v)) {
        ready = std::max(ready, written_by.at(v) + 1);
      }
    }
    const bool small = is_small(group);
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
    list.launches[launch].segments.push_back(std::move(segment));
    last_of_kernel[kernel] = launch;
    for (Value v : stores) written_by[v] = launch;
  }
  list.kernels = lowering.take_kernels();
  return list;
}

}  // namespace plait
