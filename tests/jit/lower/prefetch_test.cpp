// What loops fetch beside their computation: by the text of kernels, for no value shows it.
#include <catch2/catch.hpp>
#include <sstream>

#include "core/target.h"
#include "ops/functions.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

// The one kernel of a result: its lines that fetch, each after the number of loops begun before it.
std::vector<std::string> fetches(const Tensor& result) {
  Options options;
  options.cache_dir = "off";
  const Program program = compile({result}, options);
  REQUIRE(program.kernels().size() == 1);
  std::istringstream text(program.kernels()[0]->print(Stage::kernel_ir));
  std::vector<std::string> found;
  int loops = 0;
  for (std::string line; std::getline(text, line);) {
    const size_t start = line.find_first_not_of(' ');
    if (start == std::string::npos) continue;
    line = line.substr(start);
    loops += line.starts_with("loop ");
    if (line.starts_with("prefetch "))
      found.push_back(std::to_string(loops) + ": " + line.substr(9));
  }
  reset_current_graph();
  return found;
}

using Lines = std::vector<std::string>;

Tensor f32(Shape shape) { return input("x", DType::f32, std::move(shape)); }

}  // namespace

TEST_CASE("long elementwise loops fetch what they read and write 2 KiB ahead") {
  const Tensor x = f32({1 << 20}), y = input("y", DType::bf16, {1 << 20});
  CHECK(fetches(x * y) == Lines{"1: x0[2048*r + 32*s + 512]", "1: x0[2048*r + 32*s + 528]",
                                "1: x1[2048*r + 32*s + 1024]", "1: y2[2048*r + 32*s + 512]",
                                "1: y2[2048*r + 32*s + 528]"});
}

TEST_CASE("short rows are fetched ahead only where they lie one after the other") {
  CHECK(fetches(sum(f32({100, 64}), 1)) ==
        Lines{"1: x0[64*r + 32*s + 512]", "1: x0[64*r + 32*s + 528]"});
  CHECK(fetches(sum(slice(f32({100, 1000}), 1, 0, 64), 1)).empty());
  CHECK(fetches(sum(slice(f32({1 << 20}), 0, 0, 1 << 19, 2), 0)).empty());
}

TEST_CASE("of several levels the one with most to compute fetches the next row and the results") {
  // Levels of softmax: the maximum, exponentials, quotients.
  CHECK(fetches(softmax(f32({128, 512}), -1)) ==
        Lines{"2: x0[512*r + 32*s + 512]", "2: x0[512*r + 32*s + 528]", "2: y1[512*r + 32*s]",
              "2: y1[512*r + 32*s + 16]"});
}

TEST_CASE("rows that do not stay in L2 are fetched as they are read") {
  const auto columns = static_cast<int64_t>(host_target().l2_bytes);
  const Lines lines = fetches(softmax(f32({2, columns}), -1));
  CHECK(lines.size() == 2);
  for (const std::string& line : lines) {
    CAPTURE(line);
    CHECK(line.find(": x0[") != std::string::npos);
    CHECK((line.ends_with(" + 512]") || line.ends_with(" + 528]")));
  }
}

}  // namespace plait
