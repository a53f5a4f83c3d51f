#include "core/target.h"

#include <catch2/catch.hpp>

using namespace plait;

TEST_CASE("the host's registers and caches are plausible and the same each time") {
  const Target& target = host_target();
  CHECK(&target == &host_target());
  CHECK(!target.name.empty());
  CHECK((target.vector_bytes == 16 || target.vector_bytes == 32 || target.vector_bytes == 64));
  CHECK((target.vector_registers == 16 || target.vector_registers == 32));
  CHECK(target.l1_bytes >= 8 << 10);
  CHECK(target.l1_bytes % 1024 == 0);
  CHECK(target.l2_bytes > target.l1_bytes);
  CHECK(target.l3_bytes > 0);
}
