// The verbs of the command-line tool, one file each.
//
// Each function adds its subcommand to `app`; the returned function does the work after parsing and
// raises the errors of core/error.h, which main prints.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace plait::tool {

struct Verb {
  CLI::App* app;
  std::function<void()> run;
};

Verb add_bench(CLI::App& app);
Verb add_dtypes(CLI::App& app);
Verb add_ops(CLI::App& app);
Verb add_opt(CLI::App& app);
Verb add_options(CLI::App& app);
Verb add_run(CLI::App& app);

}  // namespace plait::tool
