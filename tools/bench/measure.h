// One work measured: Plait, its limit, and the peers that were asked for.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/bench/limits.h"
#include "tools/bench/work.h"

namespace plait::bench {

struct Settings {
  double seconds = 2;  // of each contestant, at least
  std::string python = "python3";
  std::vector<std::string> peers;
  bool kernels = false;  // time each launch, too
};

// Threads and other options are those of Options::global(). The object as WORKLOADS names its
// fields: seconds, bytes, fractions; rates are of the median. What could not be measured, Plait's
// part or a peer's, has an "error" in place of times; it does not stop the others.
nlohmann::json measure(const Work& work, const Settings& settings, Limits& limits);
nlohmann::json measure_limits(Limits& limits);

}  // namespace plait::bench
