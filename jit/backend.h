// What a backend gives: kernels compiled for one device. One folder a backend.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/options.h"
#include "jit/kernel/kir.h"

namespace plait {

// The first bad index of a launch; `site` is -1 while there is none. Filled by at most one writer
// (compare and swap on site).
struct ErrorRecord {
  int64_t site = -1;
  int64_t position = 0;
  int64_t value = 0;
};

// What a phase needs to run some of its iterations on one thread.
struct PhaseArguments {
  void* const* buffers;  // parameters, then workspaces, in the kernel's order
  const int64_t* sizes;  // the kernel's symbols
  int64_t begin, end;    // iterations of the phase
  void* local;           // local_bytes() bytes, 64-byte aligned, of this thread
  ErrorRecord* error;
};

class CompiledKernel {
 public:
  virtual ~CompiledKernel() = default;
  virtual void run(size_t phase, const PhaseArguments& arguments) const = 0;
  // Scratch one thread needs, for the given sizes.
  virtual size_t local_bytes(const int64_t* sizes) const = 0;
  // "llvm", "asm", …: the text of a stage, for dumps; UserError names the stages there are.
  virtual std::string source(std::string_view stage) const = 0;
};

// What compile() did so far.
struct BackendCounts {
  uint64_t compiled = 0;  // code was generated
  uint64_t cached = 0;    // came from the cache on disk
  uint64_t shared = 0;    // the same code was already in the process
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;
  // Thread safe. The kernel must have passed verify().
  virtual std::shared_ptr<CompiledKernel> compile(const kernel::Kernel& kernel) = 0;
  virtual BackendCounts counts() const { return {}; }
};

// The backends of core/backends.def, as a program uses them.
#define PLAIT_BACKEND(name, make, doc) std::unique_ptr<Backend> make(const Options& options);
#include "core/backends.def"

// jit/interp: the definition of kernel IR; counts bytes (byte_counts.h). Never optimised.
std::unique_ptr<Backend> make_interpreter_backend();
// jit/llvm: native code for this machine, or for `cpu` (an LLVM CPU name such as "x86-64-v3" or
// "aarch64:neoverse-n1") to inspect code; run() is a UserError if this machine lacks its features.
// cache_folder: where object code is kept between runs; empty: nowhere. An unusable folder costs
// one warning (jit/llvm/object_cache.h).
std::unique_ptr<Backend> make_llvm_backend(const std::string& cpu = "",
                                           const std::filesystem::path& cache_folder = {});

}  // namespace plait
