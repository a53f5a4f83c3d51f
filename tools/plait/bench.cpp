// plait bench: works measured against the machine's limits and against other frameworks.
#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "tools/bench/measure.h"
#include "tools/bench/report.h"
#include "tools/bench/subprocess.h"
#include "tools/plait/verbs.h"

namespace plait::tool {
namespace {

using nlohmann::json;

struct Arguments {
  std::vector<std::string> works;
  bench::Settings settings;
  bool json = false;
  bool list = false;
};

json measure(const Arguments& arguments, const std::string& name) {
  bench::Limits limits(Options::global().threads);
  if (name == "limits") return bench::measure_limits(limits);
  return bench::measure(bench::find_work(name), arguments.settings, limits);
}

// In a process of its own, so that neither memory nor compiled kernels of one work help another.
json measure_apart(const Arguments& arguments, const std::string& name) {
  std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe").string(),
                                      "bench",
                                      name,
                                      "--json",
                                      "--seconds",
                                      fmt::format("{}", arguments.settings.seconds),
                                      "--python",
                                      arguments.settings.python,
                                      "--threads",
                                      fmt::format("{}", Options::global().threads)};
  if (!arguments.settings.peers.empty()) {
    command.push_back("--peers");
    command.push_back(fmt::format("{}", fmt::join(arguments.settings.peers, ",")));
  }
  if (arguments.settings.kernels) command.push_back("--kernels");
  bench::Subprocess process(command);
  std::string output;
  const int status = process.wait(&output);
  // A work that failed says why in its line.
  const json result = json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (result.is_object()) return result;
  const std::string reason =
      status > 128 ? fmt::format("ended by signal {} ({})", status - 128, strsignal(status - 128))
                   : fmt::format("failed with status {}", status);
  return {{"work", name}, {"error", reason}};
}

void print(const Arguments& arguments, const json& result, bool header) {
  if (arguments.json) {
    fmt::print("{}\n", result.dump());
  } else if (result["work"] == "limits") {
    fmt::print("{}", bench::limits_text(result));
  } else {
    fmt::print("{}{}{}", header ? bench::table_header() : "", bench::table_rows(result),
               bench::launch_table(result));
  }
  std::fflush(stdout);
}

void run(const Arguments& arguments) {
  if (arguments.list) {
    for (const std::string& name : bench::listed_works()) fmt::print("{}\n", name);
    return;
  }
  PLAIT_CHECK(!arguments.works.empty(), "bench", "needs a work. hint: --list names them");
  for (const std::string& name : arguments.works) {
    if (name != "limits") bench::find_work(name);
  }
  bool failed = false;
  for (const std::string& name : arguments.works) {
    const json result =
        arguments.works.size() == 1 ? measure(arguments, name) : measure_apart(arguments, name);
    print(arguments, result, &name == &arguments.works.front());
    failed = failed || result.contains("error");
  }
  PLAIT_CHECK(!failed, "bench", "a work failed");
}

}  // namespace

Verb add_bench(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "bench", "Measure works against the machine's limits and against other frameworks");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("works", arguments->works,
                   "Names of works, such as gemm_512x512x512, and `limits` for the machine itself");
  verb->add_flag("--list", arguments->list, "Print the names of the works of the bench page");
  verb->add_flag("--json", arguments->json, "Print one line of JSON a work");
  verb->add_flag("--kernels", arguments->settings.kernels, "Time each launch, too");
  verb->add_option("--peers", arguments->settings.peers,
                   "The same work in these frameworks, call by call beside Plait's")
      ->delimiter(',')
      ->check(CLI::IsMember({"torch", "compile", "jax"}));
  verb->add_option("--python", arguments->settings.python, "The Python that has the peers")
      ->capture_default_str();
  verb->add_option("--seconds", arguments->settings.seconds, "Time of each contestant, at least")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  return {verb, [arguments] { run(*arguments); }};
}

}  // namespace plait::tool
