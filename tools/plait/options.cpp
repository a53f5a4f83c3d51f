// plait options: what options there are, or their values now.
#include "core/options.h"

#include <fmt/format.h>

#include "tools/plait/verbs.h"

namespace plait::tool {

Verb add_options(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("options", "List the options and their PLAIT_* variables");
  const auto values = std::make_shared<bool>(false);
  verb->add_flag("--values", *values, "Print the values in force here instead");
  return {verb, [values] {
            if (!*values) {
              fmt::print("{}", options_table());
              return;
            }
            for (const OptionInfo& option : option_list()) {
              fmt::print("{}={}\n", option.name, Options::global().get(option.name));
            }
          }};
}

}  // namespace plait::tool
