// Records every access of a launch: counts bytes, and finds iterations of one phase that are not
// independent of each other.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "jit/interp/byte_counts.h"
#include "jit/kernel/kir.h"

namespace plait {

class TrafficRecorder {
 public:
  explicit TrafficRecorder(const kernel::Kernel& kernel);

  void reset(int64_t cache_bytes);
  // A call of run() on these buffers; a new phase empties the cache. The segments of a launch run
  // one kernel on different memory: elements of other memory are other elements.
  void begin_run(size_t phase, void* const* buffers);
  void begin_iteration();
  // Throws InternalError where two iterations of this run touch the element and one writes it.
  void read(kernel::BufferId buffer, int64_t element, int64_t size);
  void write(kernel::BufferId buffer, int64_t element, int64_t size);

  const ByteCounts& counts() const { return counts_; }

 private:
  // Iterations are numbered from 1 over the life of the recorder. A moment is the number of bytes
  // that came into the cache before it.
  struct Element {
    int64_t first_reader = 0, last_reader = 0, last_writer = 0;
    int64_t read_moment = kNever, written_moment = kNever;
    bool ever_read = false, ever_written = false;
  };
  static constexpr int64_t kNever = -1;

  Element& element(kernel::BufferId buffer, int64_t index, int64_t size);
  bool cached(int64_t moment) const {
    return moment >= phase_moment_ && moment_ - moment < cache_bytes_;
  }
  [[noreturn]] void dependent(kernel::BufferId buffer, int64_t element, int64_t other) const;

  const kernel::Kernel& kernel_;
  using Elements = std::vector<Element>;
  std::vector<std::map<const void*, Elements>> elements_;  // by buffer, then memory
  std::vector<Elements*> elements_of_run_;                 // by buffer
  ByteCounts counts_;
  int64_t cache_bytes_ = kDefaultCacheBytes;
  int64_t moment_ = 0;
  int64_t phase_moment_ = 0;  // when the cache was last emptied
  int64_t iteration_ = 0;
  int64_t first_of_run_ = 1;
  size_t phase_ = ~size_t{0};
};

}  // namespace plait
