#include "core/slot.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "core/error.h"

using namespace plait;

namespace {

size_t alignment(const Buffer& buffer) {
  const auto address = reinterpret_cast<uintptr_t>(buffer.data());
  return address & (~address + 1);
}

}  // namespace

TEST_CASE("buffers of any size are aligned to cache lines, large ones to huge pages") {
  constexpr size_t kHugePage = size_t{2} << 20;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100}, kHugePage - 1}) {
    CHECK(alignment(*Buffer::allocate(size)) >= 64);
  }
  for (const size_t size : {kHugePage, kHugePage + 1, 3 * kHugePage - 64}) {
    const auto buffer = Buffer::allocate(size);
    CAPTURE(size);
    CHECK(alignment(*buffer) >= kHugePage);
    CHECK(buffer->size() == size);
    auto* bytes = static_cast<char*>(buffer->data());
    bytes[0] = bytes[size - 1] = 1;  // all of it can be written
  }
}

TEST_CASE("the system is asked for huge pages") {
  const auto buffer = Buffer::allocate(size_t{4} << 20);
  const auto address = reinterpret_cast<uintptr_t>(buffer->data());
  std::ifstream maps("/proc/self/smaps");
  uintptr_t from = 0, to = 0;
  char dash = 0;
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream range(line);
    if (range >> std::hex >> from >> dash >> to && dash == '-')
      here = from <= address && address < to;
    if (!here || !line.starts_with("VmFlags:")) continue;
    CHECK_THAT(line + " ", Catch::Contains(" hg "));
    return;
  }
  WARN("skipped: this system does not show the flags of memory");
}

TEST_CASE("memory that cannot be had is an error that names the size") {
  CHECK_THROWS_AS(Buffer::allocate(SIZE_MAX), DeviceError);
  CHECK_THROWS_WITH(Buffer::allocate(SIZE_MAX),
                    Catch::Contains("cannot allocate 18446744073709551615 bytes"));
}
