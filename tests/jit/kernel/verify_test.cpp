#include <catch2/catch.hpp>

#include "core/error.h"
#include "jit/kernel/builder.h"
#include "tests/support/kernels.h"

using namespace plait;
using namespace plait::kernel;
using Catch::Matchers::Contains;

namespace {

// The complaint about a kernel, or "".
std::string complaint(const Kernel& k) {
  try {
    verify(k);
  } catch (const InternalError& error) {
    return error.what();
  }
  return "";
}

std::string complaint(const std::string& body) {
  return complaint(
      parse_kernel("kernel k sizes(n 0..16777216)\n"
                   "  buffer x: f32[8*n] read\n"
                   "  buffer y: f32[8*n] write\n"
                   "  buffer z: f32[8*n] read_write\n"
                   "  buffer s: f32[8*n] stream\n"
                   "  buffer t: f32[64] local\n"
                   "  buffer acc: f32[64] registers lanes 8\n"
                   "  phase r < n:\n" +
                   body));
}

// A phase with one broken instruction, built by hand.
Kernel with(const Instruction& instruction, std::vector<DType> types = {DType::f32, DType::f32}) {
  Kernel k;
  k.name = "k";
  k.value_types = std::move(types);
  k.next_variable = 2;
  k.phases.push_back({0, 4, {instruction}, 0});
  return k;
}

Instruction make(Op op, ValueId result = kNone, std::vector<ValueId> operands = {}) {
  Instruction i;
  i.op = op;
  i.result = result;
  i.operands = std::move(operands);
  return i;
}

}  // namespace

TEST_CASE("the test kernels are well formed") {
  using namespace plait::testing;
  for (const Kernel& k :
       {elementwise(Op::add, DType::f32, DType::f32, 8),
        elementwise(Op::cast, DType::bf16, DType::f32, 32), normalize_rows(100), normalize_rows(96),
        normalize_rows(7), gemm({}), gemm({14, 32, 28, 64, 16}), philox(8), gather_rows(5),
        scatter_add_rows(20), transpose_tiles(), two_phase_sum()}) {
    INFO(to_text(k));
    CHECK(complaint(k) == "");
  }
}

TEST_CASE("every address is proven") {
  CHECK(complaint("    y[8*r + 7] = 1\n") == "");
  CHECK_THAT(complaint("    y[8*r + 8] = 1\n"),
             Contains("store") && Contains("y[8*i0 + 8]") && Contains("leaves [0, 8*n)"));
  CHECK_THAT(complaint("    y[8*r - 1] = 1\n"), Contains("leaves [0, "));
  CHECK_THAT(complaint("    t[r] = 1\n"), Contains("leaves [0, "));
  CHECK(complaint("    when r < 64:\n      t[r] = 1\n") == "");
  CHECK(complaint("    when 2*r <= 63:\n      t[r] = 1\n") == "");
  CHECK_THAT(complaint("    when r <= 64:\n      t[r] = 1\n"), Contains("leaves [0, "));
  CHECK_THAT(complaint("    when r < 64:\n      t[r] = 1\n    t[r] = 2\n"),
             Contains("leaves [0, "));
  CHECK(complaint("    when 3 <= r and r < 67:\n      t[r - 3] = 1\n") == "");
  CHECK_THAT(complaint("    when r < 67:\n      t[r - 3] = 1\n"), Contains("leaves [0, "));
  CHECK(complaint("    %1 = lt [r], 64 : i64\n    when %1:\n      t[r] = 1\n") == "");
  CHECK_THAT(complaint("    %1 = lt [r], 64 : i64\n    %2 = bit_not %1 : bool\n    when %2:\n"
                       "      t[r] = 1\n"),
             Contains("leaves [0, "));
  CHECK_THAT(complaint("    %1 = lt [r], 64 : i64\n    %2 = lt [n], 9 : i64\n"
                       "    %3 = bit_or %1, %2 : bool\n    when %3:\n      t[r] = 1\n"),
             Contains("leaves [0, "));
  CHECK(complaint("    bind b < 64 = [r]\n    t[b] = 1\n") == "");
  CHECK_THAT(complaint("    bind b < 65 = [r]\n    t[b] = 1\n"), Contains("leaves [0, "));
}

TEST_CASE("parameters allow what they declare") {
  CHECK_THAT(complaint("    x[r] = 1\n"), Contains("does not allow this"));
  CHECK_THAT(complaint("    %1 = y[r]\n"), Contains("does not allow this"));
  CHECK_THAT(complaint("    %1 = s[r]\n"), Contains("does not allow this"));
  CHECK(complaint("    %1 = z[r]\n    z[r] = %1\n    s[r] = %1\n") == "");
}

