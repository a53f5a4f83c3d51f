// Logging to stderr, filtered by level and by place in the source.
//
//   PLAIT_LOG(info, "compiled {} kernels", count);
//
// prints `plait info passes/fusion/search.cpp:choose:120: compiled 3 kernels` if the filter lets
// it; else its arguments are not evaluated. What is at which level: `warn`: slower or other than
// asked for, and why; `info`: what a compile decided; `debug`: why it decided so; `trace`: all the
// rest.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace plait {

enum class LogLevel : uint8_t { off, warn, info, debug, trace };
const char* name_of(LogLevel level);

// A level, and exceptions for places whose text, "jit/compile.cpp:compile", contains a given one.
class LogFilter {
 public:
  LogFilter() = default;
  // "warn,passes/fusion=debug,jit=off"; UserError says what is wrong.
  static LogFilter parse(std::string_view text);
  std::string to_string() const;

  // What is logged from `place`; the last exception that fits counts.
  LogLevel level(std::string_view place) const;

  friend bool operator==(const LogFilter&, const LogFilter&) = default;

 private:
  struct Exception {
    std::string text;
    LogLevel level;
    friend bool operator==(const Exception&, const Exception&) = default;
  };
  LogLevel level_ = LogLevel::warn;
  std::vector<Exception> exceptions_;
};

void set_log_filter(LogFilter filter);

// Takes whole lines, without the end of line, one at a time; nullptr: stderr, the default.
using LogSink = std::function<void(std::string_view line)>;
void set_log_sink(LogSink sink);

// A place in the source that logs; remembers its level until the filter changes. Thread safe.
class LogPlace {
 public:
  // The place of a file is its path below the source folder.
  LogPlace(const char* file, const char* function, int line);
  bool enabled(LogLevel level) {
    const uint64_t state = state_.load(std::memory_order_relaxed);
    return level <= (state >> 8 == filter_version.load(std::memory_order_relaxed)
                         ? static_cast<LogLevel>(state & 0xff)
                         : refresh());
  }
  void write(LogLevel level, std::string_view message) const;

  // Counts calls of set_log_filter, from 1.
  static std::atomic<uint64_t> filter_version;

 private:
  LogLevel refresh();

  std::string_view file_;
  const char* function_;
  int line_;
  std::atomic<uint64_t> state_ = 0;  // version of the filter << 8 | level
};

}  // namespace plait

// `level`: warn, info, debug or trace; then a format string and its arguments.
#define PLAIT_LOG(level, ...)                                                      \
  do {                                                                             \
    static ::plait::LogPlace plait_log_place(__FILE__, __func__, __LINE__);        \
    if (plait_log_place.enabled(::plait::LogLevel::level)) [[unlikely]]            \
      plait_log_place.write(::plait::LogLevel::level, ::fmt::format(__VA_ARGS__)); \
  } while (false)
