// The kernels that measure the machine: one phase each, whose iterations are chunks.
#pragma once

#include "core/graph/graph.h"
#include "jit/kernel/kir.h"

namespace plait::bench {

// Elements of f32 in one SIMD register.
int64_t lanes();
// Elements that one iteration handles.
inline constexpr int64_t kChunk = 4096;
// Accumulators of fma_kernel: they cover the latency of two pipes, and fit 16 registers.
inline constexpr int64_t kChains = 12;

// Parameters x [2 · lanes], y [count · kChains · lanes]; sizes (depth, count). Iteration p < count:
// kChains · lanes chains of `depth` multiply-adds in registers.
kernel::Kernel fma_kernel();
// Parameter y [count · kTileElements · 4]; sizes (depth, count). Iteration p < count: `depth` steps
// of two by two matrix registers, without loads. Needs Target::tiles.
kernel::Kernel tile_kernel();
inline constexpr int64_t kTileSums = 4;
// Parameters a and y [chunks · kChunk]; sizes (chunks). y = a, by stores of kind `to`.
kernel::Kernel copy_kernel(kernel::Access to);
// Parameter a [chunks · kChunk]; sizes (chunks). a = a · 0.999 + 0.001.
kernel::Kernel in_place_kernel();
// Parameters a [chunks · kChunk], y [chunks · 4 · lanes]: partial sums; sizes (chunks).
kernel::Kernel read_kernel();
// Parameters x [kChunk], y [chunks · kChunk]; sizes (chunks). y = f(x), for each chunk anew.
kernel::Kernel function_kernel(const char* name, UnaryOp function);
// Parameter y: u32 [chunks · kChunk], random words; sizes (chunks).
kernel::Kernel random_kernel();

}  // namespace plait::bench
