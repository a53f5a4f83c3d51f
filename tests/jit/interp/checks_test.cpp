// What the interpreter refuses to run.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/support/launch.h"

using namespace plait;
using namespace plait::testing;
using Catch::Matchers::Contains;

namespace {

// Runs `body` in a phase of 4 with x and y of 8 floats, read and written.
void run(const std::string& body) {
  std::vector<float> x(8, 1), y(8, 2);
  std::string text =
      "kernel k\n"
      "  buffer x: f32[8] read\n"
      "  buffer y: f32[8] read_write\n"
      "  buffer t: f32[8] local\n"
      "  buffer acc: f32[4] registers lanes 4\n"
      "  phase r < 4:\n" +
      body;
  interpret(kernel::parse_kernel(text), {x.data(), y.data()}, {});
}

}  // namespace

TEST_CASE("an address outside its buffer") {
  run("    y[r + 4] = 1\n");
  CHECK_THROWS_WITH(run("    y[r + 5] = 1\n"), Contains("y[i0 + 5] = [8] of 8"));
  CHECK_THROWS_AS(run("    %1 = x[r - 1]\n    y[r] = %1\n"), InternalError);
  CHECK_THROWS_AS(run("    acc[r + 1] = 1\n"), InternalError);
}

TEST_CASE("scratch is undefined when an iteration starts") {
  run("    t[r] = 1\n    %1 = t[r]\n    y[r] = %1\n");
  CHECK_THROWS_WITH(run("    %1 = t[r]\n    y[r] = %1\n"), Contains("read before it is written"));
  CHECK_THROWS_WITH(run("    when r < 1:\n      acc[0] = 1\n    %1 = acc[0]\n    y[r] = %1\n"),
                    Contains("acc[0] is read before it is written"));
}

TEST_CASE("iterations of a phase that depend on each other") {
  run("    y[2*r] = 1\n    %1 = y[2*r]\n    y[2*r + 1] = %1\n");
  CHECK_THROWS_WITH(run("    y[0] = 1\n"),
                    Contains("iterations 0 and 1 of one run both touch y[0]"));
  CHECK_THROWS_WITH(run("    y[r + 1] = 1\n    %1 = y[r]\n    y[r + 1] = %1\n"),
                    Contains("both touch"));
  CHECK_THROWS_WITH(run("    %1 = y[3]\n    y[r] = %1\n"), Contains("both touch y[3]"));
}

TEST_CASE("a bound value outside its range") {
  run("    %1 = constant 3 : i32\n    bind b < 4 = %1\n    t[b] = 1\n");
  CHECK_THROWS_WITH(run("    %1 = constant 4 : i32\n    bind b < 4 = %1\n    t[b] = 1\n"),
                    Contains("4 bound in [0, 4)"));
  CHECK_THROWS_AS(run("    %1 = constant -1 : i32\n    bind b < 4 = %1\n"), InternalError);
}

TEST_CASE("a report keeps the first bad value") {
  const kernel::Kernel k = kernel::parse_kernel(
      "kernel k\n"
      "  site \"gather\" axis 1 extent 3\n"
      "  site \"take\" axis 0 extent 3\n"
      "  phase r < 4:\n"
      "    %1 = le [2], [r] : i64\n"
      "    report site 1 when %1: value [10*r] at r + 100\n");
  const ErrorRecord error = interpret(k, {}, {});
  CHECK(error.site == 1);
  CHECK(error.position == 102);
  CHECK(error.value == 20);
}

TEST_CASE("the interpreter prints the kernel and names its stages") {
  const auto compiled = make_interpreter_backend()->compile(kernel::parse_kernel("kernel k\n"));
  CHECK(compiled->source("kernel_ir") == "kernel k\n");
  CHECK_THROWS_WITH(compiled->source("asm"), Contains("no stage `asm`") && Contains("kernel_ir"));
}
