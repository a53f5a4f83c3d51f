// Places buffers of known lifetimes in one arena.
#pragma once

#include <cstddef>
#include <vector>

namespace plait {

struct Lifetime {
  size_t bytes;
  size_t first, last;  // launches, inclusive
};

struct MemoryPlan {
  std::vector<size_t> offsets;  // 64-byte aligned, one per lifetime
  size_t bytes = 0;             // of the arena
  std::vector<size_t> sizes;    // in bytes, one per lifetime, as given
  size_t most_alive = 0;        // bytes alive at once at the worst launch: no plan needs less
  size_t peak = 0;              // the first such launch
};

// Buffers whose lifetimes meet do not overlap. First come, best fit: near `most_alive` in practice.
MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes);

}  // namespace plait
