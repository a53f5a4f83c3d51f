// Bytes and halves that lie apart are read through the aligned words that hold them.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "jit/backend.h"
#include "jit/kernel/kir.h"
#include "jit/llvm/codegen.h"
#include "tests/support/launch.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

// Every third element, some of them under a mask.
std::string every_third(const std::string& dtype, const std::string& address) {
  return fmt::format(
      "kernel k\n"
      "  buffer x: {0}[97] read\n"
      "  buffer y: {0}[64] write\n"
      "  phase r < 2:\n"
      "    vector l < 32:\n"
      "      when l + 32*r < 33:\n"
      "        %1 = x[{1}]\n"
      "        y[l + 32*r] = %1\n",
      dtype, address);
}

}  // namespace

TEST_CASE("gathers of bytes and halves are instructions") {
  for (const char* dtype : {"u8", "bool", "bf16", "f16", "i16"}) {
    const auto kernel = kernel::parse_kernel(every_third(dtype, "3*l + 96*r"));
    const std::string code = make_llvm_backend("x86-64-v4")->compile(kernel)->source("asm");
    CAPTURE(dtype);
    CHECK_THAT(code, Contains("vpgatherd") && !Contains("vpinsr"));
  }
}

TEST_CASE("gathers read no page but that of an element") {
  if (!native::host_isa().has_avx512) WARN("this machine gathers lane by lane");
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto* bytes = static_cast<uint8_t*>(memory) + page;
  REQUIRE(mprotect(bytes, page, PROT_READ | PROT_WRITE) == 0);
  for (size_t i = 0; i < page; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  for (const char* address : {"3*l + 96*r", "96 - 3*l - 96*r"}) {
    for (const auto& [dtype, size] : {std::pair{"u8", size_t{1}}, std::pair{"bf16", size_t{2}}}) {
      const auto kernel = kernel::parse_kernel(every_third(dtype, address));
      const auto compiled = make_llvm_backend()->compile(kernel);
      for (const size_t start :
           {size_t{0}, size, page - 99 * size, page - 98 * size, page - 97 * size}) {
        CAPTURE(address, dtype, start);
        uint8_t y[128] = {};
        testing::launch(kernel, *compiled, {bytes + start, y}, {});
        for (size_t i = 0; i < 33; ++i) {
          const size_t from = address[0] == '3' ? 3 * i : 96 - 3 * i;
          CHECK(std::memcmp(y + i * size, bytes + start + from * size, size) == 0);
        }
        CHECK(int{y[33 * size]} == 0);
      }
    }
  }
  munmap(memory, 3 * page);
}
