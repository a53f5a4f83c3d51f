#include "jit/streams.h"

#include <map>

#include "core/interrupt.h"
#include "passes/fusion/roles.h"

namespace plait {
namespace {

class Streams {
 public:
  Streams(const Graph& graph, const Storage& storage, const Target& target, LaunchList& list)
      : graph_(graph), storage_(storage), target_(target), list_(list) {}

  void run() {
    for (size_t i = 0; i < list_.launches.size(); ++i) {
      check_interrupt();
      const bool large = bytes_moved(list_.launches[i]) > static_cast<double>(target_.l3_bytes);
      std::map<size_t, std::vector<size_t>> streams;  // by kernel of this launch
      for (const Segment& segment : list_.launches[i].segments) {
        const auto [entry, is_new] = streams.try_emplace(segment.kernel);
        if (is_new && large) entry->second = streams_of(i, segment.kernel);
      }
      for (Segment& segment : list_.launches[i].segments) {
        segment.kernel = with_streams(segment.kernel, streams.at(segment.kernel));
      }
    }
    std::vector<size_t> variants(list_.kernels.size());  // still to be made, by kernel
    for (const auto& [old, streams] : wanted_) ++variants[old];
    std::vector<kernel::Kernel> kernels;
    for (const auto& [old, streams] : wanted_) {
      check_interrupt();
      kernels.push_back(--variants[old] > 0 ? list_.kernels[old] : std::move(list_.kernels[old]));
      kernel::Kernel& kernel = kernels.back();
      if (streams.empty()) continue;
      for (size_t b : streams) kernel.buffers[b].access = kernel::Access::stream;
      kernel.name = "kernel";
      kernel.name = content_name(to_text(kernel));
    }
    list_.kernels = std::move(kernels);
  }

 private:
  double bytes_of(const lower::Binding& buffer) const {
    if (buffer.value == kNoValue) return 0;
    const Type& type = graph_.type(buffer.value);
    return fusion::estimated_elements(type.shape) * static_cast<double>(dtype_size(type.dtype));
  }

  double bytes_moved(const Launch& launch) const {
    double moved = 0;
    for (const Segment& segment : launch.segments) {
      for (const lower::Binding& buffer : segment.buffers) moved += bytes_of(buffer);
    }
    return moved;
  }

  // The buffers of a kernel of the launch that shall be streams.
  std::vector<size_t> streams_of(size_t launch, size_t number) const {
    const kernel::Kernel& kernel = list_.kernels[number];
    std::vector<size_t> result;
    for (size_t b = 0; b < kernel.buffers.size(); ++b) {
      if (kernel.buffers[b].access == kernel::Access::write &&
          is_large_and_ours(launch, number, b)) {
        result.push_back(b);
      }
    }
    return result;
  }

  // In every segment of the kernel. The memory of slots may be the user's, at any address.
  bool is_large_and_ours(size_t launch, size_t kernel, size_t b) const {
    const std::vector<Segment>& segments = list_.launches[launch].segments;
    for (size_t s = 0; s < segments.size(); ++s) {
      if (segments[s].kernel != kernel) continue;
      // Local buffers have no place.
      if (b >= segments[s].buffers.size()) return false;
      const Place place = storage_.launches[launch][s][b].place;
      if (place != Place::arena && place != Place::output) return false;
      if (bytes_of(segments[s].buffers[b]) <= static_cast<double>(target_.l2_bytes)) return false;
    }
    return true;
  }

  // The number of the kernel in the new list.
  size_t with_streams(size_t old, const std::vector<size_t>& streams) {
    const auto [entry, is_new] = numbers_.emplace(std::pair(old, streams), wanted_.size());
    if (is_new) wanted_.emplace_back(old, streams);
    return entry->second;
  }

  const Graph& graph_;
  const Storage& storage_;
  const Target& target_;
  LaunchList& list_;
  std::map<std::pair<size_t, std::vector<size_t>>, size_t> numbers_;
  std::vector<std::pair<size_t, std::vector<size_t>>> wanted_;  // kernel, streams
};

}  // namespace

void stream_large_results(const Graph& graph, const Storage& storage, const Target& target,
                          LaunchList& list) {
  Streams(graph, storage, target, list).run();
}

}  // namespace plait
