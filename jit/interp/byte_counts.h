// What the interpreter counts and checks of the memory traffic of a kernel.
//
// Counted are parameters and workspaces, in bytes, from the compilation or the last reset on. A
// launch is a reset, then one or more calls of run() for each phase in order. Four models, from
// the cruellest to the kindest:
//   raw        every access
//   iteration  within one iteration of a phase an element is read once and written once
//   moved      through a cache of `cache_bytes`, empty when a phase starts: an access is free while
//              fewer than `cache_bytes` bytes came in since the element was last touched, so a row
//              read twice and a bias read for every row count once, a tensor read again by the next
//              phase counts again. The figure for "bytes a kernel moves".
//   unique     every element once in the whole launch
// A write never reads its line (whole lines are written in the end), and a value read after it was
// written is found in the cache.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit/backend.h"

namespace plait {

struct Traffic {
  int64_t read = 0;
  int64_t written = 0;
  int64_t total() const { return read + written; }
};

struct BufferBytes {
  std::string name;
  Traffic raw, iteration, moved, unique;
};

struct ByteCounts {
  std::vector<BufferBytes> buffers;  // parameters and workspaces, in the kernel's order
  int64_t bytes() const;             // moved, all buffers
  int64_t unique() const;            // unique, all buffers
};

inline constexpr int64_t kDefaultCacheBytes = 256 << 10;

// InternalError unless the kernel comes from the interpreter backend.
ByteCounts byte_counts(const CompiledKernel& kernel);
void reset_byte_counts(const CompiledKernel& kernel, int64_t cache_bytes = kDefaultCacheBytes);

}  // namespace plait
