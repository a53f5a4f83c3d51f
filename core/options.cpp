#include "core/options.h"

#include <unistd.h>

#include <charconv>
#include <optional>

#include "core/error.h"
#include "core/nearest.h"

namespace plait {
namespace {

constexpr const char* kOp = "options";
constexpr std::string_view kPrefix = "PLAIT_";
constexpr int64_t kMaxThreads = 1024;

struct BackendRow {
  Engine engine;
  const char* name;
  const char* doc;
};
constexpr BackendRow kBackends[] = {
#define PLAIT_BACKEND(name, make, doc) {Engine::name, #name, doc},
#include "core/backends.def"
};

// How each type of option is read and written. `from` is what the user wrote: threads,
// PLAIT_THREADS.

void parse(std::string_view from, std::string_view text, bool& value) {
  const bool yes = text == "1" || text == "true" || text == "on" || text == "yes";
  const bool no = text == "0" || text == "false" || text == "off" || text == "no";
  PLAIT_CHECK(yes || no, kOp, "{} is '{}'. hint: 1, true, on or yes; 0, false, off or no", from,
              text);
  value = yes;
}

void parse(std::string_view from, std::string_view text, int64_t& value) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  PLAIT_CHECK(error == std::errc() && stop == end && number >= 0 && number <= kMaxThreads, kOp,
              "{} is '{}'. hint: an integer from 0 to {}", from, text, kMaxThreads);
  value = number;
}

void parse(std::string_view, std::string_view text, std::string& value) { value = text; }

void parse(std::string_view from, std::string_view text, Engine& value) {
  std::vector<const char*> names;
  for (const BackendRow& row : kBackends) {
    if (text == row.name) {
      value = row.engine;
      return;
    }
    names.push_back(row.name);
  }
  throw UserError(
      fmt::format("[{}] {} is '{}'. hint: {}", kOp, from, text, fmt::join(names, " or ")));
}

void parse(std::string_view from, std::string_view text, Autocast& value) {
  for (const Autocast known : {Autocast::off, Autocast::bf16}) {
    if (text != name_of(known)) continue;
    value = known;
    return;
  }
  throw UserError(fmt::format("[{}] {} is '{}'. hint: off or bf16", kOp, from, text));
}

void parse(std::string_view from, std::string_view text, LogFilter& value) {
  try {
    value = LogFilter::parse(text);
  } catch (const UserError& error) {
    throw UserError(fmt::format("[{}] {} is '{}': {}", kOp, from, text, error.what()));
  }
}

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(int64_t value) { return std::to_string(value); }
std::string text_of(const std::string& value) { return value; }
std::string text_of(Engine value) { return name_of(value); }
std::string text_of(Autocast value) { return name_of(value); }
std::string text_of(const LogFilter& value) { return value.to_string(); }

// What follows the doc of an option of that type: the values there are.
template <class T>
std::string choices_of(const T&) {
  return {};
}
template <>
std::string choices_of(const Engine&) {
  std::string text;
  for (const BackendRow& row : kBackends) {
    text += fmt::format("{}`{}` ({})", text.empty() ? " " : ", ", row.name, row.doc);
  }
  return text + ".";
}

std::string nearest_option(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OptionInfo& option : option_list()) names.push_back(option.name);
  return nearest_names(name, names);
}

std::string nearest_variable(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OptionInfo& option : option_list()) names.push_back(option.variable);
  return nearest_names(name, names);
}

// Whether there was an option of that name.
bool set_option(Options& options, std::string_view name, std::string_view from,
                std::string_view value) {
#define PLAIT_OPTION(type, option, initial, variable, keyed, doc) \
  if (name == #option) {                                          \
    parse(from, value, options.option);                           \
    return true;                                                  \
  }
#include "core/options.def"
#undef PLAIT_OPTION
  return false;
}

Options read_environment() {
  Options options = Options::from_environment(environ);
  set_log_filter(options.log);
  return options;
}

}  // namespace

const char* name_of(Engine engine) { return kBackends[static_cast<size_t>(engine)].name; }

const char* name_of(Autocast autocast) {
  switch (autocast) {
    case Autocast::off:
      return "off";
    case Autocast::bf16:
      return "bf16";
  }
  PLAIT_UNREACHABLE("autocast {}", static_cast<int>(autocast));
}

Options& Options::global() {
  static Options options = read_environment();
  return options;
}

Options Options::from_environment(const char* const* environment) {
  Options options;
  for (; environment && *environment; ++environment) {
    const std::string_view entry = *environment;
    if (!entry.starts_with(kPrefix)) continue;
    const size_t equals = entry.find('=');
    const std::string_view variable = entry.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : entry.substr(equals + 1);
    const OptionInfo* known = nullptr;
    for (const OptionInfo& option : option_list()) {
      if (variable == option.variable) known = &option;
    }
    PLAIT_CHECK(known, kOp, "the environment variable {} is no option of Plait. hint: {}", variable,
                nearest_variable(variable));
    set_option(options, known->name, variable, value);
  }
  return options;
}

void Options::set(std::string_view name, std::string_view value) {
  PLAIT_CHECK(set_option(*this, name, name, value), kOp, "there is no option '{}'. hint: {}", name,
              nearest_option(name));
}

std::string Options::get(std::string_view name) const {
#define PLAIT_OPTION(type, option, initial, variable, keyed, doc) \
  if (name == #option) return text_of(option);
#include "core/options.def"
#undef PLAIT_OPTION
  throw UserError(
      fmt::format("[{}] there is no option '{}'. hint: {}", kOp, name, nearest_option(name)));
}

std::string Options::key() const {
  std::string text;
  for (const OptionInfo& option : option_list()) {
    if (!option.keyed) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", option.name, get(option.name));
  }
  return text;
}

const std::vector<OptionInfo>& option_list() {
  static const std::vector<OptionInfo> list = [] {
    const Options defaults;
    return std::vector<OptionInfo>{
#define PLAIT_OPTION(type, name, initial, variable, keyed, doc) \
  {#name, variable, keyed, doc + choices_of(defaults.name), text_of(defaults.name)},
#include "core/options.def"
#undef PLAIT_OPTION
    };
  }();
  return list;
}

std::string options_table() {
  std::string text =
      "| option | variable | default | in cache keys | meaning |\n"
      "| --- | --- | --- | --- | --- |\n";
  for (const OptionInfo& option : option_list()) {
    text += fmt::format("| `{}` | `{}` | {} | {} | {} |\n", option.name, option.variable,
                        option.initial.empty() ? "" : "`" + option.initial + "`",
                        option.keyed ? "yes" : "no", option.doc);
  }
  return text;
}

}  // namespace plait
