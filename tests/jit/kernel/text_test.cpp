#include <catch2/catch.hpp>

#include "core/error.h"
#include "jit/kernel/builder.h"
#include "tests/support/kernels.h"

using namespace plait;
using namespace plait::kernel;
using Catch::Matchers::Contains;

namespace {

std::string reprint(const std::string& text) { return to_text(parse_kernel(text)); }

// The message of the error in `line`, the third one, of a small kernel.
std::string error_in_body(const std::string& line) {
  try {
    parse_kernel(
        "kernel k sizes(n 0..16777216)\n  buffer x: f32[n] read_write\n  phase r < n:\n    " +
        line + "\n");
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

std::string error_in(const std::string& text) {
  try {
    parse_kernel(text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

const char* const kSmall =
    "kernel small sizes(heads 1..64, seq 8..2048 multiple 8)\n"
    "  buffer x: f32[heads*seq] read\n"
    "  buffer y: bf16[heads*seq] write\n"
    "  buffer w: f32[seq] workspace\n"
    "  buffer t: f32[64] local\n"
    "  buffer acc: f32[64] registers lanes 8\n"
    "  site \"embedding # 1\" axis -1 extent heads\n"
    "  phase r < heads cost 12.5:\n"
    "    loop s < floor_div(seq, 8):\n"
    "      vector l < 8:\n"
    "        %1 = x[r*seq + 8*s + l]\n"
    "        %2 = fma %1, 0.5, -inf : f32\n"
    "        %3 = lt %2, nan : f32\n"
    "        %4 = select %3, %2, 0 : f32\n"
    "        %5 = cast %4 : bf16\n"
    "        y[r*seq + 8*s + l] = %5\n"
    "    unrolled u < 8:\n"
    "      vector l < 8:\n"
    "        acc[8*u + l] = 1e-05\n"
    "    transpose acc\n"
    "    %6 = cast [2*r] : i32\n"
    "    %7 = bit_and %6, 7 : i32\n"
    "    bind b < 8 = %7\n"
    "    %8 = acc[b]\n"
    "    %9 = constant true : bool\n"
    "    when %9 and r <= 3 and 2*r < heads:\n"
    "      t[mod(r, 4) + min(b, 3)] = %8\n"
    "      report site 0 when %9: value [r] at r + 1\n"
    "  phase r < 1:\n";

}  // namespace

TEST_CASE("the text of a kernel prints and parses") { CHECK(reprint(kSmall) == kSmall); }

TEST_CASE("every test kernel prints, parses and prints the same") {
  using namespace plait::testing;
  for (const Kernel& k : {elementwise(Op::fma, DType::f64, DType::f64, 4),
                          elementwise(Op::select, DType::bf16, DType::bf16, 32),
                          elementwise(Op::cast, DType::i64, DType::f16, 8), normalize_rows(100),
                          normalize_rows(96), gemm({}), philox(8), gather_rows(5),
                          scatter_add_rows(20), transpose_tiles(), two_phase_sum()}) {
    const std::string text = to_text(k);
    CHECK(reprint(text) == text);
    // The parsed kernel is the same but for the numbers of values and variables.
    const Kernel parsed = parse_kernel(text);
    CHECK(parsed.buffers.size() == k.buffers.size());
    CHECK(parsed.value_types.size() >= k.value_types.size());
    CHECK(parsed.phases.size() == k.phases.size());
  }
}

TEST_CASE("names and layout of the writer give way to the canonical ones") {
  CHECK(reprint("# doubles\n"
                "kernel k  sizes( n 0..16777216 )\n\n"
                "  buffer x : f32[ n ] read_write   # in place\n"
                "  phase  row<n :\n"
                "    loop inner < 2:\n"
                "      %70 = x[(row)]\n"
                "      %8 = mul %70,2:f32\n"
                "      x[row] = %8\n"
                "    loop other < 1:\n") ==
        "kernel k sizes(n 0..16777216)\n"
        "  buffer x: f32[n] read_write\n"
        "  phase r < n:\n"
        "    loop s < 2:\n"
        "      %1 = x[r]\n"
        "      %2 = mul %1, 2 : f32\n"
        "      x[r] = %2\n"
        "    loop s < 1:\n");
}

TEST_CASE("a variable does not take the name of a size") {
  CHECK(reprint("kernel k sizes(r 0..9, s 0..9)\n  phase p < r:\n    loop q < s:\n") ==
        "kernel k sizes(r 0..9, s 0..9)\n  phase r1 < r:\n    loop s1 < s:\n");
}

TEST_CASE(
    "constants and index values keep a line of their own where their use does not say enough") {
  const std::string text =
      "kernel k\n"
      "  phase r < 4:\n"
      "    %1 = constant 1.5 : f32\n"
      "    %2 = cast %1 : i32\n"
      "    %3 = index 2*r\n"
      "    %4 = add %3, %3 : i64\n"
      "    %5 = add [r], 7 : i64\n"
      "    %6 = constant -1 : i8\n";
  CHECK(reprint(text) == text);
}

TEST_CASE("conditions join from the left") {
  const std::string text =
      "kernel k\n"
      "  phase r < 4:\n"
      "    %1 = lt 0, 1 : i64\n"
      "    %2 = bit_and %1, %1 : bool\n"
      "    when r < 2 and %2:\n"
      "      when %1:\n";
  CHECK(reprint(text) == text);
}

TEST_CASE("values print by program order, whatever their numbers") {
  Kernel k;
  k.name = "k";
  k.value_types = {DType::i64, DType::i64, DType::i64};
  k.next_variable = 8;
  Phase phase{7, 4, {}, 0};
  Instruction index;
  index.op = Op::index;
  index.expression = Expr::variable(7);
  index.result = 2;
  Instruction sum;
  sum.op = Op::add;
  sum.operands = {2, 2};
  sum.result = 0;
  phase.body = {index, sum};
  k.phases.push_back(phase);
  CHECK(to_text(k) == "kernel k\n  phase r < 4:\n    %1 = index r\n    %2 = add %1, %1 : i64\n");
}

TEST_CASE("parse errors name line and column") {
  CHECK(error_in("") == "[parse_kernel] line 1, column 1: expected `kernel`");
  CHECK(error_in("kernel k\n  phase r < 4\n") == "[parse_kernel] line 2, column 14: expected `:`");
  CHECK(error_in_body("y[r] = 1") == "[parse_kernel] line 4, column 6: there is no buffer `y`");
  CHECK(error_in_body("x[q] = 1") ==
        "[parse_kernel] line 4, column 7: `q` is neither a variable here nor a size");
  CHECK(error_in_body("%1 = frob %2 : f32") ==
        "[parse_kernel] line 4, column 10: unknown op `frob`");
  CHECK(error_in_body("x[r] = %3") == "[parse_kernel] line 4, column 12: %3 is not defined here");
  CHECK(error_in_body("%1 = add 1, 2 : f31") ==
        "[parse_kernel] line 4, column 21: there is no dtype `f31`");
  CHECK_THAT(error_in_body("%1 = add 1, zwei : f32"), Contains("line 4, column 17"));
  CHECK_THAT(error_in_body("%1 = add 1 : f32"), Contains("add takes 2 operands, not 1"));
  CHECK_THAT(error_in_body("%1 = shift_left 1, 2 : f32"), Contains("shift_left takes integers"));
  CHECK_THAT(error_in_body("%1 = add [r], 1 : f32"),
             Contains("column 14: an operand of f32, not i64"));
  CHECK_THAT(error_in_body("%1 = pair_dot [r], 1, 0.5 : f32"),
             Contains("column 19: an operand of u32, not i64"));
  CHECK_THAT(error_in_body("%1 = pair_dot 1, 1, 1 : u32"), Contains("pair_dot adds to f32"));
  CHECK_THAT(error_in_body("x[r] = [r]"), Contains("a store of i64 to a buffer of f32"));
  CHECK_THAT(error_in_body("vector r < 4:"), Contains("column 12: `r` is in use"));
  CHECK_THAT(error_in_body("when 1:"), Contains("expected `<`"));
  CHECK_THAT(error_in_body("report site 0 when %1: value [r] at r"), Contains("no site 0"));
  CHECK_THAT(error_in_body("tile_fill x[0]"), Contains("unknown statement `tile_fill`"));
  CHECK_THAT(error_in_body("tile_load x[0] = x[0] rows 1"), Contains("expected `pitch`"));
  CHECK_THAT(error_in_body("tile_dot x[0] = x[0] * x[0]"), Contains("expected `+`"));
  CHECK_THAT(error_in_body("x[r] = 1 2"), Contains("column 14: unexpected `2`"));
  CHECK_THAT(error_in_body("x[mod(r, 0)] = 1"), Contains("division by zero"));
  CHECK_THAT(error_in_body("x[99999999999999999999] = 1"), Contains("column 7: expected a number"));
  CHECK_THAT(error_in_body("  x[r] = 1"), Contains("expected an indentation of 4, not 6"));
  CHECK_THAT(error_in_body("%1 = x[r]\n    %1 = x[r]"), Contains("%1 is defined already"));
  CHECK_THAT(error_in_body("%1 = bitcast %1 : f32"), Contains("not defined here"));
  CHECK_THAT(error_in_body("%1 = x[r]\n    %2 = bitcast %1 : f64"),
             Contains("line 5, column 5: bitcast needs two dtypes of one size"));
  CHECK_THAT(error_in("kernel k sizes(bounded 0..4)\n  phase r < bounds:\n"),
             Contains("line 2, column 13: `bounds` is neither"));
}

TEST_CASE("a value ends with its block") {
  CHECK_THAT(error_in_body("loop s < 2:\n      %1 = x[r]\n    x[r] = %1"),
             Contains("line 6, column 12: %1 is not defined here"));
  CHECK_THAT(error_in_body("loop s < 2:\n      %1 = x[r]\n    x[s] = 1"),
             Contains("line 6, column 7: `s` is neither"));
  const std::string reused =
      "kernel k\n  phase r < 4:\n    loop s < 2:\n      %1 = index r\n    loop s < 2:\n"
      "      %1 = index r\n";
  CHECK(reprint(reused).find("%2 = index r") != std::string::npos);
}
