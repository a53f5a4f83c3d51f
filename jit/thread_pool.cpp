#include "jit/thread_pool.h"

#include <sched.h>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_scheduler_observer.h>
#include <unistd.h>

#include <algorithm>
#include <map>
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
  explicit Impl(int count) : threads(count), arena(count), pins(arena) {}

  int threads;
  tbb::task_arena arena;
  PinWorkers pins;
  std::mutex mutex;
  std::vector<std::vector<std::shared_ptr<Buffer>>> scratch;  // nobody's at the moment
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>(threads)) {}
ThreadPool::~ThreadPool() = default;

namespace {

// The pools of this process by their number of threads, and how many threads TBB may have.
struct Pools {
  std::mutex mutex;
  pid_t owner = getpid();
  int most_threads = 0;
  std::unique_ptr<tbb::global_control> limit;
  std::map<int, std::unique_ptr<ThreadPool>> by_threads;
};

Pools& pools() {
  static Pools* pools = new Pools;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  // The threads stayed in the parent; its pools cannot even be destroyed here.
  if (pools->owner != getpid()) pools = new Pools;
  return *pools;
}

}  // namespace

ThreadPool& ThreadPool::get(int64_t threads) {
  static const int cpus = available_cpus();  // reads files: once
  const int wanted = threads == 0 ? cpus : static_cast<int>(threads);
  Pools& all = pools();
  std::lock_guard lock(all.mutex);
  if (all.most_threads < wanted) {
    // Of two limits the smaller counts.
    all.limit.reset();
    all.limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                      static_cast<size_t>(wanted));
    all.most_threads = wanted;
  }
  std::unique_ptr<ThreadPool>& pool = all.by_threads[wanted];
  if (!pool) pool.reset(new ThreadPool(wanted));
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

ThreadPool::Scratch::Scratch(ThreadPool& pool, std::vector<std::shared_ptr<Buffer>> buffers)
    : pool_(&pool), buffers_(std::move(buffers)) {}

ThreadPool::Scratch::~Scratch() {
  if (buffers_.empty()) return;
  std::lock_guard lock(pool_->impl_->mutex);
  pool_->impl_->scratch.push_back(std::move(buffers_));
}

void* ThreadPool::Scratch::of_thread(int thread) const {
  return buffers_.empty() ? nullptr : buffers_[static_cast<size_t>(thread)]->data();
}

ThreadPool::Scratch ThreadPool::scratch(size_t bytes) {
  if (bytes == 0) return {*this, {}};
  std::vector<std::shared_ptr<Buffer>> buffers;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->scratch.empty()) {
      buffers = std::move(impl_->scratch.back());
      impl_->scratch.pop_back();
    }
  }
  buffers.resize(static_cast<size_t>(impl_->threads));
  for (std::shared_ptr<Buffer>& buffer : buffers) {
    if (!buffer || buffer->size() < bytes) buffer = Buffer::allocate(bytes);
  }
  return {*this, std::move(buffers)};
}

}  // namespace plait
