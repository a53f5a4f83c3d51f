#include "core/log.h"

#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <optional>

#include "core/error.h"

namespace plait {
namespace {

constexpr LogLevel kLevels[] = {LogLevel::off, LogLevel::warn, LogLevel::info, LogLevel::debug,
                                LogLevel::trace};

std::optional<LogLevel> parse_level(std::string_view text) {
  for (LogLevel level : kLevels) {
    if (text == name_of(level)) return level;
  }
  return std::nullopt;
}

// Never destroyed: destructors of other static objects may log.
struct State {
  std::mutex mutex;
  LogFilter filter;
  LogSink sink;
};
State& state() {
  static State* const shared = new State;
  return *shared;
}

std::string_view below_source_folder(std::string_view file) {
  constexpr std::string_view this_file = __FILE__;
  constexpr std::string_view name = "core/log.cpp";
  static_assert(this_file.ends_with(name));
  const std::string_view folder = this_file.substr(0, this_file.size() - name.size());
  return file.starts_with(folder) ? file.substr(folder.size()) : file;
}

void write_to_stderr(std::string_view line) {
  // One write call, so that lines of several processes stay whole.
  const std::string text = fmt::format("{}\n", line);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody listens
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::off:
      return "off";
    case LogLevel::warn:
      return "warn";
    case LogLevel::info:
      return "info";
    case LogLevel::debug:
      return "debug";
    case LogLevel::trace:
      return "trace";
  }
  PLAIT_UNREACHABLE("log level {}", static_cast<int>(level));
}

LogFilter LogFilter::parse(std::string_view text) {
  LogFilter filter;
  bool first = true;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t equals = part.rfind('=');
    const bool exception = equals != std::string_view::npos;
    const auto level = parse_level(exception ? part.substr(equals + 1) : part);
    PLAIT_CHECK(level, "log", "'{}' is no level. hint: off, warn, info, debug or trace",
                exception ? part.substr(equals + 1) : part);
    PLAIT_CHECK(exception || first, "log",
                "the level '{}' must come first; after commas come exceptions TEXT=LEVEL", part);
    PLAIT_CHECK(equals != 0, "log", "'{}' names no place before '='", part);
    if (exception) {
      filter.exceptions_.push_back({std::string(part.substr(0, equals)), *level});
    } else {
      filter.level_ = *level;
    }
    if (comma == std::string_view::npos) return filter;
    text.remove_prefix(comma + 1);
    first = false;
  }
}

std::string LogFilter::to_string() const {
  std::string text = name_of(level_);
  for (const Exception& exception : exceptions_) {
    text += fmt::format(",{}={}", exception.text, name_of(exception.level));
  }
  return text;
}

LogLevel LogFilter::level(std::string_view place) const {
  LogLevel level = level_;
  for (const Exception& exception : exceptions_) {
    if (place.find(exception.text) != std::string_view::npos) level = exception.level;
  }
  return level;
}

std::atomic<uint64_t> LogPlace::filter_version = 1;

void set_log_filter(LogFilter filter) {
  const std::lock_guard lock(state().mutex);
  state().filter = std::move(filter);
  LogPlace::filter_version.fetch_add(1, std::memory_order_relaxed);
}

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(state().mutex);
  state().sink = std::move(sink);
}

LogPlace::LogPlace(const char* file, const char* function, int line)
    : file_(below_source_folder(file)), function_(function), line_(line) {}

LogLevel LogPlace::refresh() {
  const std::lock_guard lock(state().mutex);
  const LogLevel level = state().filter.level(fmt::format("{}:{}", file_, function_));
  state_.store(filter_version.load(std::memory_order_relaxed) << 8 | static_cast<uint64_t>(level),
               std::memory_order_relaxed);
  return level;
}

void LogPlace::write(LogLevel level, std::string_view message) const {
  const std::string line =
      fmt::format("plait {} {}:{}:{}: {}", name_of(level), file_, function_, line_, message);
  const std::lock_guard lock(state().mutex);
  if (state().sink) {
    state().sink(line);
  } else {
    write_to_stderr(line);
  }
}

}  // namespace plait
