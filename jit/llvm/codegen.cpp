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
#include <llvm/TargetParser/AArch64TargetParser.h>
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

const llvm::Target& find_target(const std::string& triple) {
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(triple, error);
  PLAIT_CHECK(found, "compile", "this LLVM has no code generator for {}: {}", triple, error);
  return *found;
}

const llvm::Target& native_target() {
  static const llvm::Target& target = []() -> const llvm::Target& {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    // Addresses are already reduced by the emitter: the pass would cost 30 % of the compile time.
    set_option("disable-lsr", true);
    return find_target(llvm::sys::getProcessTriple());
  }();
  return target;
}

// Only code that is inspected, never run, is for another machine: normal use does not load it.
const llvm::Target& foreign_target(const std::string& triple) {
  native_target();  // the options
#if LLVM_HAS_AARCH64_TARGET
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
  });
#endif
  return find_target(triple);
}

std::string triple_of(const Isa& isa) {
  return isa.triple.empty() ? llvm::sys::getProcessTriple() : isa.triple;
}

const llvm::Target& target_of(const Isa& isa) {
  return isa.triple.empty() ? native_target() : foreign_target(isa.triple);
}

// Making one takes a tenth of the time of a small kernel.
llvm::TargetMachine& target_machine(const Isa& isa) {
  using Key = std::pair<std::string, std::string>;
  static thread_local std::map<Key, std::unique_ptr<llvm::TargetMachine>> machines;
  std::unique_ptr<llvm::TargetMachine>& machine = machines[{isa.triple, isa.cpu}];
  if (machine) return *machine;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  machine.reset(target_of(isa).createTargetMachine(triple_of(isa), isa.cpu, "", options,
                                                   llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                                   llvm::CodeGenOptLevel::Default));
  return *machine;
}

const llvm::StringMap<bool>& host_features() {
  static const llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  return features;
}

// Whether a feature says what a machine must have, rather than how to tune.
bool is_requirement(const Isa& isa, const std::string& feature) {
  if (isa.triple.empty()) return host_features().contains(feature);
  return llvm::AArch64::targetFeatureToExtension("+" + feature).has_value();
}

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

Isa isa_of_cpu(const std::string& name) {
  Isa isa;
  isa.cpu = name;
  constexpr std::string_view kAArch64 = "aarch64:";
  if (name.starts_with(kAArch64)) {
    isa.cpu = name.substr(kAArch64.size());
    if (!llvm::Triple(llvm::sys::getProcessTriple()).isAArch64())
      isa.triple = "aarch64-unknown-linux-gnu";
  }
  const std::string triple = triple_of(isa);
  auto subtarget = [&](const std::string& cpu) {
    return std::unique_ptr<llvm::MCSubtargetInfo>(
        target_of(isa).createMCSubtargetInfo(triple, cpu, ""));
  };
  auto known = subtarget("");
  PLAIT_CHECK(known && known->isCPUStringValid(isa.cpu), "compile",
              "LLVM knows no CPU named `{}`. hint: use a level such as x86-64-v3", name);
  for (const llvm::SubtargetFeatureKV& feature : subtarget(isa.cpu)->getEnabledProcessorFeatures())
    if (is_requirement(isa, feature.Key)) isa.features.push_back(feature.Key);
  std::sort(isa.features.begin(), isa.features.end());
  auto has = [&](const char* feature) {
    return std::binary_search(isa.features.begin(), isa.features.end(), feature);
  };
  const llvm::Triple parsed(triple);
  isa.is_x86 = parsed.isX86();
  isa.has_avx512 = has("avx512f");
  isa.native_f16 = parsed.isAArch64() || has("f16c");
  isa.has_extrema = isa.has_saturating_casts = parsed.isAArch64();
  isa.cheap_masks = has("avx512bw") && has("avx512vl");
  return isa;
}

bool host_has(const std::vector<std::string>& features) {
  return std::all_of(features.begin(), features.end(),
                     [](const std::string& feature) { return host_features().lookup(feature); });
}

bool host_runs(const Isa& isa) { return isa.triple.empty() && host_has(isa.features); }

const Isa& host_isa() {
  static const Isa isa = [] {
    if (llvm::Triple(llvm::sys::getProcessTriple()).isX86())
      for (const char* level : {"x86-64-v4", "x86-64-v3", "x86-64-v2"})
        if (Isa candidate = isa_of_cpu(level); host_runs(candidate)) return candidate;
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
