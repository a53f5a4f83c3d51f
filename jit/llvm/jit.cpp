// The LLVM backend: kernels as machine code in this process.
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>

#include "core/error.h"
#include "core/target.h"
#include "jit/backend.h"
#include "jit/llvm/codegen.h"
#include "jit/llvm/emit.h"
#include "jit/llvm/emitter.h"
#include "jit/llvm/loader.h"
#include "jit/llvm/object_cache.h"

namespace plait {

using kernel::Kernel;

namespace native {
namespace {

using PhaseFunction = void (*)(void* const*, const int64_t*, int64_t, int64_t, void*, ErrorRecord*);

std::vector<std::string> symbols_of(const std::string& kernel_name, size_t phases) {
  std::vector<std::string> symbols;
  for (size_t phase = 0; phase < phases; ++phase)
    symbols.push_back(phase_symbol(kernel_name, phase));
  return symbols;
}

std::unique_ptr<llvm::Module> checked_module(const Kernel& kernel, llvm::LLVMContext& context,
                                             const Isa& isa) {
  auto module = emit_module(kernel, context, isa);
  std::string problem;
  llvm::raw_string_ostream out(problem);
  PLAIT_INTERNAL_CHECK(!llvm::verifyModule(*module, &out), "{}: {}", kernel.name, problem);
  return module;
}

class NativeKernel final : public CompiledKernel {
 public:
  NativeKernel(const Kernel& kernel, const Isa& isa, std::shared_ptr<LoadedObject> code)
      : kernel_(kernel), isa_(isa), code_(std::move(code)), local_size_(local_size(kernel)) {}

  void run(size_t phase, const PhaseArguments& a) const override {
    PLAIT_CHECK(code_, "run", "{} was compiled for {}, which this machine is not", kernel_.name,
                machine());
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
  // "x86-64-v4 with avx512bf16"
  std::string machine() const {
    const std::vector<std::string> features = features_for(kernel_, isa_);
    return features.empty() ? isa_.cpu
                            : fmt::format("{} with {}", isa_.cpu, fmt::join(features, ", "));
  }

  Kernel kernel_;
  Isa isa_;
  std::shared_ptr<LoadedObject> code_;  // null: for another machine
  Expr local_size_;
};

// Names are for people: kernels that differ in nothing else share code.
std::string text_without_name(const Kernel& kernel) {
  std::string text = kernel::to_text(kernel);
  const std::string_view start = "kernel ";
  PLAIT_INTERNAL_CHECK(std::string_view(text).substr(0, start.size()) == start &&
                           text.compare(start.size(), kernel.name.size(), kernel.name) == 0,
                       "the text of {} does not begin with its name", kernel.name);
  return text.erase(start.size(), kernel.name.size());
}

// Matrix registers must be asked for, and dot products be those of the definition.
bool can_use(const std::vector<std::string>& features) {
  return std::all_of(features.begin(), features.end(), [](const std::string& feature) {
    return feature == "avx512bf16" ? can_use_pair_dots() : can_use_tiles();
  });
}

class NativeBackend final : public Backend {
 public:
  NativeBackend(const std::string& cpu, const std::filesystem::path& cache_folder)
      : isa_(cpu.empty() ? host_isa() : isa_of_cpu(cpu)),
        runs_(host_runs(isa_)),
        cache_(cache_folder) {
    for (const std::string& feature : isa_.features) features_ += feature + ",";
  }

  const char* name() const override { return "llvm"; }

  std::shared_ptr<CompiledKernel> compile(const Kernel& kernel) override {
    std::shared_ptr<LoadedObject> code;
    if (runs_ && can_use(features_for(kernel, isa_))) code = find_or_make(kernel);
    return std::make_shared<NativeKernel>(kernel, isa_, std::move(code));
  }

  BackendCounts counts() const override {
    return {compiled_.load(), cached_.load(), shared_.load()};
  }

 private:
  using Code = std::shared_ptr<LoadedObject>;
  // `loaded` while any kernel uses it; `loading` while one thread makes it and others wait.
  struct Known {
    std::weak_ptr<LoadedObject> loaded;
    std::shared_future<Code> loading;
  };

  Code find_or_make(const Kernel& kernel) {
    CacheKey key = cache_key({text_without_name(kernel), isa_.cpu, features_, llvm_version(),
                              std::to_string(kEmitterVersion)});
    std::promise<Code> promise;
    {
      std::unique_lock lock(mutex_);
      Known& known = known_[key];
      Code code = known.loaded.lock();
      std::shared_future<Code> loading = known.loading;
      if (code || loading.valid()) {
        lock.unlock();
        ++shared_;
        return code ? code : loading.get();
      }
      known.loading = promise.get_future().share();
    }
    try {
      Code code = make(kernel, key);
      finish(key, code);
      promise.set_value(code);
      return code;
    } catch (...) {
      finish(key, nullptr);
      promise.set_exception(std::current_exception());
      throw;
    }
  }

  void finish(const CacheKey& key, const Code& code) {
    std::lock_guard lock(mutex_);
    if (code)
      known_[key] = {code, {}};
    else
      known_.erase(key);
    // Keys of code that is gone must not pile up.
    if (known_.size() < 2 * alive_ + 64) return;
    std::erase_if(known_, [](const auto& entry) {
      return entry.second.loaded.expired() && !entry.second.loading.valid();
    });
    alive_ = known_.size();
  }

  Code make(const Kernel& kernel, const CacheKey& key) {
    if (auto entry = cache_.load(key, host_has)) {
      ++cached_;
      return load_object(entry->object, symbols_of(entry->kernel_name, kernel.phases.size()));
    }
    llvm::LLVMContext context;
    auto module = checked_module(kernel, context, isa_);
    std::string object = compile_object(*module, isa_);
    ++compiled_;
    std::vector<std::string> features = isa_.features;
    for (std::string& feature : features_for(kernel, isa_)) features.push_back(std::move(feature));
    cache_.store(key, {kernel.name, std::move(features), object});
    return load_object(object, symbols_of(kernel.name, kernel.phases.size()));
  }

  Isa isa_;
  std::string features_;
  bool runs_;
  ObjectCache cache_;
  std::mutex mutex_;
  std::map<CacheKey, Known> known_;
  size_t alive_ = 0;
  std::atomic<uint64_t> compiled_{0}, cached_{0}, shared_{0};
};

}  // namespace
}  // namespace native

std::unique_ptr<Backend> make_llvm_backend(const Options& options) {
  return make_llvm_backend("", native::cache_folder(options.cache_dir));
}

std::unique_ptr<Backend> make_llvm_backend(const std::string& cpu,
                                           const std::filesystem::path& cache_folder) {
  return std::make_unique<native::NativeBackend>(cpu, cache_folder);
}

}  // namespace plait
