// Matrix registers, dot products of pairs and sums without subnormals against the interpreter.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>

#include "core/reduction_order.h"
#include "core/target.h"
#include "jit/backend.h"
#include "tests/jit/llvm/compare.h"
#include "tests/support/launch.h"
#include "tests/support/skip.h"

using namespace plait;
using namespace plait::testing;

namespace {

// Two by two tiles of sums over `blocks` blocks of pairs; the left factor's rows lie 40 elements
// apart and end early.
const char* const kTiles =
    "kernel tiles sizes(blocks 0..100, tile_rows 0..16, tile_columns 0..32)\n"
    "  buffer a: bf16[1280*blocks + 32] read\n"
    "  buffer b: u32[512*blocks] read\n"
    "  buffer c: f32[1024] read\n"
    "  buffer y: f32[1024] write\n"
    "  buffer t: f32[1024] local\n"
    "  buffer sums: f32[1024] tiles\n"
    "  buffer left: u32[512] tiles\n"
    "  buffer right: u32[512] tiles\n"
    "  phase r < 1:\n"
    "    unrolled u < 2:\n"
    "      tile_zero sums[512*u]\n"
    "      tile_load sums[512*u + 256] = c[512*u + 16] pitch 32 rows 16 columns 16\n"
    "    loop s < blocks:\n"
    "      unrolled u < 2:\n"
    "        tile_load left[256*u] = a[1280*s + 640*u] pitch 40 rows tile_rows columns "
    "tile_columns\n"
    "        tile_load right[256*u] = b[512*s + 16*u] pitch 32 rows 16 columns 16\n"
    "      unrolled u < 2:\n"
    "        unrolled u1 < 2:\n"
    "          tile_dot sums[512*u + 256*u1] += left[256*u] * right[256*u1]\n"
    "    unrolled u < 2:\n"
    "      unrolled u1 < 2:\n"
    "        tile_store t[512*u + 16*u1] = sums[512*u + 256*u1] pitch 32\n"
    "    loop s < 1024:\n"
    "      %1 = t[s]\n"
    "      y[s] = %1\n";

const char* const kFlush =
    "kernel flush\n"
    "  buffer a: f32[4096] read\n"
    "  buffer b: f32[4096] read\n"
    "  buffer c: f32[4096] read\n"
    "  buffer products: f32[4096] write\n"
    "  buffer sums: f32[4096] write\n"
    "  buffer plain: f32[4096] write\n"
    "  phase r < 256:\n"
    "    flush:\n"
    "      vector l < 16:\n"
    "        %1 = a[16*r + l]\n"
    "        %2 = b[16*r + l]\n"
    "        %3 = c[16*r + l]\n"
    "        %4 = fma %1, %2, %3 : f32\n"
    "        products[16*r + l] = %4\n"
    "        %5 = add %1, %3 : f32\n"
    "        sums[16*r + l] = %5\n"
    "    vector l < 16:\n"
    "      %6 = a[16*r + l]\n"
    "      %7 = b[16*r + l]\n"
    "      %8 = c[16*r + l]\n"
    "      %9 = fma %6, %7, %8 : f32\n"
    "      plain[16*r + l] = %9\n";

// Whole vectors, and a constant pair beside a lone element.
const char* const kPairDots =
    "kernel pair_dots\n"
    "  buffer a: u32[4112] read\n"
    "  buffer b: u32[4112] read\n"
    "  buffer c: f32[4112] read\n"
    "  buffer y: f32[4112] write\n"
    "  phase r < 257:\n"
    "    flush:\n"
    "      when r < 256:\n"
    "        vector l < 16:\n"
    "          %1 = a[16*r + l]\n"
    "          %2 = b[16*r + l]\n"
    "          %3 = c[16*r + l]\n"
    "          %4 = pair_dot %1, %2, %3 : f32\n"
    "          y[16*r + l] = %4\n"
    "      when 256 <= r:\n"
    "        loop s < 16:\n"
    "          %5 = a[16*r + s]\n"
    "          %6 = pair_dot %5, 1065369472, 0.5 : f32\n"
    "          y[16*r + s] = %6\n";

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("matrix registers give the interpreter's bits") {
  const kernel::Kernel kernel = kernel::parse_kernel(kTiles);
  kernel::verify(kernel);
  CHECK(to_text(kernel) == kTiles);
  if (!can_use_tiles()) PLAIT_SKIP("this machine has no matrix registers");
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    for (const int64_t blocks : {0, 1, 3}) {
      for (const int64_t rows : {0, 1, 7, 16}) {
        for (const int64_t columns : {1, 2, 31, 32}) {
          CAPTURE(seed, blocks, rows, columns);
          CHECK(difference(kernel, {blocks, rows, columns}, {seed}) == "");
        }
      }
    }
  }
}

TEST_CASE("a step of matrix registers is their loads and products") {
  const std::string code =
      make_llvm_backend("x86-64-v4")->compile(kernel::parse_kernel(kTiles))->source("asm");
  CHECK(count(code, "tdpbf16ps") == 4);
  CHECK(count(code, "tilestored") == 4);
  CHECK(count(code, "tilezero") == 2);
  // The sums' two, the right factor's two, and the left's two as a whole or in part.
  CHECK(count(code, "tileloadd") == 8);
  CHECK(count(code, "ldtilecfg") == 1);
  CHECK(count(code, "tilerelease") == 1);
}