TEST_CASE("vector and unrolled loops") {
  CHECK(complaint("    vector l < 64:\n      t[l] = 1\n") == "");
  CHECK_THAT(complaint("    vector l < 65:\n"), Contains("an extent from 1 to 64"));
  CHECK_THAT(complaint("    vector l < 0:\n"), Contains("an extent from 1 to 64"));
  CHECK_THAT(complaint("    vector l < n:\n"), Contains("needs a constant extent"));
  CHECK_THAT(complaint("    unrolled u < n:\n"), Contains("needs a constant extent"));
  CHECK_THAT(complaint("    vector l < 4:\n      loop s < 2:\n        vector l1 < 4:\n"),
             Contains("inside another vector loop"));
  CHECK(complaint("    vector l < 4:\n      loop s < 2:\n    vector l < 4:\n") == "");
}

TEST_CASE("register indices") {
  CHECK(complaint("    unrolled u < 8:\n      vector l < 8:\n        acc[8*u + l] = 1\n") == "");
  CHECK(complaint("    unrolled u < 8:\n      vector l < 4:\n        acc[8*u + l + 4] = 1\n") ==
        "");
  CHECK_THAT(complaint("    unrolled u < 7:\n      vector l < 8:\n        acc[8*u + l + 4] = 1\n"),
             Contains("elements 4 to 11 do not lie in one value of 8 lanes"));
  CHECK_THAT(complaint("    vector l < 16:\n      acc[l] = 1\n"),
             Contains("do not lie in one value"));
  CHECK_THAT(complaint("    vector l < 8:\n      acc[2*l] = 1\n"), Contains("by 1 or 0"));
  CHECK_THAT(complaint("    loop s < 8:\n      acc[s] = 1\n"), Contains("which is not unrolled"));
  CHECK_THAT(complaint("    when n <= 63:\n      acc[n] = 1\n"), Contains("depends on a size"));
  CHECK(complaint("    prefetch x[1000]\n") == "");
  CHECK_THAT(complaint("    prefetch acc[0]\n"), Contains("takes a parameter"));
  CHECK_THAT(complaint("    vector l < 8:\n      prefetch x[l]\n"),
             Contains("outside vector loops"));
  CHECK(complaint("    transpose acc\n") == "");
  CHECK_THAT(complaint("    transpose t\n"), Contains("square register tile"));
  CHECK_THAT(complaint("    vector l < 8:\n      transpose acc\n"), Contains("in a vector loop"));
}

TEST_CASE("tiles, and what they take from memory") {
  auto with_tiles = [](const std::string& body) {
    return complaint(
        parse_kernel("kernel k sizes(n 0..16777216)\n"
                     "  buffer x: bf16[640*n] read\n"
                     "  buffer t: f32[512] local\n"
                     "  buffer sums: f32[512] tiles\n"
                     "  buffer pairs: u32[512] tiles\n"
                     "  phase r < n:\n" +
                     body));
  };
  auto load = [&](const std::string& tile, const std::string& rest) {
    return with_tiles("    tile_load " + tile + " = x[640*r] " + rest + "\n");
  };
  CHECK(load("pairs[256]", "pitch 40 rows 16 columns 32") == "");
  CHECK_THAT(load("pairs[128]", "pitch 40 rows 16 columns 32"), Contains("128 is no tile"));
  CHECK_THAT(load("pairs[512]", "pitch 40 rows 16 columns 32"), Contains("leaves pairs"));
  CHECK_THAT(load("t[0]", "pitch 40 rows 16 columns 32"), Contains("t holds no tiles"));
  CHECK_THAT(load("pairs[256*r]", "pitch 40 rows 1 columns 1"), Contains("depends on variable"));
  CHECK_THAT(load("pairs[0]", "pitch 40 rows 17 columns 32"), Contains("more than a tile holds"));
  CHECK_THAT(load("pairs[0]", "pitch 40 rows 16 columns 33"), Contains("more than a tile holds"));
  CHECK_THAT(load("pairs[0]", "pitch 41 rows 16 columns 32"), Contains("leaves [0, 640*n)"));
  CHECK(with_tiles("    tile_store t[0] = sums[0] pitch 32\n") == "");
  CHECK_THAT(with_tiles("    tile_store t[0] = sums[0] pitch 40\n"), Contains("leaves [0, 512)"));
  CHECK_THAT(with_tiles("    tile_store x[640*r] = sums[0] pitch 32\n"),
             Contains("does not allow this"));
  CHECK(with_tiles("    tile_dot sums[0] += pairs[0] * pairs[256]\n") == "");
  CHECK_THAT(with_tiles("    tile_dot sums[0] += sums[256] * pairs[0]\n"),
             Contains("sums holds f32"));
  CHECK_THAT(with_tiles("    vector l < 4:\n      tile_zero sums[0]\n"), Contains("vector loop"));
}

