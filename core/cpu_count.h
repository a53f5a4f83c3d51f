// How many CPUs this process may use.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace plait {

// At least 1: the CPUs of the affinity mask, fewer if a cgroup quota gives less time. A quota
// of 2.5 CPUs gives 2: more threads would be stopped in the middle of a kernel.
int available_cpus();

// CPUs by the cgroup quotas (version 1 or 2) of the process whose /proc/…/cgroup reads
// `membership`, below `mount`, normally /sys/fs/cgroup: the least of its group and those above.
// Nothing if there is no quota.
std::optional<double> cgroup_cpus(const std::filesystem::path& mount, std::string_view membership);

}  // namespace plait
