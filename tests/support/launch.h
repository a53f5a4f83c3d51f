// Runs kernels on any backend, on one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit/backend.h"

namespace plait::testing {

// All phases in order. `parameters` are the kernel's parameter buffers; workspaces and local
// scratch are allocated here (filled with 0xff: NaN in every float type).
ErrorRecord launch(const kernel::Kernel& kernel, const CompiledKernel& compiled,
                   const std::vector<void*>& parameters, const std::vector<int64_t>& sizes);

// Compiles for the interpreter, runs once.
ErrorRecord interpret(const kernel::Kernel& kernel, const std::vector<void*>& parameters,
                      const std::vector<int64_t>& sizes);

}  // namespace plait::testing