TEST_CASE("below a flush floats are only summed") {
  const std::string load = "    flush:\n      %1 = x[r]\n";
  CHECK(complaint(load + "      %2 = fma %1, %1, %1 : f32\n      %3 = add %2, %1 : f32\n") == "");
  CHECK_THAT(complaint(load + "      %2 = mul %1, %1 : f32\n"), Contains("below a flush"));
  CHECK_THAT(complaint("    flush:\n      flush:\n        %1 = x[r]\n"),
             Contains("inside another flush"));
  CHECK_THAT(complaint("    vector l < 4:\n      flush:\n        %1 = x[l]\n"),
             Contains("a vector loop"));
}

TEST_CASE("pairs are multiplied below a flush, and added to f32") {
  const std::string pairs = "      %1 = x[r]\n      %2 = bitcast %1 : u32\n";
  CHECK(complaint("    flush:\n" + pairs + "      %3 = pair_dot %2, %2, %1 : f32\n") == "");
  CHECK_THAT(complaint("    %1 = x[r]\n    %2 = bitcast %1 : u32\n"
                       "    %3 = pair_dot %2, %2, %1 : f32\n"),
             Contains("outside a flush"));
}

TEST_CASE("lanes do not depend on each other") {
  const std::string tree = "    vector l < 4:\n      %1 = acc[l + 4]\n      acc[l] = %1\n";
  CHECK(complaint(tree) == "");
  CHECK_THAT(complaint("    vector l < 4:\n      %1 = acc[l + 3]\n      acc[l] = %1\n"),
             Contains("lanes of vector variable") && Contains("load acc[i1 + 3]"));
  CHECK_THAT(complaint("    vector l < 4:\n      %1 = z[8*r + l]\n      z[8*r + l + 1] = %1\n"),
             Contains("depend on each other"));
  CHECK(complaint("    vector l < 4:\n      %1 = z[8*r + 2*l]\n      z[8*r + 2*l + 1] = %1\n") ==
        "");
  CHECK_THAT(complaint("    vector l < 4:\n      acc[0] = 1\n"), Contains("depend on each other"));
  CHECK(complaint("    vector l < 1:\n      acc[0] = 1\n") == "");
}

TEST_CASE("buffers") {
  const auto buffers = [](const std::string& lines) {
    return complaint(parse_kernel("kernel k sizes(n 0..16777216)\n" + lines));
  };
  CHECK(buffers(
            "  buffer a: f32[n] read\n  buffer b: f32[n] workspace\n  buffer c: f32[n] local\n") ==
        "");
  CHECK_THAT(buffers("  buffer c: f32[n] local\n  buffer a: f32[n] read\n"),
             Contains("parameters come first"));
  CHECK_THAT(buffers("  buffer a: f32[n] registers lanes 4\n"), Contains("constant size"));
  CHECK_THAT(buffers("  buffer a: f32[10] registers lanes 4\n"), Contains("values of 4 lanes"));
  CHECK_THAT(buffers("  buffer a: f32[128] registers lanes 128\n"), Contains("128 lanes"));
}

TEST_CASE("sizes must be passed") {
  Kernel k = parse_kernel("kernel k sizes(n 0..16777216)\n  phase r < n:\n");
  CHECK(complaint(k) == "");
  k.symbols.clear();
  CHECK_THAT(complaint(k), Contains("size n is not passed"));
}

TEST_CASE("scopes, types and fields of hand-made instructions") {
  CHECK_THAT(complaint(with(make(Op::neg, 0, {1}))), Contains("operand %1 is not defined here"));
  CHECK_THAT(complaint(with(make(Op::neg, 0, {7}))), Contains("operand %7 is not defined here"));
  CHECK_THAT(complaint(with(make(Op::constant))), Contains("a result where there is none"));
  CHECK_THAT(complaint(with(make(Op::index, 0))), Contains("gives i64"));
  Instruction loop = make(Op::loop);
  loop.expression = 2;
  loop.variable = 0;
  CHECK_THAT(complaint(with(loop)), Contains("variable i0 is defined twice"));
  loop.variable = 5;
  CHECK_THAT(complaint(with(loop)), Contains("beyond next_variable"));
  loop.variable = 1;
  CHECK(complaint(with(loop)) == "");
  loop.expression = Expr::variable(1);
  CHECK_THAT(complaint(with(loop)), Contains("variable i1 of i1 is not in scope"));

  Kernel twice = with(make(Op::constant, 0));
  CHECK(complaint(twice) == "");
  twice.phases[0].body.push_back(make(Op::constant, 0));
  CHECK_THAT(complaint(twice), Contains("%0 is defined twice"));

  Kernel escaped = with(make(Op::loop));
  escaped.phases[0].body[0].expression = 2;
  escaped.phases[0].body[0].variable = 1;
  escaped.phases[0].body[0].body = {make(Op::constant, 0)};
  CHECK(complaint(escaped) == "");
  escaped.phases[0].body.push_back(make(Op::neg, 1, {0}));
  CHECK_THAT(complaint(escaped), Contains("operand %0 is not defined here"));

  Instruction report = make(Op::report, kNone, {0, 1});
  CHECK_THAT(complaint(with(report)), Contains("not defined here"));
}
