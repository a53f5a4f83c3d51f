#include "tools/bench/limits.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/cpu_count.h"
#include "core/error.h"
#include "core/reduction_order.h"
#include "core/target.h"
#include "jit/backend.h"
#include "jit/thread_pool.h"
#include "tools/bench/bf16_dot.h"
#include "tools/bench/limit_kernels.h"
#include "tools/bench/timing.h"

namespace plait::bench {
namespace {

constexpr double kSeconds = 0.25;  // that each measurement takes

// Repeats a kernel over the pool; the best rate of `work` (any unit) a second.
class Runner {
 public:
  Runner(const kernel::Kernel& kernel, int64_t threads)
      : phases_(kernel.phases.size()), threads_(threads) {
    kernel::verify(kernel);
    compiled_ = make_llvm_backend()->compile(kernel);
  }

  double best_rate(const std::vector<void*>& buffers, std::vector<int64_t> sizes,
                   int64_t iterations, double work) {
    ThreadPool& pool = ThreadPool::get(threads_);
    const ThreadPool::Scratch scratch = pool.scratch(compiled_->local_bytes(sizes.data()));
    ErrorRecord error;
    const auto run = [&] {
      for (size_t phase = 0; phase < phases_; ++phase) {
        pool.run(iterations, 1, [&](int64_t begin, int64_t end, int thread) {
          compiled_->run(
              phase, {buffers.data(), sizes.data(), begin, end, scratch.of_thread(thread), &error});
        });
      }
    };
    Local local(run);
    const Times times = take_turns({&local}, kSeconds)[0];
    return work / times.best();
  }

 private:
  std::shared_ptr<CompiledKernel> compiled_;
  size_t phases_;
  int64_t threads_;
};

Array filled(int64_t count, double value = 0.5) {
  return Array::full(DType::f32, {count}, Scalar(DType::f32, value));
}

// Sizes between two powers of two share a measurement.
int64_t chunks_of(size_t bytes, int64_t arrays) {
  constexpr size_t kLeast = 1 << 18, kMost = size_t{1} << 29;
  const size_t rounded = std::bit_ceil(std::clamp(bytes, kLeast, kMost));
  return static_cast<int64_t>(rounded) / (4 * kChunk * arrays);
}

double function_rate(const char* name, UnaryOp function, int64_t threads) {
  const int64_t chunks = 16 * threads;
  Array x = filled(kChunk, 0.7), y = filled(kChunk * chunks);
  Runner runner(function_kernel(name, function), threads);
  return runner.best_rate({x.buffer->data(), y.buffer->data()}, {chunks}, chunks,
                          1.0 * kChunk * chunks);
}

}  // namespace

Limits::Limits(int64_t threads) : threads_(threads == 0 ? available_cpus() : threads) {}

double Limits::kept(const std::string& name, const std::function<double()>& measure) {
  const auto known = rates_.find(name);
  return known != rates_.end() ? known->second : rates_[name] = measure();
}

double Limits::fma_flops(int64_t threads) {
  return kept(fmt::format("fma{}", threads), [&] {
    const int64_t width = lanes(), depth = 20000, count = 4 * threads;
    Array x = filled(2 * width), y = filled(kChains * width * count);
    Runner runner(fma_kernel(), threads);
    const double work = 2.0 * kChains * width * depth * count;
    return runner.best_rate({x.buffer->data(), y.buffer->data()}, {depth, count}, count, work);
  });
}

double Limits::bf16_flops(int64_t threads) {
  // bf16 values widen exactly, so f32 multiply-adds do, too.
  double rate = fma_flops(threads);
  if (has_bf16_dot()) rate = std::max(rate, dot_flops(threads));
  if (host_target().tiles) rate = std::max(rate, tile_flops(threads));
  return rate;
}

double Limits::tile_flops(int64_t threads) {
  return kept(fmt::format("tiles{}", threads), [&] {
    const int64_t depth = 20000, count = 4 * threads, side = kernel::kTileRows;
    Array y = filled(kTileSums * kernel::kTileElements * count);
    Runner runner(tile_kernel(), threads);
    const double work = 2.0 * side * side * kPairBlock * kTileSums * depth * count;
    return runner.best_rate({y.buffer->data()}, {depth, count}, count, work);
  });
}

double Limits::dot_flops(int64_t threads) {
  return kept(fmt::format("bf16_dot{}", threads), [&] {
    constexpr int64_t kDepth = 20000;
    Local local([&] {
      ThreadPool::get(threads).run(4 * threads, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) run_bf16_dots(kDepth);
      });
    });
    const double flops = 4.0 * static_cast<double>(threads) * run_bf16_dots(kDepth);
    return flops / take_turns({&local}, kSeconds)[0].best();
  });
}

