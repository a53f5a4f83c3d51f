#include "tools/bench/bf16_dot.h"

#include "core/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace plait::bench {

#if defined(__x86_64__)

namespace {

// They cover the latency of two pipes.
constexpr int kChains = 12;

__attribute__((target("avx512f,avx512bf16"))) void dots(int64_t depth) {
  __m512 sums[kChains];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  const auto ones = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3F80));
  for (int64_t i = 0; i < depth; ++i) {
#pragma GCC unroll 12
    for (__m512& sum : sums) {
      sum = _mm512_dpbf16_ps(sum, ones, ones);
      asm volatile("" : "+v"(sum));  // keeps each step
    }
  }
}

}  // namespace

bool has_bf16_dot() { return __builtin_cpu_supports("avx512bf16") != 0; }

double run_bf16_dots(int64_t depth) {
  PLAIT_INTERNAL_CHECK(has_bf16_dot(), "this CPU has no bf16 dot product");
  dots(depth);
  return 2.0 * 32 * kChains * static_cast<double>(depth);
}

#else

bool has_bf16_dot() { return false; }

double run_bf16_dots(int64_t) {
  PLAIT_INTERNAL_CHECK(false, "bf16 dot products are measured on x86 only");
  return 0;
}

#endif

}  // namespace plait::bench
