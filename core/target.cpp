#include "core/target.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "core/cpu_count.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace plait {

namespace {

// The size of a file such as "48K" or "2M"; 0 if it cannot be read.
uint64_t read_size(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  char unit = 0;
  if (!(file >> number)) return 0;
  file >> unit;
  if (unit == 'K') number <<= 10;
  if (unit == 'M') number <<= 20;
  if (unit == 'G') number <<= 30;
  return number;
}

void set_cache(Target& target, int level, uint64_t bytes) {
  if (bytes == 0) return;
  if (level == 1) target.l1_bytes = bytes;
  if (level == 2) target.l2_bytes = bytes;
  if (level == 3) target.l3_bytes = bytes;
}

// Data caches of the first core, as the kernel reports them. False if it reports none.
bool read_caches_from_sysfs(Target& target) {
  bool any = false;
  for (int i = 0;; ++i) {
    std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i);
    std::ifstream level_file(folder + "/level"), type_file(folder + "/type");
    int level = 0;
    std::string type;
    if (!(level_file >> level) || !(type_file >> type)) return any;
    if (type == "Instruction") continue;
    set_cache(target, level, read_size(folder + "/size"));
    any = true;
  }
}

#if defined(__x86_64__)

// Leaf 4 (Intel) and 0x8000001d (AMD) list the caches in one format.
void read_caches_from_cpuid(Target& target) {
  for (unsigned leaf : {4u, 0x8000001du}) {
    for (unsigned i = 0; i < 16; ++i) {
      unsigned a = 0, b = 0, c = 0, d = 0;
      if (!__get_cpuid_count(leaf, i, &a, &b, &c, &d)) break;
      unsigned type = a & 0x1f, level = (a >> 5) & 7;
      if (type == 0) break;
      if (type == 2) continue;  // instructions
      uint64_t ways = (b >> 22) + 1, partitions = ((b >> 12) & 0x3ff) + 1, line = (b & 0xfff) + 1;
      set_cache(target, static_cast<int>(level), ways * partitions * line * (uint64_t{c} + 1));
    }
  }
}

Target detect_instructions_and_caches() {
  Target target;
  // These look at what the operating system saves on a context switch, too. Asked for as levels,
  // because code is compiled for levels.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) {
    target.name = "x86-64 avx512";
    target.vector_bytes = 64;
    target.vector_registers = 32;
  } else if (__builtin_cpu_supports("x86-64-v3")) {
    target.name = "x86-64 avx2";
    target.vector_bytes = 32;
    target.vector_registers = 16;
  } else {
    target.name = "x86-64 sse";
    target.vector_bytes = 16;
    target.vector_registers = 16;
  }
  target.tiles = target.vector_bytes == 64 && can_use_tiles();
  if (!read_caches_from_sysfs(target)) read_caches_from_cpuid(target);
  return target;
}

// AMX-TILE and AMX-BF16 (leaf 7, EDX bits 24 and 22). Linux lets a process use the registers only
// when it has asked for their state component, 18.
bool ask_for_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22;
  if ((d & kTile) == 0 || (d & kBf16) == 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

#else

bool ask_for_tiles() { return false; }

Target detect_instructions_and_caches() {
  Target target;
  target.name = "aarch64 neon";
  target.vector_bytes = 16;
  target.vector_registers = 32;
  read_caches_from_sysfs(target);
  return target;
}

#endif

// Virtual machines name the L3 of their whole host. No core has more than 32 MiB (EPYC 9175F).
Target detect() {
  constexpr uint64_t kMostL3PerCore = 32 << 20;
  Target target = detect_instructions_and_caches();
  target.cpus = available_cpus();
  target.l3_bytes = std::min(target.l3_bytes, static_cast<uint64_t>(target.cpus) * kMostL3PerCore);
  return target;
}

}  // namespace

bool can_use_tiles() {
  static const bool can = ask_for_tiles();
  return can;
}

const Target& host_target() {
  static const Target target = detect();
  return target;
}

}  // namespace plait
