// Kernel IR -> LLVM IR.
#pragma once

#include <memory>
#include <string>

#include "jit/kernel/kir.h"

namespace llvm {
class LLVMContext;
class Module;
}  // namespace llvm

namespace plait::native {

// Part of every cache key: raise it when the same kernel may give other code.
inline constexpr int kEmitterVersion = 1;

// Name of the function of a phase:
//   void f(void** buffers, int64_t* sizes, int64_t begin, int64_t end, void* local, ErrorRecord*)
std::string phase_symbol(const std::string& kernel_name, size_t phase);

// One function a phase. native_f16: the target converts between f16 and f32 itself.
std::unique_ptr<llvm::Module> emit_module(const kernel::Kernel& kernel, llvm::LLVMContext& context,
                                          bool native_f16);

}  // namespace plait::native
