// Streams: whole cache lines are stored past the caches, and made visible before the phase ends.
#include <catch2/catch.hpp>

#include "jit/backend.h"
#include "jit/kernel/kir.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

std::string assembly(const std::string& cpu, int row, const std::string& access) {
  const std::string text = fmt::format(
      "kernel k sizes(n 0..16777216)\n"
      "  buffer x: f32[{0}*n] read\n"
      "  buffer y: f32[{0}*n] {1}\n"
      "  phase r < n:\n"
      "    loop s < 3:\n"
      "      vector l < 32:\n"
      "        %1 = x[{0}*r + 32*s + l]\n"
      "        %2 = add %1, 1 : f32\n"
      "        y[{0}*r + 32*s + l] = %2\n",
      row, access);
  return make_llvm_backend(cpu)->compile(kernel::parse_kernel(text))->source("asm");
}

}  // namespace

TEST_CASE("streams pass the caches") {
  CHECK_THAT(assembly("x86-64-v4", 96, "stream"), Contains("vmovntps\t%zmm") && Contains("sfence"));
  CHECK_THAT(assembly("x86-64-v3", 96, "stream"), Contains("vmovntps\t%ymm") && Contains("sfence"));
  // AArch64 orders them with other stores.
  CHECK_THAT(assembly("aarch64:neoverse-n1", 96, "stream"), Contains("stnp\tq"));
}

TEST_CASE("lines that may be shared with a neighbour row, and plain results, stay in the caches") {
  for (const char* cpu : {"x86-64-v4", "x86-64-v3", "aarch64:neoverse-n1"}) {
    for (const std::string& code : {assembly(cpu, 100, "stream"), assembly(cpu, 96, "write")})
      CHECK_THAT(code, !Contains("vmovnt") && !Contains("sfence") && !Contains("stnp"));
  }
}
