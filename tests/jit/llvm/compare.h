// Runs a kernel on the interpreter and as machine code, on the same random data, and compares the
// bits of everything it wrote.
#pragma once

#include <string>
#include <vector>

#include "jit/kernel/kir.h"

namespace plait::testing {

// CPU names of the instruction sets that this machine can run; the oldest one compiles slowly.
std::vector<std::string> runnable_cpus(bool with_oldest);

// One element of `dtype`: often an end of its range, a zero, an infinity or a NaN.
void random_element(DType dtype, uint64_t& state, void* element);

struct CompareOptions {
  uint64_t seed = 1;
  // Integers of buffers with these names are taken in [-2, limit).
  std::vector<std::pair<std::string, int64_t>> index_limits = {};
  bool with_oldest = false;
};

// Empty if all CPUs give the interpreter's bits (a NaN equals any NaN) and the same error record,
// and nothing outside the buffers changes; else what differs first.
std::string difference(const kernel::Kernel& kernel, const std::vector<int64_t>& sizes,
                       const CompareOptions& options = {});

}  // namespace plait::testing
