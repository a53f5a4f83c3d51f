#include "jit/llvm/codegen.h"

#include <llvm/ADT/SmallString.h>
#include <llvm/ADT/StringMap.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "jit/llvm/emit.h"

namespace plait::native {

namespace {

void set_option(const char* name, bool value) {
  auto& options = llvm::cl::getRegisteredOptions();
  const auto option = options.find(name);
  PLAIT_INTERNAL_CHECK(option != options.end(), "LLVM has no option {}", name);
  static_cast<llvm::cl::opt<bool>*>(option->second)->setValue(value);
}

const llvm::Target& native_target() {
  static const llvm::Target* target = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    // Addresses are already reduced by the emitter: the pass would cost 30 % of the compile time.
    set_option("disable-lsr", true);
    std::string error;
    const llvm::Target* found =
        llvm::TargetRegistry::lookupTarget(llvm::sys::getProcessTriple(), error);
    PLAIT_INTERNAL_CHECK(found, "LLVM cannot compile for this machine: {}", error);
    return found;
  }();
  return *target;
}

// Making one takes a tenth of the time of a small kernel.
llvm::TargetMachine& target_machine(const Isa& isa) {
  static thread_local std::map<std::string, std::unique_ptr<llvm::TargetMachine>> machines;
  std::unique_ptr<llvm::TargetMachine>& machine = machines[isa.cpu];
  if (machine) return *machine;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  machine.reset(native_target().createTargetMachine(
      llvm::sys::getProcessTriple(), isa.cpu, "", options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
  return *machine;
}

const llvm::StringMap<bool>& host_features() {
  static const llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  return features;
}

// Features that say how to tune rather than what a machine must have.
bool is_requirement(llvm::StringRef feature) { return host_features().contains(feature); }

std::string run_codegen(llvm::Module& module, const Isa& isa, llvm::CodeGenFileType type) {
  llvm::TargetMachine& machine = target_machine(isa);
  module.setTargetTriple(machine.getTargetTriple().str());
  module.setDataLayout(machine.createDataLayout());
  llvm::SmallString<0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  bool failed = false;
  {
    // Options are the process's; they are read while the passes are chosen.
    static std::mutex mutex;
    std::lock_guard lock(mutex);
    // It hoists an epilogue's constants over a product's inner loop, whose accumulators then spill.
    set_option("disable-machine-licm", module.getModuleFlag(kRegisterTile) != nullptr);
    failed = machine.addPassesToEmitFile(passes, out, nullptr, type, /*DisableVerify=*/true);
  }
  PLAIT_INTERNAL_CHECK(!failed, "LLVM cannot write this kind of file");
  passes.run(module);
  return std::string(bytes.str());
}

}  // namespace

Isa isa_of_cpu(const std::string& cpu) {
  std::unique_ptr<llvm::MCSubtargetInfo> known(
      native_target().createMCSubtargetInfo(llvm::sys::getProcessTriple(), "", ""));
  PLAIT_CHECK(known && known->isCPUStringValid(cpu), "compile",
              "LLVM knows no CPU named `{}`. hint: use a level such as x86-64-v3", cpu);
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      native_target().createMCSubtargetInfo(llvm::sys::getProcessTriple(), cpu, ""));
  Isa isa;
  isa.cpu = cpu;
  for (const llvm::SubtargetFeatureKV& feature : info->getEnabledProcessorFeatures())
    if (is_requirement(feature.Key)) isa.features.push_back(feature.Key);
  std::sort(isa.features.begin(), isa.features.end());
  llvm::Triple triple(llvm::sys::getProcessTriple());
  auto has = [&](const char* feature) {
    return std::binary_search(isa.features.begin(), isa.features.end(), feature);
  };
  isa.is_x86 = triple.isX86();
  isa.native_f16 = triple.isAArch64() || has("f16c");
  isa.has_scalef = has("avx512f");
  isa.cheap_masks = has("avx512bw") && has("avx512vl");
  return isa;
}

bool host_has(const std::vector<std::string>& features) {
  return std::all_of(features.begin(), features.end(),
                     [](const std::string& feature) { return host_features().lookup(feature); });
}

const Isa& host_isa() {
  static const Isa isa = [] {
    if (llvm::Triple(llvm::sys::getProcessTriple()).isX86())
      for (const char* level : {"x86-64-v4", "x86-64-v3", "x86-64-v2"})
        if (Isa candidate = isa_of_cpu(level); host_has(candidate.features)) return candidate;
    return isa_of_cpu(llvm::sys::getHostCPUName().str());
  }();
  return isa;
}

std::string llvm_version() { return LLVM_VERSION_STRING; }

std::string compile_object(llvm::Module& module, const Isa& isa) {
  return run_codegen(module, isa, llvm::CodeGenFileType::ObjectFile);
}

std::string compile_assembly(llvm::Module& module, const Isa& isa) {
  return run_codegen(module, isa, llvm::CodeGenFileType::AssemblyFile);
}

}  // namespace plait::native
