#include "tools/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <vector>

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

constexpr const char* kRow =
    "{:<42} {:>9} {:>9} {:>7} {:>6} {:>11} {:>9} {:>9} {:>9} {:>8} {:>8}\n";

// "gpt.h.3.attn" -> "gpt.h.*.attn": the same place in each layer.
std::string without_numbers(const std::string& name) {
  static const std::regex number(R"(\.\d+\.)");
  return std::regex_replace(name, number, ".*.");
}

// Launches of one kind, together.
struct Row {
  std::string name;
  int64_t launches = 0;
  double median = 0, best = 0, flops = 0, bytes = 0;
};

void add(Row& row, const json& launch) {
  ++row.launches;
  row.median += launch["median"].get<double>();
  row.best += launch["best"].get<double>();
  row.flops += launch["flops"].get<double>();
  row.bytes += launch["bytes"].get<double>();
}

std::string rows_text(std::vector<Row> rows, double total) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.median > b.median; });
  std::string text = fmt::format("{:>10} {:>10} {:>6} {:>8} {:>7} {:>6}\n", "median", "best",
                                 "share", "launches", "GFLOP/s", "GB/s");
  for (const Row& row : rows) {
    text += fmt::format("{:>10} {:>10} {:>5.1f}% {:>8} {:>7} {:>6.1f}  {}\n", duration(row.median),
                        duration(row.best), 100 * row.median / total, row.launches,
                        row.flops > 0 ? fmt::format("{:.1f}", row.flops / row.best * 1e-9) : "",
                        row.bytes / row.best * 1e-9, row.name);
  }
  return text;
}

}  // namespace

std::string table_header() {
  return fmt::format(fmt::runtime(kRow), "work", "median", "best", "GFLOP/s", "GB/s", "% of limit",
                     "% of copy", "cold", "launches", "plan MiB", "RSS MiB");
}

std::string table_rows(const json& r) {
  std::string limit;
  if (r.value("of_limit", 0.0) > 0) {
    limit = fmt::format("{:.0f} {:.0f} {}", 100 * r["of_limit"].get<double>(),
                        100 * r["of_limit_best"].get<double>(), r["limit_by"].get<std::string>());
  }
  std::string copy;
  if (r.contains("of_copy")) {
    copy = fmt::format("{:.0f} {:.0f}", 100 * r["of_copy"].get<double>(),
                       100 * r["of_copy_best"].get<double>());
  }
  std::string launches;
  if (r.contains("launches")) {
    launches = fmt::format("{}", r["launches"].get<int64_t>());
    if (r["kernels"] != r["launches"])
      launches += fmt::format(" ({})", r["kernels"].get<int64_t>());
  }
  std::string text =
      r.contains("error")
          ? fmt::format("{:<42} {}\n", r["work"].get<std::string>(), r["error"].get<std::string>())
          : fmt::format(fmt::runtime(kRow), r["work"].get<std::string>(), duration(r, "median"),
                        duration(r, "best"), number(r, "gflops", 1), number(r, "gbs", 1), limit,
                        copy, duration(r, "cold"), launches, mebibytes(r, "planned_bytes"),
                        mebibytes(r, "peak_rss"));
  if (!r.contains("peers")) return text;
  for (const auto& [name, peer] : r["peers"].items()) {
    if (peer.contains("error")) {
      text += fmt::format("  {:<40} {}\n", name, peer["error"].get<std::string>());
      continue;
    }
    text += fmt::format(
        fmt::runtime(kRow), "  " + name, duration(peer, "median"), duration(peer, "best"), "", "",
        peer.contains("ratio") ? fmt::format("x{:.2f} x{:.2f}", peer["ratio"].get<double>(),
                                             peer["ratio_best"].get<double>())
                               : "",
        "", duration(peer, "cold"), "", "", mebibytes(peer, "peak_rss"));
  }
  return text;
}

std::string launch_table(const json& r) {
  if (!r.contains("by_launch")) return "";
  double total = 0;
  std::vector<Row> kinds, launches;
  for (const json& launch : r["by_launch"]) {
    total += launch["median"].get<double>();
    const std::string name = launch["name"];
    const int64_t beside = launch["segments"].get<int64_t>() - 1;
    Row& row = launches.emplace_back();
    row.name = name + (beside > 0 ? fmt::format(" and {} beside it", beside) : "");
    add(row, launch);
    // Another size is another kind, however it is called.
    const std::string kind = without_numbers(name);
    auto same = std::find_if(kinds.begin(), kinds.end(), [&](const Row& known) {
      return known.name == kind && known.flops == launch["flops"].get<double>() * known.launches &&
             known.bytes == launch["bytes"].get<double>() * known.launches;
    });
    if (same == kinds.end()) {
      kinds.emplace_back();
      same = kinds.end() - 1;
      same->name = kind;
    }
    add(*same, launch);
  }
  std::string text = fmt::format("\n{}: {} in {} launches\n", r["work"].get<std::string>(),
                                 duration(total), launches.size());
  if (kinds.size() < launches.size()) text += rows_text(kinds, total) + "\neach launch:\n";
  return text + rows_text(launches, total);
}

std::string limits_text(const json& r) {
  std::string text = fmt::format("FMA f32: {:.1f} GFLOP/s one core, {:.1f} on {} threads\n",
                                 r["fma_one_core"].get<double>() * 1e-9,
                                 r["fma"].get<double>() * 1e-9, r["threads"].get<int64_t>());
  if (r.contains("bf16")) {
    text += fmt::format("bf16 products: {:.1f} GFLOP/s one core, {:.1f} on {} threads\n",
                        r["bf16_one_core"].get<double>() * 1e-9, r["bf16"].get<double>() * 1e-9,
                        r["threads"].get<int64_t>());
  }
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
