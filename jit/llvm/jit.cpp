// The LLVM backend: kernels as machine code in this process.
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>

#include "core/error.h"
#include "jit/backend.h"
#include "jit/llvm/codegen.h"
#include "jit/llvm/emit.h"
#include "jit/llvm/emitter.h"
#include "jit/llvm/loader.h"

namespace plait {

using kernel::Kernel;

namespace native {
namespace {

using PhaseFunction = void (*)(void* const*, const int64_t*, int64_t, int64_t, void*, ErrorRecord*);

std::vector<std::string> symbols_of(const Kernel& kernel) {
  std::vector<std::string> symbols;
  for (size_t phase = 0; phase < kernel.phases.size(); ++phase)
    symbols.push_back(phase_symbol(kernel.name, phase));
  return symbols;
}

std::unique_ptr<llvm::Module> checked_module(const Kernel& kernel, llvm::LLVMContext& context,
                                             const Isa& isa) {
  auto module = emit_module(kernel, context, isa.native_f16);
  std::string problem;
  llvm::raw_string_ostream out(problem);
  PLAIT_INTERNAL_CHECK(!llvm::verifyModule(*module, &out), "{}: {}", kernel.name, problem);
  return module;
}

class NativeKernel final : public CompiledKernel {
 public:
  NativeKernel(const Kernel& kernel, const Isa& isa, std::unique_ptr<LoadedObject> code)
      : kernel_(kernel), isa_(isa), code_(std::move(code)), local_size_(local_size(kernel)) {}

  void run(size_t phase, const PhaseArguments& a) const override {
    PLAIT_CHECK(code_, "run", "{} was compiled for {}, which this machine is not", kernel_.name,
                isa_.cpu);
    auto function = reinterpret_cast<PhaseFunction>(code_->symbols()[phase]);
    function(a.buffers, a.sizes, a.begin, a.end, a.local, a.error);
  }

  size_t local_bytes(const int64_t* sizes) const override {
    SymbolValues symbols;
    for (size_t i = 0; i < kernel_.symbols.size(); ++i) symbols[kernel_.symbols[i]] = sizes[i];
    auto no_variable = [](uint32_t) -> int64_t { PLAIT_UNREACHABLE("a size has no variables"); };
    return static_cast<size_t>(evaluate(local_size_, no_variable, symbols));
  }

  std::string source(std::string_view stage) const override {
    PLAIT_CHECK(stage == "llvm" || stage == "asm", "source",
                "no stage named `{}`. hint: a kernel for the CPU has llvm, asm", stage);
    llvm::LLVMContext context;
    auto module = checked_module(kernel_, context, isa_);
    if (stage == "asm") return compile_assembly(*module, isa_);
    std::string text;
    llvm::raw_string_ostream out(text);
    module->print(out, nullptr);
    return text;
  }

 private:
  Kernel kernel_;
  Isa isa_;
  std::unique_ptr<LoadedObject> code_;  // null: for another machine
  Expr local_size_;
};

class NativeBackend final : public Backend {
 public:
  explicit NativeBackend(const std::string& cpu)
      : isa_(cpu.empty() ? host_isa() : isa_of_cpu(cpu)), runs_(host_has(isa_.features)) {}

  const char* name() const override { return "llvm"; }

  std::shared_ptr<CompiledKernel> compile(const Kernel& kernel) override {
    std::unique_ptr<LoadedObject> code;
    if (runs_) {
      llvm::LLVMContext context;
      auto module = checked_module(kernel, context, isa_);
      code = load_object(compile_object(*module, isa_), symbols_of(kernel));
    }
    return std::make_shared<NativeKernel>(kernel, isa_, std::move(code));
  }

 private:
  Isa isa_;
  bool runs_;
};

}  // namespace
}  // namespace native

std::unique_ptr<Backend> make_llvm_backend(const std::string& cpu) {
  return std::make_unique<native::NativeBackend>(cpu);
}

}  // namespace plait
