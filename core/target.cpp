#include "core/target.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <fstream>
#include <random>
#include <string>

#include "core/cpu_count.h"
#include "core/reduction_order.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
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
  target.pair_dots = target.vector_bytes == 64 && can_use_pair_dots();
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

using Lanes = std::array<uint32_t, 16>;

__attribute__((target("avx512f,avx512bf16"))) Lanes pair_dots(const Lanes& a, const Lanes& b,
                                                              const Lanes& sums) {
  const auto x = (__m512bh)_mm512_loadu_si512(a.data()), y = (__m512bh)_mm512_loadu_si512(b.data());
  Lanes result;
  _mm512_storeu_ps(result.data(), _mm512_dpbf16_ps(_mm512_loadu_ps(sums.data()), x, y));
  return result;
}

// By the Intel SDM it rounds and flushes after each multiply-add; on Zen 4 it is flushed_pair_dot
// in 320 million sums of all sizes and 64 million about 2^-126. Bits depend on it, so each machine
// is asked anew: sums of all sizes, and products of about 2^-140 with sums of about 2^-126.
bool compare_pair_dots() {
  if (!__builtin_cpu_supports("avx512bf16")) return false;
  std::mt19937 random(1);
  auto half = [&](uint32_t exponent) { return (random() & 0x807f) | exponent << 7; };
  for (int round = 0; round < 200; ++round) {
    Lanes a, b, sums;
    for (size_t lane = 0; lane < a.size(); ++lane) {
      const bool is_tiny = round % 2 == 1;
      auto first = [&] { return is_tiny ? 50 + random() % 15 : random() % 255; };
      auto second = [&] { return is_tiny ? 50 + random() % 15 : 90 + random() % 70; };
      a[lane] = half(first()) | half(first()) << 16;
      b[lane] = half(second()) | half(second()) << 16;
      sums[lane] = (random() & 0x80000003) | (is_tiny ? 1 : random() % 255) << 23;
    }
    const Lanes got = pair_dots(a, b, sums);
    for (size_t lane = 0; lane < a.size(); ++lane) {
      const float sum = flushed_pair_dot(a[lane], b[lane], std::bit_cast<float>(sums[lane]));
      const bool same = std::bit_cast<uint32_t>(sum) == got[lane];
      if (!same && !(std::isnan(sum) && std::isnan(std::bit_cast<float>(got[lane])))) return false;
    }
  }
  return true;
}

#else

bool ask_for_tiles() { return false; }
bool compare_pair_dots() { return false; }

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

bool can_use_pair_dots() {
  static const bool can = compare_pair_dots();
  return can;
}

const Target& host_target() {
  static const Target target = detect();
  return target;
}

}  // namespace plait
