#include "core/cpu_count.h"

#include <sched.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/temporary_folder.h"

using namespace plait;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("cgroup version 2: the least quota of a group and those above") {
  TemporaryFolder mount;
  const auto cpus = [&](const char* membership) { return cgroup_cpus(mount.path(), membership); };
  CHECK(cpus("0::/a/b\n") == std::nullopt);
  write(mount / "a/b/cpu.max", "max 100000\n");
  CHECK(cpus("0::/a/b\n") == std::nullopt);
  write(mount / "a/cpu.max", "250000 100000\n");
  CHECK(cpus("0::/a/b\n") == 2.5);
  write(mount / "a/b/cpu.max", "400000 100000\n");
  CHECK(cpus("0::/a/b\n") == 2.5);
  write(mount / "a/b/cpu.max", "50000 100000\n");
  CHECK(cpus("0::/a/b\n") == 0.5);
  CHECK(cpus("0::/a\n") == 2.5);
  CHECK(cpus("0::/\n") == std::nullopt);
  CHECK(cpus("0::/gone/in/a/container\n") == std::nullopt);
  write(mount / "cpu.max", "300000 100000\n");
  CHECK(cpus("0::/gone/in/a/container\n") == 3.0);
  CHECK(cpus("") == std::nullopt);
  write(mount / "bad/cpu.max", "lots\n");
  CHECK(cpus("0::/bad\n") == 3.0);
}

TEST_CASE("cgroup version 1") {
  TemporaryFolder mount;
  write(mount / "cpu/a/cpu.cfs_quota_us", "150000\n");
  write(mount / "cpu/a/cpu.cfs_period_us", "100000\n");
  write(mount / "cpu/b/cpu.cfs_quota_us", "-1\n");
  write(mount / "cpu/b/cpu.cfs_period_us", "100000\n");
  const auto cpus = [&](const char* membership) { return cgroup_cpus(mount.path(), membership); };
  CHECK(cpus("5:memory:/a\n4:cpu,cpuacct:/a\n") == 1.5);
  CHECK(cpus("4:cpuacct,cpu:/b\n") == std::nullopt);
  CHECK(cpus("4:cpuset:/a\n") == std::nullopt);
}

TEST_CASE("the affinity mask limits the count") {
  cpu_set_t former, one;
  REQUIRE(sched_getaffinity(0, sizeof former, &former) == 0);
  CHECK(available_cpus() >= 1);
  CHECK(available_cpus() <= CPU_COUNT(&former));
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &former)) CPU_SET(cpu, &one);
  }
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(available_cpus() == 1);
  sched_setaffinity(0, sizeof former, &former);
}
