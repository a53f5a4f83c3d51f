#include "tests/support/launch.h"

#include <cstdlib>
#include <cstring>
#include <memory>

namespace plait::testing {

namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Memory = std::unique_ptr<void, Free>;

Memory scratch(size_t bytes) {
  const size_t rounded = (bytes + 64) / 64 * 64;
  Memory memory(std::aligned_alloc(64, rounded));
  std::memset(memory.get(), 0xff, rounded);
  return memory;
}

}  // namespace

ErrorRecord launch(const kernel::Kernel& kernel, const CompiledKernel& compiled,
                   const std::vector<void*>& parameters, const std::vector<int64_t>& sizes) {
  SymbolValues symbols;
  for (size_t i = 0; i < sizes.size(); ++i) symbols[kernel.symbols[i]] = sizes[i];
  const auto number = [&](Expr e) {
    return evaluate(e, [](uint32_t) -> int64_t { return 0; }, symbols);
  };
  std::vector<void*> buffers = parameters;
  std::vector<Memory> workspaces;
  for (const kernel::Buffer& buffer : kernel.buffers) {
    if (buffer.scope != kernel::BufferScope::workspace) continue;
    workspaces.push_back(
        scratch(static_cast<size_t>(number(buffer.size)) * dtype_size(buffer.dtype)));
    buffers.push_back(workspaces.back().get());
  }
  const Memory local = scratch(compiled.local_bytes(sizes.data()));
  ErrorRecord error;
  for (size_t phase = 0; phase < kernel.phases.size(); ++phase) {
    const int64_t extent = number(kernel.phases[phase].extent);
    compiled.run(phase, {buffers.data(), sizes.data(), 0, extent, local.get(), &error});
  }
  return error;
}

ErrorRecord interpret(const kernel::Kernel& kernel, const std::vector<void*>& parameters,
                      const std::vector<int64_t>& sizes) {
  return launch(kernel, *make_interpreter_backend()->compile(kernel), parameters, sizes);
}

}  // namespace plait::testing
