// The threads that run kernels: one pool a process, over oneTBB, made again after a fork.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace plait {

class ThreadPool {
 public:
  // The process's pool with this many threads, the caller's among them; 0: available_cpus().
  // A different number makes a new one.
  static ThreadPool& get(int64_t threads);

  int threads() const;
  // Runs f(begin, end, thread) over [0, count) in pieces of at least `grain`; `thread` is in
  // [0, threads()). With one piece f runs on the calling thread.
  void run(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& f);
  // 64-byte aligned memory of thread `thread`; reserve() it before the threads ask.
  void reserve_scratch(size_t bytes);
  void* scratch(int thread) const;
  size_t scratch_bytes() const;  // of all threads

  ~ThreadPool();

 private:
  explicit ThreadPool(int threads);
  struct Impl;
  Impl* impl_;
};

}  // namespace plait
