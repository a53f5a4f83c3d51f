// The command-line tool: one subcommand a file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App app("Plait, a tensor compiler", "plait");
  app.set_version_flag("--version", "plait " PLAIT_VERSION);
  app.require_subcommand(0, 1);
  CLI11_PARSE(app, argc, argv);
  return 0;
}
