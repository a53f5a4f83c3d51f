#include "core/log.h"

#include <catch2/catch.hpp>
#include <thread>

#include "core/error.h"
#include "tests/support/error_text.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

// Collects lines; afterwards the log is as before.
class Capture {
 public:
  explicit Capture(const char* filter) {
    set_log_filter(LogFilter::parse(filter));
    set_log_sink([this](std::string_view line) { lines.emplace_back(line); });
  }
  ~Capture() {
    set_log_sink(nullptr);
    set_log_filter({});
  }
  std::vector<std::string> lines;
};

int evaluations = 0;
int evaluated() { return ++evaluations; }

void log_each() {
  PLAIT_LOG(warn, "slow {}", 1);
  PLAIT_LOG(info, "made {}", evaluated());
  PLAIT_LOG(debug, "why");
}

}  // namespace

TEST_CASE("lines and levels") {
  for (const auto& [filter, count] : std::vector<std::pair<const char*, size_t>>{
           {"off", 0}, {"warn", 1}, {"info", 2}, {"debug", 3}, {"trace", 3}}) {
    Capture capture(filter);
    log_each();
    CHECK(capture.lines.size() == count);
    if (count > 0) {
      CHECK_THAT(capture.lines[0], Contains("plait warn tests/core/log.cpp:log_each:") &&
                                       Catch::Matchers::EndsWith(": slow 1"));
    }
  }
}

TEST_CASE("arguments of what is not logged are not evaluated") {
  Capture capture("warn");
  const int before = evaluations;
  log_each();
  CHECK(evaluations == before);
}

TEST_CASE("exceptions by file and function; the last that fits counts") {
  const auto count = [](const char* filter) {
    Capture capture(filter);
    log_each();
    return capture.lines.size();
  };
  CHECK(count("off,tests/core=info") == 2);
  CHECK(count("off,log.cpp:log_each=debug") == 3);
  CHECK(count("debug,log_each=off") == 0);
  CHECK(count("off,core/log=trace,log_each=warn") == 1);
  CHECK(count("warn,elsewhere=trace") == 1);
}

TEST_CASE("filters as text") {
  for (const char* text : {"off", "warn", "trace", "info,a=off,b/c.cpp:f=debug"}) {
    CHECK(LogFilter::parse(text).to_string() == text);
  }
  CHECK(LogFilter::parse("a=debug").to_string() == "warn,a=debug");
  CHECK(LogFilter::parse("warn,a=b=info").level("xa=by") == LogLevel::info);
  const auto error = [](const char* text) {
    return error_text<UserError>([&] { LogFilter::parse(text); });
  };
  CHECK_THAT(error(""), Contains("'' is no level. hint: off, warn, info, debug or trace"));
  CHECK_THAT(error("info,"), Contains("'' is no level"));
  CHECK_THAT(error("info,a=loud"), Contains("'loud' is no level"));
  CHECK_THAT(error("a=info,warn"), Contains("the level 'warn' must come first"));
  CHECK_THAT(error("warn,=info"), Contains("'=info' names no place"));
}

TEST_CASE("several threads log and the filter changes meanwhile") {
  Capture capture("warn");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) PLAIT_LOG(warn, "{}", i);
    });
  }
  for (int i = 0; i < 50; ++i) set_log_filter(LogFilter::parse(i % 2 ? "warn" : "info"));
  for (auto& thread : threads) thread.join();
  CHECK(capture.lines.size() == 800);
}
