#include "jit/interp/traffic.h"

#include "core/error.h"

namespace plait {

int64_t ByteCounts::bytes() const {
  int64_t sum = 0;
  for (const BufferBytes& buffer : buffers) sum += buffer.moved.total();
  return sum;
}

int64_t ByteCounts::unique() const {
  int64_t sum = 0;
  for (const BufferBytes& buffer : buffers) sum += buffer.unique.total();
  return sum;
}

TrafficRecorder::TrafficRecorder(const kernel::Kernel& kernel) : kernel_(kernel) {
  reset(kDefaultCacheBytes);
}

void TrafficRecorder::reset(int64_t cache_bytes) {
  counts_ = {};
  for (const kernel::Buffer& buffer : kernel_.buffers)
    if (buffer.scope == kernel::BufferScope::parameter ||
        buffer.scope == kernel::BufferScope::workspace)
      counts_.buffers.push_back({buffer.name, {}, {}, {}, {}});
  elements_.assign(counts_.buffers.size(), {});
  elements_of_run_.assign(counts_.buffers.size(), nullptr);
  cache_bytes_ = cache_bytes;
  phase_ = ~size_t{0};
}

void TrafficRecorder::begin_run(size_t phase, void* const* buffers) {
  first_of_run_ = iteration_ + 1;
  for (size_t b = 0; b < elements_.size(); ++b) elements_of_run_[b] = &elements_[b][buffers[b]];
  if (phase == phase_) return;
  phase_ = phase;
  phase_moment_ = ++moment_;  // later than every moment of the phases before
}

void TrafficRecorder::begin_iteration() { ++iteration_; }

TrafficRecorder::Element& TrafficRecorder::element(kernel::BufferId buffer, int64_t index,
                                                   int64_t size) {
  Elements& elements = *elements_of_run_[buffer];
  if (elements.size() < static_cast<size_t>(size)) elements.resize(static_cast<size_t>(size));
  return elements[static_cast<size_t>(index)];
}

void TrafficRecorder::read(kernel::BufferId buffer, int64_t index, int64_t size) {
  Element& e = element(buffer, index, size);
  BufferBytes& counts = counts_.buffers[buffer];
  const auto bytes = static_cast<int64_t>(dtype_size(kernel_.buffers[buffer].dtype));
  if (e.last_writer >= first_of_run_ && e.last_writer != iteration_)
    dependent(buffer, index, e.last_writer);
  counts.raw.read += bytes;
  if (e.last_reader != iteration_ && e.last_writer != iteration_) counts.iteration.read += bytes;
  if (!e.ever_read) counts.unique.read += bytes;
  if (!cached(e.read_moment) && !cached(e.written_moment)) {
    counts.moved.read += bytes;
    moment_ += bytes;
  }
  if (e.first_reader < first_of_run_) e.first_reader = iteration_;
  e.last_reader = iteration_;
  e.read_moment = moment_;
  e.ever_read = true;
}

void TrafficRecorder::write(kernel::BufferId buffer, int64_t index, int64_t size) {
  Element& e = element(buffer, index, size);
  BufferBytes& counts = counts_.buffers[buffer];
  const auto bytes = static_cast<int64_t>(dtype_size(kernel_.buffers[buffer].dtype));
  if (e.last_writer >= first_of_run_ && e.last_writer != iteration_)
    dependent(buffer, index, e.last_writer);
  if (e.first_reader >= first_of_run_ && e.first_reader != iteration_)
    dependent(buffer, index, e.first_reader);
  counts.raw.written += bytes;
  if (e.last_writer != iteration_) counts.iteration.written += bytes;
  if (!e.ever_written) counts.unique.written += bytes;
  if (!cached(e.written_moment)) {
    counts.moved.written += bytes;
    if (!cached(e.read_moment)) moment_ += bytes;
  }
  e.last_writer = iteration_;
  e.written_moment = moment_;
  e.ever_written = true;
}

void TrafficRecorder::dependent(kernel::BufferId buffer, int64_t index, int64_t other) const {
  PLAIT_UNREACHABLE("kernel {}: phase {}: iterations {} and {} of one run both touch {}[{}]",
                    kernel_.name, phase_, other - first_of_run_, iteration_ - first_of_run_,
                    kernel_.buffers[buffer].name, index);
}

}  // namespace plait
