// LLVM IR -> machine code, for one instruction set.
#pragma once

#include <string>
#include <vector>

namespace llvm {
class Module;
}

namespace plait::native {

// What code is compiled for. On x86 a level (x86-64-v2, -v3, -v4), so that machines of one level
// share code and tuning differences change nothing.
struct Isa {
  std::string triple;                 // another architecture's; empty: this process's
  std::string cpu;                    // an LLVM CPU name
  std::vector<std::string> features;  // what a machine must have, sorted
  bool is_x86 = false;
  bool native_f16 = false;   // converts between f16 and f32 itself
  bool cheap_masks = false;  // masked accesses of any element cost what plain ones do
  bool has_avx512 = false;   // vectors of 512 bits; scales by powers of two, gathers words
  // Instructions of AArch64 that mean what jit/kernel/nodes.def says:
  bool has_extrema = false;           // greatest and least with NaNs and signed zeros
  bool has_saturating_casts = false;  // from floats to integers
};

// The highest level that this machine has.
const Isa& host_isa();
// A CPU of this machine's architecture, or of AArch64 as in "aarch64:neoverse-n1". UserError if
// LLVM does not know the name.
Isa isa_of_cpu(const std::string& name);
// Whether this machine has each of the features.
bool host_has(const std::vector<std::string>& features);
// Whether this machine runs code for `isa`.
bool host_runs(const Isa& isa);

// "19.1.7"
std::string llvm_version();

// The bytes of a relocatable object.
std::string compile_object(llvm::Module& module, const Isa& isa);
std::string compile_assembly(llvm::Module& module, const Isa& isa);

}  // namespace plait::native
