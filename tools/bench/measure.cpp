#include "tools/bench/measure.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "jit/compile.h"
#include "tools/bench/peer.h"
#include "tools/bench/timing.h"

namespace plait::bench {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

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

void put_times(json& to, const Times& times) {
  to["median"] = times.median();
  to["best"] = times.best();
}

class Measurement {
 public:
  Measurement(const Work& work, const Settings& settings, Limits& limits)
      : work_(work), settings_(settings), limits_(limits) {
    options_.cache_dir = (folder_.path() / "cache").string();
  }

  json run() {
    result_ = {{"work", work_.name}, {"threads", limits_.threads()}};
    switch (work_.kind) {
      case WorkKind::run:
        time_runs();
        return result_;
      case WorkKind::compile:
        time_compiles();
        return result_;
      case WorkKind::import:
        time_imports();
        return result_;
    }
    PLAIT_UNREACHABLE("kind {}", static_cast<int>(work_.kind));
  }

 private:
  void time_runs() {
    // Before anything else: the memory of the limits' arrays is not the work's.
    const Limits::Limit limit = limits_.of(work_.cost);
    Instance instance = work_.build();
    save_data(instance);
    reset_peak_rss();
    Program program = compile(instance);
    std::vector<Array> outputs;
    const auto call = [&] {
      outputs.clear();  // so that the program may use their memory again
      if (instance.before_run) instance.before_run(instance.inputs);
      outputs = program.run(instance.inputs);
      if (instance.after_run) instance.after_run();
    };
    call();
    call();
    if (instance.observed) outputs = {instance.observed->value()};
    std::vector<Array> results;
    for (const Array& output : outputs) results.push_back(output.clone());

    Local plait(call);
    start_peers(results);
    std::vector<Contestant*> contestants = {&plait};
    for (const auto& peer : peers_) contestants.push_back(peer.get());
    const std::vector<Times> times = take_turns(contestants, settings_.seconds);

    put_times(result_, times[0]);
    const double best = times[0].best();
    result_["gflops"] = work_.cost.flops / best * 1e-9;
    result_["gbs"] = work_.cost.bytes / best * 1e-9;
    result_["of_limit"] = limit.seconds / best;
    result_["limit_by"] = limit.by;
    result_["launches"] = program.launches();
    result_["planned_bytes"] = program.peak_bytes();
    result_["peak_rss"] = bench::peak_rss();
    for (size_t i = 0; i < peers_.size(); ++i) put_peer(*peers_[i], times[0], times[i + 1]);
    if (settings_.kernels) time_launches(program, instance);
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
    if (settings_.peers.empty()) return;
    std::vector<NamedArray> arrays;
    for (const auto& [name, array] : instance.inputs) arrays.push_back({"input." + name, array});
    for (const NamedSlot& slot : instance.slots) {
      arrays.push_back({"slot." + slot.name, slot.slot->value()});
    }
    save_safetensors(data_file(), arrays);
  }
  fs::path data_file() const { return folder_.path() / "data.safetensors"; }

  // Those that know the work and whose second call gives what Plait's second call gave.
  void start_peers(const std::vector<Array>& results) {
    result_["peers"] = json::object();
    for (const std::string& name : settings_.peers) {
      if (std::find(work_.peers.begin(), work_.peers.end(), name) == work_.peers.end()) continue;
      json& entry = result_["peers"][name];
      try {
        auto peer = std::make_unique<Peer>(settings_.python, name, work_.name, data_file(),
                                           limits_.threads());
        entry["cold"] = peer->first_call();
        peer->time(1, 1);
        if (work_.tolerance > 0) {
          const fs::path file = folder_.path() / (name + ".safetensors");
          peer->write_results(file);
          const double difference = largest_difference(results, file);
          fs::remove(file);
          entry["difference"] = std::isfinite(difference) ? json(difference) : json("inf");
          PLAIT_CHECK(difference <= work_.tolerance, "bench",
                      "the result of {} differs by {:.2g} of its root mean square; at most {:.2g} "
                      "is the same work",
                      name, difference, work_.tolerance);
        }
        peers_.push_back(std::move(peer));
      } catch (const UserError& error) {
        entry["error"] = error.what();
      }
    }
  }

  void put_peer(Peer& peer, const Times& ours, const Times& theirs) {
    json& entry = result_["peers"][peer.framework()];
    put_times(entry, theirs);
    entry["peak_rss"] = peer.peak_rss();
    entry["ratio"] = theirs.median() / ours.median();
    entry["ratio_best"] = theirs.best() / ours.best();
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

  void time_imports() {
    const fs::path package = fs::read_symlink("/proc/self/exe").parent_path() / ".." / "python";
    const std::string import = fmt::format("import sys; sys.path.insert(0, '{}'); import plait",
                                           fs::weakly_canonical(package).string());
    Times bare, whole, difference;
    for (int i = 0; i < 12; ++i) {
      const double without = python_seconds("import sys"), with = python_seconds(import);
      if (i < 2) continue;
      bare.samples.push_back(without);
      whole.samples.push_back(with);
      difference.samples.push_back(with - without);
    }
    result_["median"] = difference.median();
    result_["best"] = whole.best() - bare.best();
  }

  const Work& work_;
  const Settings& settings_;
  Limits& limits_;
  TemporaryFolder folder_;
  Options options_ = Options::global();
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
