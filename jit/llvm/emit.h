// Kernel IR -> LLVM IR.
#pragma once

#include <memory>
#include <string>

#include "jit/kernel/kir.h"
#include "jit/llvm/codegen.h"

namespace llvm {
class LLVMContext;
class Module;
}  // namespace llvm

namespace plait::native {

// Part of every cache key: raise it when the same kernel may give other code.
inline constexpr int kEmitterVersion = 9;

// Name of the function of a phase:
//   void f(void** buffers, int64_t* sizes, int64_t begin, int64_t end, void* local, ErrorRecord*)
std::string phase_symbol(const std::string& kernel_name, size_t phase);

// The module flag that tells code generation that values which stay the same in a loop are better
// made again in it: they must not take registers from a tile.
inline constexpr const char* kRegisterTile = "plait.register_tile";

// What a machine must have for this kernel, beside the features of its level: matrix registers, dot
// products of pairs of bf16.
std::vector<std::string> features_for(const kernel::Kernel& kernel, const Isa& isa);

// One function a phase, for the instruction set.
std::unique_ptr<llvm::Module> emit_module(const kernel::Kernel& kernel, llvm::LLVMContext& context,
                                          const Isa& isa);

}  // namespace plait::native
