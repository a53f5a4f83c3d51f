// The threads that run kernels: one pool a process, over oneTBB, made again after a fork.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace plait {

class Buffer;

class ThreadPool {
 public:
  // The process's pool with this many threads, the caller's among them; 0: available_cpus().
  // It stays until the process ends or forks. Runs of several host threads may overlap in it.
  static ThreadPool& get(int64_t threads);

  int threads() const;
  // Runs f(begin, end, thread) over [0, count) in pieces of at least `grain`; `thread` is in
  // [0, threads()). With one piece f runs on the calling thread.
  void run(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& f);

  // 64-byte aligned memory for each thread of one run, lent by the pool: overlapping runs have
  // their own, and what a run gives back serves the next one.
  class Scratch {
   public:
    Scratch(Scratch&& other) = default;
    ~Scratch();
    void* of_thread(int thread) const;

   private:
    friend class ThreadPool;
    Scratch(ThreadPool& pool, std::vector<std::shared_ptr<Buffer>> buffers);
    ThreadPool* pool_;
    std::vector<std::shared_ptr<Buffer>> buffers_;  // by thread; none where 0 bytes are enough
  };
  Scratch scratch(size_t bytes);

  ~ThreadPool();

 private:
  explicit ThreadPool(int threads);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plait
