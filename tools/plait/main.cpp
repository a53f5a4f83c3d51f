// plait: the command-line tool. Exit status: 0, or 1 when the user or the machine erred, 2 when
// Plait itself did; the command line's own errors have those of CLI11 (above 100).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "core/error.h"
#include "core/options.h"
#include "tools/plait/verbs.h"

namespace {

// Each option of Plait as a flag: cache_dir is --cache-dir. Set in the order of the command line.
void add_option_flags(CLI::App& app) {
  for (const plait::OptionInfo& option : plait::option_list()) {
    std::string flag = option.name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    const auto set = [name = option.name](const std::string& value) {
      plait::Options::global().set(name, value);
    };
    app.add_option_function<std::string>("--" + flag, set, option.doc)
        ->group("Options of Plait")
        ->trigger_on_parse();
  }
}

int run(int argc, char** argv) {
  CLI::App app("Plait, a tensor compiler", "plait");
  app.set_version_flag("--version", "plait " PLAIT_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  add_option_flags(app);
  const plait::tool::Verb verbs[] = {
      plait::tool::add_bench(app), plait::tool::add_dtypes(app),  plait::tool::add_ops(app),
      plait::tool::add_opt(app),   plait::tool::add_options(app), plait::tool::add_run(app),
  };
  CLI11_PARSE(app, argc, argv);
  plait::set_log_filter(plait::Options::global().log);
  for (const plait::tool::Verb& verb : verbs) {
    if (verb.app->parsed()) verb.run();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const plait::InternalError& error) {
    fmt::print(stderr, "plait: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "plait: {}\n", error.what());
    return 1;
  }
}
