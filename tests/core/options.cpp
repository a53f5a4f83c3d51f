#include "core/options.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/support/error_text.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

Options from(std::vector<const char*> entries) {
  entries.push_back(nullptr);
  return Options::from_environment(entries.data());
}
std::string error_of(const char* entry) {
  return error_text<UserError>([&] { from({entry}); });
}

}  // namespace

TEST_CASE("options come from the environment") {
  CHECK(from({}) == Options());
  CHECK(from({"PATH=/bin", "PLAITED=1", "plait_threads=7"}) == Options());
  const Options options =
      from({"PLAIT_THREADS=3", "PLAIT_DUMP=/tmp/a b=ü", "PLAIT_CHECK=1", "PLAIT_BACKEND=interp",
            "PLAIT_FUSE=off", "PLAIT_LOG=info,a=off", "PLAIT_CACHE_DIR="});
  CHECK(options.threads == 3);
  CHECK(options.dump == "/tmp/a b=ü");
  CHECK(options.check);
  CHECK(options.backend == Engine::interp);
  CHECK(!options.fuse);
  CHECK(options.log == LogFilter::parse("info,a=off"));
  CHECK(options.cache_dir.empty());
}

TEST_CASE("unknown variables and bad values") {
  CHECK(error_of("PLAIT_THREAD=2") ==
        "[options] the environment variable PLAIT_THREAD is no option of Plait. hint: did you mean "
        "'PLAIT_THREADS'?");
  CHECK_THAT(error_of("PLAIT_COLOURFUL=2"), Contains("PLAIT_COLOURFUL is no option"));
  CHECK_THAT(error_of("PLAIT_"), Contains("the environment variable PLAIT_ is no option"));
  for (const char* value : {"", "two", "2x", " 2", "-1", "1025", "99999999999999999999", "1.5"}) {
    CHECK(error_of(("PLAIT_THREADS=" + std::string(value)).c_str()) ==
          fmt::format("[options] PLAIT_THREADS is '{}'. hint: an integer from 0 to 1024", value));
  }
  CHECK_THAT(error_of("PLAIT_CHECK=maybe"), Contains("PLAIT_CHECK is 'maybe'. hint: 1, true, on"));
  CHECK_THAT(error_of("PLAIT_CHECK="), Contains("PLAIT_CHECK is ''"));
  CHECK(error_of("PLAIT_BACKEND=cuda") ==
        "[options] PLAIT_BACKEND is 'cuda'. hint: llvm or interp");
  CHECK_THAT(error_of("PLAIT_LOG=loud"),
             Contains("PLAIT_LOG is 'loud': [log] 'loud' is no level. hint: off, warn, info"));
}

TEST_CASE("options by name") {
  Options options;
  for (const OptionInfo& option : option_list()) {
    CHECK(options.get(option.name) == option.initial);
    options.set(option.name, option.initial);
  }
  CHECK(options == Options());
  options.set("threads", "2");
  CHECK(options.get("threads") == "2");
  CHECK(error_text<UserError>([&] { options.set("thread", "2"); }) ==
        "[options] there is no option 'thread'. hint: did you mean 'threads'?");
  CHECK_THAT(error_text<UserError>([&] { options.get("chek"); }),
             Contains("did you mean 'check'?"));
  CHECK(error_text<UserError>([&] { options.set("threads", "many"); }) ==
        "[options] threads is 'many'. hint: an integer from 0 to 1024");
  CHECK(options.threads == 2);
}

TEST_CASE("the key holds what can change a program, and nothing else") {
  CHECK(Options().key() == "backend=llvm fuse=true check=false autocast=off autocast_keep=");
  Options options;
  options.threads = 5;
  options.dump = "/tmp";
  options.cache_dir = "off";
  options.log = LogFilter::parse("trace");
  CHECK(options.key() == Options().key());
  options.fuse = false;
  CHECK(options.key() != Options().key());
  options = Options();
  options.set("autocast", "bf16");
  CHECK(options.key() != Options().key());
  CHECK(error_text<UserError>([&] { options.set("autocast", "fp8"); }) ==
        "[options] autocast is 'fp8'. hint: off or bf16");
}

TEST_CASE("the table lists every option") {
  const std::string table = options_table();
  CHECK_THAT(table, Contains("| `threads` | `PLAIT_THREADS` | `0` | no | Threads that run"));
  CHECK(static_cast<size_t>(std::count(table.begin(), table.end(), '\n')) ==
        option_list().size() + 2);
}
