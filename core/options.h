// All options, each declared once in options.def: the struct, the PLAIT_* variables, the
// command-line tool and the docs page follow from that list.
//
// Nothing else in Plait reads the environment to decide what it does. An option that can change a
// program is part of Options::key(), and so of every cache key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"

namespace plait {

enum class Engine : uint8_t {
#define PLAIT_BACKEND(name, make, doc) name,
#include "core/backends.def"
};
const char* name_of(Engine engine);

enum class Autocast : uint8_t { off, bf16 };
const char* name_of(Autocast autocast);

struct Options {
#define PLAIT_OPTION(type, name, initial, variable, keyed, doc) type name = initial;
#include "core/options.def"
#undef PLAIT_OPTION

  // The process's options: at the first call the defaults changed by the environment's PLAIT_*
  // variables. UserError, at each call, while one of them is unknown or has a bad value. Sets the
  // log filter. Programs copy what they need when they are compiled; changes count from then on.
  static Options& global();
  // Defaults, then NAME=VALUE entries; entries that do not begin with PLAIT_ are skipped.
  // UserError lists the nearest names of an unknown one.
  static Options from_environment(const char* const* environment);

  // By name, as text: "threads", "2". UserError if there is no such option, or the value is bad.
  void set(std::string_view name, std::string_view value);
  std::string get(std::string_view name) const;

  // The keyed options as text: "backend=llvm fuse=true check=false".
  std::string key() const;

  friend bool operator==(const Options&, const Options&) = default;
};

struct OptionInfo {
  const char* name;
  const char* variable;
  bool keyed;
  std::string doc;
  std::string initial;  // as text
};
const std::vector<OptionInfo>& option_list();
// A table in Markdown, for `plait options` and the docs.
std::string options_table();

}  // namespace plait
