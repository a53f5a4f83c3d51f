// Machines with other vectors, registers and caches than this one.
#pragma once

#include "core/target.h"

namespace plait {

const Target kTargets[] = {
    {"avx512", 64, 32, 48 << 10, 2 << 20, 32 << 20},
    {"avx512 and matrix registers", 64, 32, 48 << 10, 2 << 20, 32 << 20, 2, true},
    {"avx2", 32, 16, 32 << 10, 512 << 10, 8 << 20},
    {"neon", 16, 32, 64 << 10, 1 << 20, 4 << 20},
    {"many cpus", 32, 16, 32 << 10, 1 << 20, 64 << 20, 256},
    {"many cpus with matrix registers", 64, 32, 48 << 10, 2 << 20, 64 << 20, 256, true},
    {"tiny caches", 16, 16, 1 << 10, 4 << 10, 64 << 10},
    {"avx512 and dot products", 64, 32, 32 << 10, 1 << 20, 32 << 20, 2, false, true},
    {"many cpus with dot products", 64, 32, 32 << 10, 1 << 20, 64 << 20, 256, false, true},
    {"tiny caches and dot products", 64, 32, 1 << 10, 4 << 10, 64 << 10, 2, false, true},
};

}  // namespace plait
