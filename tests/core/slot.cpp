#include "core/slot.h"

#include <catch2/catch.hpp>
#include <cstdint>

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

TEST_CASE("memory that cannot be had is an error that names the size") {
  CHECK_THROWS_AS(Buffer::allocate(SIZE_MAX), DeviceError);
  CHECK_THROWS_WITH(Buffer::allocate(SIZE_MAX),
                    Catch::Contains("cannot allocate 18446744073709551615 bytes"));
}
