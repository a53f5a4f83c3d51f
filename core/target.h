// What a machine gives, as far as schedules need to know it. Read from the CPU, never tuned to one.
#pragma once

#include <cstdint>
#include <string>

namespace plait {

struct Target {
  std::string name;            // "x86-64 avx512"
  uint32_t vector_bytes = 32;  // 64 AVX-512, 32 AVX2, 16 NEON and SSE
  uint32_t vector_registers = 16;
  uint64_t l1_bytes = 32 << 10;
  uint64_t l2_bytes = 512 << 10;
  uint64_t l3_bytes = 8 << 20;  // the share of the CPUs that this process may use, at most
  int64_t cpus = 2;             // that this process may use
  bool tiles = false;           // matrix registers that multiply pairs of bf16 (AMX)
  bool pair_dots = false;       // vectors of pairs of bf16 are multiplied at once (AVX512_BF16)
};

// The host's.
const Target& host_target();

// Whether this machine has such registers and lets this process use them: the first call asks.
bool can_use_tiles();
// Whether it has VDPBF16PS and that adds as flushed_pair_dot (core/reduction_order.h) does: the
// first call compares them.
bool can_use_pair_dots();

}  // namespace plait
