#include "tools/bench/measure.h"

#include <cmath>
#include <filesystem>
#include <optional>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "core/target.h"
#include "jit/compile.h"
#include "tools/bench/bf16_dot.h"
#include "tools/bench/peer.h"
#include "tools/bench/timing.h"

namespace plait::bench {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kImportTurns = 10;

// Gone with its contents at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "plait_bench_XXXXXX").string();
    if (!mkdtemp(name.data())) throw DeviceError(fmt::format("cannot make the folder {}", name));
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class Measurement {
 public:
  Measurement(const Work& work, const Settings& settings, Limits& limits)
      : work_(work), settings_(settings), limits_(limits) {
    options_.cache_dir = (folder_.path() / "cache").string();
    if (work_.autocast != Autocast::off) options_.autocast = work_.autocast;
    result_ = {{"work", work_.name}, {"threads", limits_.threads()}, {"peers", json::object()}};
  }

  json run() {
    for (const std::string& name : settings_.peers) {
      const auto reason = work_.without.find(name);
      if (reason == work_.without.end()) {
        peer_names_.push_back(name);
      } else {
        result_["peers"][name]["error"] = reason->second;
      }
    }
    guarded(result_, [&] {
      switch (work_.kind) {
        case WorkKind::run:
          return time_runs();
        case WorkKind::compile:
          return time_compiles();
        case WorkKind::import:
          return time_imports();
      }
      PLAIT_UNREACHABLE("kind {}", static_cast<int>(work_.kind));
    });
    return result_;
  }

 private:
  // A failure is an entry's "error".
  static void guarded(json& entry, const std::function<void()>& body) {
    try {
      body();
    } catch (const std::exception& error) {
      entry["error"] = error.what();
    }
  }

  void put_times(json& to, const Times& times) const {
    if (!times.error.empty()) {
      to["error"] = times.error;
      return;
    }
    to["median"] = times.median() / static_cast<double>(work_.parts);
    to["best"] = times.best() / static_cast<double>(work_.parts);
  }

  void time_runs() {
    // Before anything else: the memory of the limits' arrays is not the work's.
    const Limits::Limit limit = limits_.of(work_.cost);
    const double copy_seconds = limits_.copy_seconds(work_.cost);
    Instance instance = work_.build();
    save_data(instance);
    reset_peak_rss();
    std::optional<Program> program;
    std::vector<Array> outputs;
    const auto call = [&] {
      outputs.clear();  // so that the program may use their memory again
      if (instance.before_run) instance.before_run(instance.inputs);
      outputs = program->run(instance.inputs);
      if (instance.after_run) instance.after_run();
    };
    Local plait(call);
    std::vector<Contestant*> contestants;
    std::vector<Array> results;
    guarded(result_, [&] {
      program.emplace(compile(instance));
      call();
      call();
      if (instance.observed) outputs = {instance.observed->value()};
      for (const Array& output : outputs) results.push_back(output.clone());
      contestants.push_back(&plait);
    });
    start_peers(results);
    for (const auto& peer : peers_) contestants.push_back(peer.get());
    std::vector<Times> times = take_turns(contestants, settings_.seconds);
    if (!result_.contains("error")) {
      put_times(result_, times[0]);
      times.erase(times.begin());
    }
    for (size_t i = 0; i < peers_.size(); ++i) put_peer(*peers_[i], times[i]);
    if (result_.contains("error")) return;
    put_rates(limit, copy_seconds);
    result_["launches"] = program->launches();
    result_["planned_bytes"] = program->peak_bytes();
    result_["peak_rss"] = bench::peak_rss();
    if (settings_.kernels) time_launches(*program, instance);
  }

  void put_rates(const Limits::Limit& limit, double copy_seconds) {
    const double median = result_["median"], best = result_["best"];
    result_["gflops"] = (work_.cost.flops + work_.cost.bf16_flops) / median * 1e-9;
    result_["gbs"] = work_.cost.bytes / median * 1e-9;
    result_["of_limit"] = limit.seconds / median;
    result_["of_limit_best"] = limit.seconds / best;
    result_["limit_by"] = limit.by;
    result_["limits"] = limit.of;
    if (copy_seconds == 0) return;
    result_["of_copy"] = copy_seconds / median;
    result_["of_copy_best"] = copy_seconds / best;
  }

  Program compile(Instance& instance) {
    const uint64_t before = compile_count().kernels;
    const Stopwatch watch;
    Program program = instance.compile(options_);
    result_["cold"] = watch.seconds();
    result_["kernels"] = compile_count().kernels - before;
    return program;
  }

  void save_data(const Instance& instance) {
    if (peer_names_.empty()) return;
    std::vector<NamedArray> arrays;
    for (const auto& [name, array] : instance.inputs) arrays.push_back({"input." + name, array});
    for (const NamedSlot& slot : instance.slots) {
      arrays.push_back({"slot." + slot.name, slot.slot->value()});
    }
    save_safetensors(data_file(), arrays);
  }
  fs::path data_file() const { return folder_.path() / "data.safetensors"; }

  // Those whose second call gives what Plait's second call gave.
  void start_peers(const std::vector<Array>& results) {
    for (const std::string& name : peer_names_) {
      json& entry = result_["peers"][name];
      guarded(entry, [&] {
        auto peer = std::make_unique<Peer>(settings_.python, name, work_.name, data_file(),
                                           limits_.threads());
        entry["cold"] = peer->first_call();
        peer->time(1, 1);
        if (work_.tolerance > 0 && !results.empty()) compare(*peer, results);
        peers_.push_back(std::move(peer));
      });
    }
  }

  void compare(Peer& peer, const std::vector<Array>& results) {
    const std::string& name = peer.framework();
    const fs::path file = folder_.path() / (name + ".safetensors");
    peer.write_results(file);
    const double difference = largest_difference(results, file);
    fs::remove(file);
    result_["peers"][name]["difference"] =
        std::isfinite(difference) ? json(difference) : json("inf");
    PLAIT_CHECK(difference <= work_.tolerance, "bench",
                "the result of {} differs by {:.2g} of its root mean square; at most {:.2g} is "
                "the same work",
                name, difference, work_.tolerance);
  }

  void put_peer(Peer& peer, const Times& times) {
    json& entry = result_["peers"][peer.framework()];
    put_times(entry, times);
    if (entry.contains("error")) return;
    guarded(entry, [&] { entry["peak_rss"] = peer.peak_rss(); });
    put_ratios(entry);
  }

  void put_ratios(json& entry) const {
    if (result_.contains("error") || entry.contains("error")) return;
    entry["ratio"] = entry["median"].get<double>() / result_["median"].get<double>();
    entry["ratio_best"] = entry["best"].get<double>() / result_["best"].get<double>();
  }

  void time_launches(Program& program, Instance& instance) {
    const double call = result_["best"];
    const int runs = std::clamp(static_cast<int>(settings_.seconds / call), 5, 200);
    if (instance.before_run) instance.before_run(instance.inputs);
    for (const LaunchTime& launch : program.time_launches(instance.inputs, runs)) {
      result_["by_launch"].push_back({{"name", launch.name},
                                      {"segments", launch.segments},
                                      {"median", launch.median},
                                      {"best", launch.best},
                                      {"flops", launch.flops},
                                      {"bytes", launch.bytes}});
    }
  }

  // Cold with nothing on disk; then warm: another path to the same folder makes a backend that
  // finds the objects on disk but none in the process.
  void time_compiles() {
    const fs::path cache = options_.cache_dir;
    Times warm;
    reset_peak_rss();
    for (int i = 0; i < 4; ++i) {
      Instance instance = work_.build();
      const Stopwatch watch;
      if (i == 0) {
        const Program program = compile(instance);
        result_["launches"] = program.launches();
        result_["planned_bytes"] = program.peak_bytes();
        continue;
      }
      options_.cache_dir += "/.";
      const Stopwatch warm_watch;
      instance.compile(options_);
      warm.samples.push_back(warm_watch.seconds());
    }
    put_times(result_, warm);
    result_["peak_rss"] = bench::peak_rss();
  }

  double python_seconds(const std::string& code) {
    const Stopwatch watch;
    Subprocess process({settings_.python, "-c", code});
    const int status = process.wait();
    PLAIT_CHECK(status == 0, "bench", "`{} -c '{}'` ended with status {}", settings_.python, code,
                status);
    return watch.seconds();
  }

  // Each import beside a bare Python of its turn.
  void time_imports() {
    const fs::path package = fs::read_symlink("/proc/self/exe").parent_path() / ".." / "python";
    PLAIT_CHECK(fs::exists(package / "plait"), "bench",
                "the Python package is not built at {}. hint: build the target _core",
                fs::weakly_canonical(package).string());
    std::map<std::string, std::string> code = {
        {"plait", fmt::format("import sys; sys.path.insert(0, '{}'); import plait",
                              fs::weakly_canonical(package).string())}};
    for (const std::string& name : peer_names_) code[name] = "import " + name;
    std::map<std::string, Times> times;
    for (int i = 0; i < kImportTurns + 2; ++i) {
      const double bare = python_seconds("import sys");
      for (const auto& [name, line] : code) {
        Times& whole = times[name];
        if (!whole.error.empty()) continue;
        try {
          const double seconds = python_seconds(line) - bare;
          if (i >= 2) whole.samples.push_back(seconds);  // after the files are in memory
        } catch (const UserError& error) {
          whole.error = error.what();
        }
      }
    }
    put_times(result_, times["plait"]);
    for (const std::string& name : peer_names_) {
      json& entry = result_["peers"][name];
      put_times(entry, times[name]);
      put_ratios(entry);
    }
  }

  const Work& work_;
  const Settings& settings_;
  Limits& limits_;
  TemporaryFolder folder_;
  Options options_ = Options::global();
  std::vector<std::string> peer_names_;  // asked for, and able to
  std::vector<std::unique_ptr<Peer>> peers_;
  json result_;
};

}  // namespace

nlohmann::json measure(const Work& work, const Settings& settings, Limits& limits) {
  return Measurement(work, settings, limits).run();
}

nlohmann::json measure_limits(Limits& limits) {
  json result = {{"work", "limits"}, {"threads", limits.threads()}};
  result["fma_one_core"] = limits.fma_flops(1);
  result["fma"] = limits.fma_flops(limits.threads());
  if (has_bf16_dot() || host_target().tiles) {
    result["bf16_one_core"] = limits.bf16_flops(1);
    result["bf16"] = limits.bf16_flops(limits.threads());
  }
  for (const size_t mebibytes : {1, 16, 256}) {
    const size_t bytes = mebibytes << 20;
    result["traffic"].push_back({{"bytes", bytes},
                                 {"read", limits.read_bytes(bytes)},
                                 {"copy", limits.copy_bytes(bytes)},
                                 {"in_place", limits.in_place_bytes(bytes)}});
  }
  result["exp"] = limits.exp_rate();
  result["erf"] = limits.erf_rate();
  result["random"] = limits.random_rate();
  return result;
}

}  // namespace plait::bench