double Limits::read_bytes(size_t bytes) {
  const int64_t chunks = chunks_of(bytes, 1);
  return kept(fmt::format("read{}", chunks), [&] {
    Array a = filled(kChunk * chunks), y = filled(4 * lanes() * chunks);
    Runner runner(read_kernel(), threads_);
    return runner.best_rate({a.buffer->data(), y.buffer->data()}, {chunks}, chunks,
                            4.0 * kChunk * chunks);
  });
}

double Limits::copy_bytes(size_t bytes) {
  const int64_t chunks = chunks_of(bytes, 2);
  return kept(fmt::format("copy{}", chunks), [&] {
    Array a = filled(kChunk * chunks), y = filled(kChunk * chunks);
    double best = 0;
    for (const kernel::Access to : {kernel::Access::write, kernel::Access::stream}) {
      Runner runner(copy_kernel(to), threads_);
      best = std::max(best, runner.best_rate({a.buffer->data(), y.buffer->data()}, {chunks}, chunks,
                                             8.0 * kChunk * chunks));
    }
    return best;
  });
}

double Limits::in_place_bytes(size_t bytes) {
  const int64_t chunks = chunks_of(bytes, 1);
  return kept(fmt::format("in_place{}", chunks), [&] {
    Array a = filled(kChunk * chunks);
    Runner runner(in_place_kernel(), threads_);
    return runner.best_rate({a.buffer->data()}, {chunks}, chunks, 8.0 * kChunk * chunks);
  });
}

double Limits::exp_rate() {
  return kept("exp", [&] { return function_rate("limit_exp", UnaryOp::exp, threads_); });
}

double Limits::erf_rate() {
  return kept("erf", [&] { return function_rate("limit_erf", UnaryOp::erf, threads_); });
}

double Limits::random_rate() {
  return kept("random", [&] {
    const int64_t chunks = 16 * threads_;
    Array y = Array::empty(DType::u32, {kChunk * chunks});
    Runner runner(random_kernel(), threads_);
    return runner.best_rate({y.buffer->data()}, {chunks}, chunks, 1.0 * kChunk * chunks);
  });
}

Limits::Limit Limits::of(const Cost& cost) {
  Limit limit;
  const auto consider = [&](double amount, const char* by, const std::function<double()>& rate) {
    if (amount == 0) return;
    const double seconds = amount / rate();
    limit.of[by] = seconds;
    if (seconds > limit.seconds) limit.seconds = seconds, limit.by = by;
  };
  const double footprint = cost.footprint > 0 ? cost.footprint : cost.bytes;
  consider(cost.flops, "fma", [&] { return fma_flops(threads_); });
  consider(cost.bf16_flops, "bf16", [&] { return bf16_flops(threads_); });
  consider(cost.bytes, "bytes", [&] { return in_place_bytes(static_cast<size_t>(footprint)); });
  consider(cost.exps, "exp", [&] { return exp_rate(); });
  consider(cost.erfs, "erf", [&] { return erf_rate(); });
  consider(cost.random_words, "random", [&] { return random_rate(); });
  return limit;
}

double Limits::copy_seconds(const Cost& cost) {
  if (cost.bytes == 0 || cost.flops > 0 || cost.bf16_flops > 0 || cost.in_place) return 0;
  const double footprint = cost.footprint > 0 ? cost.footprint : cost.bytes;
  return cost.bytes / copy_bytes(static_cast<size_t>(footprint));
}

}  // namespace plait::bench
