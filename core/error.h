// The error types and the check macros.
//
// A message reads `[op] rule broken; got a: f32[2,3], b: f32[4,5]; axis 1: 3 != 4. hint: …`.
// The macros format their message only when the check fails.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace plait {

// The user asked for something that cannot be done: shapes, dtypes, options, files.
class UserError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A bug in Plait itself: an invariant did not hold.
class InternalError : public std::logic_error {
  using std::logic_error::logic_error;
};

// The machine failed: out of memory, disk full, a device that vanished.
class DeviceError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void throw_internal(const char* file, int line, const std::string& message);

}  // namespace plait

// `op` is the name that the user called; it becomes the `[op]` prefix.
#define PLAIT_CHECK(condition, op, ...)                                              \
  do {                                                                               \
    if (!(condition)) [[unlikely]]                                                   \
      throw ::plait::UserError(fmt::format("[{}] ", op) + fmt::format(__VA_ARGS__)); \
  } while (false)

#define PLAIT_INTERNAL_CHECK(condition, ...)                                    \
  do {                                                                          \
    if (!(condition)) [[unlikely]]                                              \
      ::plait::throw_internal(                                                  \
          __FILE__, __LINE__,                                                   \
          fmt::format("`{}` failed: ", #condition) + fmt::format(__VA_ARGS__)); \
  } while (false)

#define PLAIT_UNREACHABLE(...) ::plait::throw_internal(__FILE__, __LINE__, fmt::format(__VA_ARGS__))
