#include "core/cpu_count.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace plait {
namespace {

std::optional<std::string> read_text(const std::filesystem::path& path) {
  std::ifstream stream(path);
  if (!stream) return std::nullopt;
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// "200000 100000" gives 2, "max 100000" and what does not parse nothing.
std::optional<double> quota_cpus(const std::string& quota_and_period) {
  std::istringstream stream(quota_and_period);
  double quota = 0, period = 0;
  if (!(stream >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<double> group_cpus(const std::filesystem::path& group, bool version_2) {
  if (version_2) {
    const auto text = read_text(group / "cpu.max");
    return text ? quota_cpus(*text) : std::nullopt;
  }
  const auto quota = read_text(group / "cpu.cfs_quota_us");
  const auto period = read_text(group / "cpu.cfs_period_us");
  return quota && period ? quota_cpus(*quota + " " + *period) : std::nullopt;
}

// Whether a comma-separated list of controllers, such as "cpu,cpuacct", has `cpu`.
bool has_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    if (comma == std::string_view::npos) break;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

int affinity_cpus() {
  // The kernel refuses a mask smaller than its own; it may know more CPUs than CPU_SETSIZE.
  for (size_t cpus = CPU_SETSIZE; cpus <= size_t{1} << 20; cpus *= 2) {
    std::vector<cpu_set_t> mask(cpus / CPU_SETSIZE);
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
  }
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace

std::optional<double> cgroup_cpus(const std::filesystem::path& mount, std::string_view membership) {
  std::optional<double> least;
  std::istringstream lines{std::string(membership)};
  // A line is "hierarchy:controllers:path"; version 2 has hierarchy 0 and no controllers.
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view controllers =
        std::string_view(line).substr(first + 1, second - first - 1);
    const bool version_2 = controllers.empty();
    if (!version_2 && !has_cpu(controllers)) continue;
    const auto root = version_2 ? mount : mount / "cpu";
    // In a container the path may be the host's: then only the root exists.
    auto below = std::filesystem::path(line.substr(second + 1)).relative_path();
    while (true) {
      if (const auto cpus = group_cpus(root / below, version_2)) {
        least = std::min(least.value_or(*cpus), *cpus);
      }
      if (below.empty()) break;
      below = below.parent_path();
    }
  }
  return least;
}

int available_cpus() {
  int cpus = affinity_cpus();
  if (const auto membership = read_text("/proc/self/cgroup")) {
    if (const auto quota = cgroup_cpus("/sys/fs/cgroup", *membership)) {
      cpus = std::min(cpus, static_cast<int>(std::min(*quota, 1e6)));
    }
  }
  return std::max(cpus, 1);
}

}  // namespace plait
