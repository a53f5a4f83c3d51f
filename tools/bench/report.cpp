#include "tools/bench/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace plait::bench {
namespace {

using nlohmann::json;

std::string duration(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.1f} µs", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.2f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string duration(const json& object, const char* key) {
  return object.contains(key) ? duration(object[key].get<double>()) : "";
}

std::string mebibytes(const json& object, const char* key) {
  return object.contains(key) ? fmt::format("{:.0f}", object[key].get<double>() / (1 << 20)) : "";
}

std::string number(const json& object, const char* key, double scale, const char* unit = "") {
  const double value = object.value(key, 0.0) * scale;
  if (value == 0) return "";
  return value < 10 ? fmt::format("{:.2f}{}", value, unit) : fmt::format("{:.0f}{}", value, unit);
}

constexpr const char* kRow = "{:<42} {:>9} {:>9} {:>7} {:>6} {:>11} {:>9} {:>9} {:>8} {:>8}\n";

}  // namespace

std::string table_header() {
  return fmt::format(fmt::runtime(kRow), "work", "median", "best", "GFLOP/s", "GB/s", "of limit",
                     "cold", "launches", "plan MiB", "RSS MiB");
}

std::string table_rows(const json& r) {
  if (r.contains("error")) {
    return fmt::format("{:<42} {}\n", r["work"].get<std::string>(), r["error"].get<std::string>());
  }
  std::string limit = number(r, "of_limit", 100, " %");
  if (!limit.empty()) limit += " " + r["limit_by"].get<std::string>();
  std::string launches;
  if (r.contains("launches")) {
    launches = fmt::format("{}", r["launches"].get<int64_t>());
    if (r["kernels"] != r["launches"])
      launches += fmt::format(" ({})", r["kernels"].get<int64_t>());
  }
  std::string text = fmt::format(fmt::runtime(kRow), r["work"].get<std::string>(),
                                 duration(r, "median"), duration(r, "best"), number(r, "gflops", 1),
                                 number(r, "gbs", 1), limit, duration(r, "cold"), launches,
                                 mebibytes(r, "planned_bytes"), mebibytes(r, "peak_rss"));
  if (!r.contains("peers")) return text;
  for (const auto& [name, peer] : r["peers"].items()) {
    if (peer.contains("error")) {
      text += fmt::format("  {:<40} {}\n", name, peer["error"].get<std::string>());
      continue;
    }
    text += fmt::format(fmt::runtime(kRow), "  " + name, duration(peer, "median"),
                        duration(peer, "best"), "", "",
                        fmt::format("x{:.2f} x{:.2f}", peer["ratio"].get<double>(),
                                    peer["ratio_best"].get<double>()),
                        duration(peer, "cold"), "", "", mebibytes(peer, "peak_rss"));
  }
  return text;
}

std::string launch_table(const json& r) {
  if (!r.contains("by_launch")) return "";
  std::vector<json> launches = r["by_launch"];
  double total = 0;
  for (const json& launch : launches) total += launch["median"].get<double>();
  std::stable_sort(launches.begin(), launches.end(), [](const json& a, const json& b) {
    return a["median"].get<double>() > b["median"].get<double>();
  });
  std::string text = fmt::format("\n{:>10} {:>10} {:>6} {:>7} {:>6}  {}: {} in {} launches\n",
                                 "median", "best", "share", "GFLOP/s", "GB/s",
                                 r["work"].get<std::string>(), duration(total), launches.size());
  for (const json& launch : launches) {
    const double best = launch["best"], median = launch["median"];
    const double flops = launch["flops"], bytes = launch["bytes"];
    const int64_t segments = launch["segments"];
    text += fmt::format("{:>10} {:>10} {:>5.1f}% {:>7} {:>6.1f}  {}{}\n", duration(median),
                        duration(best), 100 * median / total,
                        flops > 0 ? fmt::format("{:.1f}", flops / best * 1e-9) : "",
                        bytes / best * 1e-9, launch["name"].get<std::string>(),
                        segments > 1 ? fmt::format(" and {} beside it", segments - 1) : "");
  }
  return text;
}

std::string limits_text(const json& r) {
  std::string text = fmt::format("FMA f32: {:.1f} GFLOP/s one core, {:.1f} on {} threads\n",
                                 r["fma_one_core"].get<double>() * 1e-9,
                                 r["fma"].get<double>() * 1e-9, r["threads"].get<int64_t>());
  for (const json& row : r["traffic"]) {
    text += fmt::format("traffic through {} MiB: read {:.1f}, copy {:.1f}, in place {:.1f} GB/s\n",
                        row["bytes"].get<int64_t>() >> 20, row["read"].get<double>() * 1e-9,
                        row["copy"].get<double>() * 1e-9, row["in_place"].get<double>() * 1e-9);
  }
  return text + fmt::format("exp {:.2f}, erf {:.2f}, random words {:.2f} G/s\n",
                            r["exp"].get<double>() * 1e-9, r["erf"].get<double>() * 1e-9,
                            r["random"].get<double>() * 1e-9);
}

}  // namespace plait::bench
