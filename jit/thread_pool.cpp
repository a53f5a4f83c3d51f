#include "jit/thread_pool.h"

#include <sched.h>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_scheduler_observer.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "core/cpu_count.h"
#include "core/error.h"
#include "core/slot.h"

namespace plait {

namespace {

// Keeps each worker on a CPU of its own: two threads on one core take twice as long, and the
// scheduler may leave them there for a second. The caller's thread stays free.
class PinWorkers : public tbb::task_scheduler_observer {
 public:
  explicit PinWorkers(tbb::task_arena& arena) : tbb::task_scheduler_observer(arena) {
    CPU_ZERO(&allowed_);
    if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;
    const int here = sched_getcpu();
    for (int offset = 1; offset <= CPU_SETSIZE; ++offset) {
      const int cpu = (std::max(here, 0) + offset) % CPU_SETSIZE;
      if (CPU_ISSET(cpu, &allowed_)) cpus_.push_back(cpu);
    }
    observe(true);
  }
  ~PinWorkers() override { observe(false); }

  void on_scheduler_entry(bool worker) override {
    if (!worker || cpus_.empty()) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpus_[(tbb::this_task_arena::current_thread_index() - 1) % cpus_.size()], &one);
    sched_setaffinity(0, sizeof one, &one);
  }

 private:
  cpu_set_t allowed_;
  std::vector<int> cpus_;  // from the one after the caller's on
};

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(int count)
      : threads(count),
        limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(count)),
        arena(count),
        pins(arena),
        scratch(count) {}

  int threads;
  tbb::global_control limit;
  tbb::task_arena arena;
  PinWorkers pins;
  std::vector<std::shared_ptr<Buffer>> scratch;  // by thread
};

ThreadPool::ThreadPool(int threads) : impl_(new Impl(threads)) {}
ThreadPool::~ThreadPool() { delete impl_; }

ThreadPool& ThreadPool::get(int64_t threads) {
  static std::mutex mutex;
  static std::unique_ptr<ThreadPool> pool;
  static pid_t owner = 0;
  static const int cpus = available_cpus();  // reads files: once
  std::lock_guard lock(mutex);
  const int wanted = threads == 0 ? cpus : static_cast<int>(threads);
  if (owner != getpid()) {
    // The threads stayed in the parent; its pool cannot even be destroyed here.
    static_cast<void>(pool.release());
    owner = getpid();
  }
  if (!pool || pool->threads() != wanted) pool.reset(new ThreadPool(wanted));
  return *pool;
}

int ThreadPool::threads() const { return impl_->threads; }

void ThreadPool::run(int64_t count, int64_t grain,
                     const std::function<void(int64_t, int64_t, int)>& f) {
  if (count <= 0) return;
  if (impl_->threads == 1 || count <= grain) return f(0, count, 0);
  impl_->arena.execute([&] {
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, count, static_cast<size_t>(grain)),
                      [&](const tbb::blocked_range<int64_t>& range) {
                        f(range.begin(), range.end(), tbb::this_task_arena::current_thread_index());
                      });
  });
}

void ThreadPool::reserve_scratch(size_t bytes) {
  for (std::shared_ptr<Buffer>& buffer : impl_->scratch) {
    if (!buffer || buffer->size() < bytes) buffer = Buffer::allocate(bytes);
  }
}

void* ThreadPool::scratch(int thread) const {
  const std::shared_ptr<Buffer>& buffer = impl_->scratch[thread];
  return buffer ? buffer->data() : nullptr;
}

size_t ThreadPool::scratch_bytes() const {
  size_t total = 0;
  for (const std::shared_ptr<Buffer>& buffer : impl_->scratch) total += buffer ? buffer->size() : 0;
  return total;
}

}  // namespace plait