TEST_CASE("products of pairs are added one after the other, the upper halves' first") {
  const kernel::Kernel kernel = kernel::parse_kernel(kPairDots);
  kernel::verify(kernel);
  CHECK(to_text(kernel) == kPairDots);
  constexpr size_t kCount = 4112;
  std::mt19937 random(4);
  std::vector<uint32_t> a(kCount), b(kCount);
  std::vector<float> c(kCount), expected(kCount), got(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    // Of all sizes; of sizes like each other's; about 2^-126, where it matters what is tiny.
    const uint64_t about[] = {random() % 256, 124, 60};
    auto half = [&] { return (random() & 0x807f) | (about[i % 3] + random() % 8) % 256 << 7; };
    auto pair = [&] { return static_cast<uint32_t>(half() << 16 | half()); };
    a[i] = pair();
    b[i] = pair();
    const uint64_t exponent = i % 3 == 0 ? random() % 256 : i % 3 == 1 ? 124 + random() % 8 : 1;
    const uint64_t mantissa = i % 3 == 2 ? random() % 4 : random() & 0x7fffff;
    const uint64_t sign = random() & 0x80000000;
    c[i] = std::bit_cast<float>(static_cast<uint32_t>(sign | exponent << 23 | mantissa));
    expected[i] = i < 4096 ? flushed_pair_dot(a[i], b[i], c[i])
                           : flushed_pair_dot(a[i], 1065369472, 0.5f);  // 1 and 0.5
  }
  // Differs with the other order, or where the two products are added first.
  CHECK(flushed_pair_dot(0x3f804b80, 0x3f80cb80, 0x1p48f) == 0);
  CHECK(flushed_pair_dot(0x4b803f80, 0xcb803f80, 0x1p48f) == 1);
  auto compare = [&](const std::vector<float>& values) {
    for (size_t i = 0; i < kCount; ++i) {
      if (std::isnan(expected[i]) && std::isnan(values[i])) continue;
      CAPTURE(i, a[i], b[i], c[i], expected[i], values[i]);
      REQUIRE(std::memcmp(&values[i], &expected[i], sizeof(float)) == 0);
    }
  };
  interpret(kernel, {a.data(), b.data(), c.data(), got.data()}, {});
  compare(got);
  for (const std::string& cpu : runnable_cpus(true)) {
    CAPTURE(cpu);
    if (cpu == "x86-64-v4" && !can_use_pair_dots()) continue;
    got.assign(kCount, 7);
    launch(kernel, *make_llvm_backend(cpu)->compile(kernel),
           {a.data(), b.data(), c.data(), got.data()}, {});
    compare(got);
  }
  auto code = [&](const char* cpu) {
    return make_llvm_backend(cpu)->compile(kernel)->source("asm");
  };
  CHECK(count(code("x86-64-v4"), "vdpbf16ps") == 1);
  CHECK(count(code("x86-64-v3"), "vdpbf16ps") == 0);
  CHECK(count(code("x86-64-v3"), "vfmadd") >= 2 * 2);
  CHECK(count(code("aarch64:neoverse-n1"), "\tfmla\t") >= 2 * 4);
}

TEST_CASE("sums below a flush have no subnormals, what stands beside keeps them") {
  const kernel::Kernel kernel = kernel::parse_kernel(kFlush);
  kernel::verify(kernel);
  CHECK(to_text(kernel) == kFlush);
  constexpr size_t kCount = 4096;
  std::mt19937 random(3);
  std::uniform_real_distribution<float> mantissa(-2, 2);
  std::uniform_int_distribution<int> exponent(-3, 3);
  std::vector<float> a(kCount), b(kCount), c(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    a[i] = std::ldexp(mantissa(random), -63 + exponent(random));
    b[i] = std::ldexp(mantissa(random), -63 + exponent(random));
    c[i] = std::ldexp(mantissa(random), -126 + exponent(random));
    if (i % 8 == 0) a[i] = std::ldexp(a[i], -66);
    if (i % 16 != 1) continue;
    // 2^-126 less a part of the step below it, from none to two.
    a[i] = std::ldexp(static_cast<float>(i / 16), -58 - 75);
    b[i] = -0x1p-24f;
    c[i] = 0x1p-126f;
  }
  std::vector<std::vector<float>> interpreted(3, std::vector<float>(kCount)), native = interpreted;
  interpret(kernel,
            {a.data(), b.data(), c.data(), interpreted[0].data(), interpreted[1].data(),
             interpreted[2].data()},
            {});
  auto subnormals = [](const std::vector<float>& values) {
    return std::count_if(values.begin(), values.end(),
                         [](float value) { return value != 0 && std::fabs(value) < 0x1p-126f; });
  };
  CHECK(subnormals(interpreted[0]) == 0);
  CHECK(subnormals(interpreted[1]) == 0);
  CHECK(subnormals(interpreted[2]) > 1000);
  for (const std::string& cpu : runnable_cpus(true)) {
    CAPTURE(cpu);
    launch(kernel, *make_llvm_backend(cpu)->compile(kernel),
           {a.data(), b.data(), c.data(), native[0].data(), native[1].data(), native[2].data()},
           {});
    for (size_t k = 0; k < 3; ++k) {
      CHECK(std::memcmp(native[k].data(), interpreted[k].data(), kCount * sizeof(float)) == 0);
    }
  }
}
