// What the machine gives: measured by kernels of Plait's own kernel IR, so that the limits hold for
// code that Plait can generate.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/bench/work.h"

namespace plait::bench {

// Rates are measured when they are first asked for, and kept: they belong to one run.
class Limits {
 public:
  // 0 threads: as many as the process may use.
  explicit Limits(int64_t threads);

  int64_t threads() const { return threads_; }
  double fma_flops(int64_t threads);  // f32, in registers
  // The fastest of matrix registers and of the bf16 dot product, if the CPU has them, and of f32;
  // in registers.
  double bf16_flops(int64_t threads);
  // Bytes a second through arrays of `bytes` in all; an in-place update reads and writes each.
  double read_bytes(size_t bytes);
  double copy_bytes(size_t bytes);      // read + written, by the faster of plain and stream stores
  double in_place_bytes(size_t bytes);  // a = a*x + b
  double exp_rate();                    // evaluations a second, all threads
  double erf_rate();
  double random_rate();  // 32-bit words of Philox

  struct Limit {
    double seconds = 0;
    std::string by;                    // which of the costs; empty without any
    std::map<std::string, double> of;  // seconds by cost: fma, bf16, bytes, exp, erf, random
  };
  // The largest of the costs over their rates. Bytes move at the in-place rate of an array of the
  // work's footprint, so that a work which fits a cache is held against the cache.
  Limit of(const Cost& cost);
  // Seconds in which the work's bytes could be copied: what a kernel whose results are not in the
  // memory of its operands can reach. 0 for works that compute products or update in place.
  double copy_seconds(const Cost& cost);

 private:
  double tile_flops(int64_t threads);
  double dot_flops(int64_t threads);
  double kept(const std::string& name, const std::function<double()>& measure);

  int64_t threads_;
  std::map<std::string, double> rates_;
};

}  // namespace plait::bench
