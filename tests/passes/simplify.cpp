#include "passes/simplify.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "tests/passes/simplified.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

using Doubles = std::vector<double>;

// x: f32[4] through one binary operation with the constant on the right (or left).
std::string with_constant(const std::string& op, const std::string& constant,
                          const std::string& type = "f32", bool left = false) {
  const std::string operands = left ? "%c %x" : "%x %c";
  const std::string text =
      simplified("%x = input \"x\" : " + type + "[4]\n" + "%s = constant " + constant + " : " +
                 type + "[]\n" + "%c = broadcast [] %s : " + type + "[4]\n" + "%y = binary " + op +
                 " " + operands + " : " + type + "[4]\noutput \"y\" %y\n");
  if (text == "  %0 = input \"x\" : " + type + "[4]\n  output \"y\" %0\n") return "x";
  // What the output is, if it is a broadcast constant.
  const size_t at = text.find("= constant ");
  if (text.starts_with("  %0 = constant ") && text.find("binary") == std::string::npos) {
    return text.substr(at + 11, text.find(" :", at) - at - 11);
  }
  for (const char* kept : {"binary", "unary"}) {
    const size_t found = text.find(kept);
    if (found != std::string::npos) return text.substr(found, text.find(" %", found) - found);
  }
  return text;
}

// f(x) for f32 x after simplification.
Doubles through(const std::function<Value(Graph&, Value)>& f, const Doubles& x) {
  Graph g;
  std::map<std::string, Array> inputs;
  const Array a = array(DType::f32, {static_cast<int64_t>(x.size())}, x);
  g.add_output("y", f(g, input_for(g, inputs, a)));
  return values(run(simplify(g), inputs));
}

bool same(const Doubles& a, const Doubles& b) { return close(a, b, 0); }

}  // namespace

TEST_CASE("identities of float arithmetic fold only where every bit is kept") {
  CHECK(with_constant("mul", "1") == "x");
  CHECK(with_constant("mul", "1", "f32", true) == "x");
  CHECK(with_constant("div", "1") == "x");
  CHECK(with_constant("add", "-0") == "x");
  CHECK(with_constant("sub", "0") == "x");
  CHECK(with_constant("pow", "1") == "x");
  CHECK(with_constant("pow", "0") == "1");
  CHECK(with_constant("pow", "2") == "binary mul");
  CHECK(with_constant("mul", "-1") == "unary neg");
  CHECK(with_constant("div", "8") == "binary mul");
  CHECK(with_constant("div", "-0.25", "bf16") == "binary mul");
  // These would lose a signed zero, a NaN or a rounding.
  CHECK(with_constant("add", "0") == "binary add");
  CHECK(with_constant("sub", "-0") == "binary sub");
  CHECK(with_constant("sub", "0", "f32", true) == "binary sub");
  CHECK(with_constant("mul", "0") == "binary mul");
  CHECK(with_constant("div", "0", "f32", true) == "binary div");
  CHECK(with_constant("div", "3") == "binary div");
  CHECK(with_constant("div", "32768", "f16") == "binary div");
  CHECK(with_constant("pow", "0.5") == "binary pow");
  CHECK(with_constant("maximum", "-inf") == "binary maximum");
}

TEST_CASE("integer arithmetic folds more") {
  CHECK(with_constant("add", "0", "i32") == "x");
  CHECK(with_constant("mul", "0", "i32") == "0");
  CHECK(with_constant("mul", "0", "u8", true) == "0");
  CHECK(with_constant("div", "1", "i32") == "x");
  CHECK(with_constant("div", "0", "i32") == "0");
  CHECK(with_constant("mod", "1", "i64") == "0");
  CHECK(with_constant("bit_and", "-1", "i32") == "x");
  CHECK(with_constant("bit_and", "255", "u8") == "x");
  CHECK(with_constant("bit_or", "true", "bool") == "true");
  CHECK(with_constant("bit_and", "true", "bool") == "x");
  CHECK(with_constant("shift_left", "0", "i32") == "x");
  CHECK(with_constant("div", "2", "i32") == "binary div");
  const char* self = R"(%x = input "x" : i32[4]
%a = binary sub %x %x : i32[4]
%b = binary eq %x %x : bool[4]
output "a" %a
output "b" %b
)";
  CHECK(simplified(self) ==
        "  %0 = constant 0 : i32[]\n"
        "  %1 = broadcast [] %0 : i32[4]\n"
        "  %2 = constant true : bool[]\n"
        "  %3 = broadcast [] %2 : bool[4]\n"
        "  output \"a\" %1\n"
        "  output \"b\" %3\n");
}

TEST_CASE("A27: NaN and infinity show through x*0, x-x and x/x") {
  const Doubles x = {NAN, INFINITY, 0, 2};
  const auto with = [](BinaryOp op) {
    return [op](Graph& g, Value x) { return meta::binary(g, op, x, x); };
  };
  CHECK(same(
      through([](Graph& g,
                 Value x) { return meta::binary(g, BinaryOp::mul, x, meta::scalar_like(g, x, 0)); },
              x),
      {NAN, NAN, 0, 0}));
  CHECK(same(through(with(BinaryOp::sub), x), {NAN, NAN, 0, 0}));
  CHECK(same(through(with(BinaryOp::div), x), {NAN, NAN, NAN, 1}));
  CHECK(same(through(
                 [](Graph& g, Value x) {
                   return meta::cast(g, meta::binary(g, BinaryOp::eq, x, x), DType::f32);
                 },
                 x),
             {0, 1, 1, 1}));
}

TEST_CASE("A28: signed zeros survive") {
  const auto inverse = [](Graph& g, Value x) {
    const Value up = meta::unary(g, UnaryOp::ceil, x);
    const Value sum = meta::binary(g, BinaryOp::add, up, meta::scalar_like(g, up, 0));
    return meta::binary(g, BinaryOp::div, meta::scalar_like(g, x, 1), sum);
  };
  CHECK(through(inverse, {-.5}) == Doubles{INFINITY});
  const auto times = [](Graph& g, Value x) {
    return meta::binary(g, BinaryOp::mul, x, meta::scalar_like(g, x, -0.0));
  };
  CHECK(std::signbit(through(times, {3})[0]));
  for (double first : {-0.0, 0.0}) {
    const auto least = [&](Graph& g, Value x) {
      return meta::binary(g, BinaryOp::minimum, meta::scalar_like(g, x, first), x);
    };
    CHECK(std::signbit(through(least, {-first})[0]));
  }
}

TEST_CASE("negations move and cancel") {
  CHECK(simplified(R"(%x = input "x" : f32[4]
%y = input "y" : f32[4]
%n = unary neg %y : f32[4]
%nn = unary neg %n : f32[4]
%a = binary add %x %n : f32[4]
%b = binary mul %a %nn : f32[4]
output "b" %b
)") == "  %0 = input \"x\" : f32[4]\n"
       "  %1 = input \"y\" : f32[4]\n"
       "  %2 = binary sub %0 %1 : f32[4]\n"
       "  %3 = binary mul %1 %2 : f32[4]\n"
       "  output \"b\" %3\n");
}

TEST_CASE("comparisons of floats have no complement under not") {
  const auto negated = [](const std::string& op, const std::string& type) {
    const std::string text =
        simplified("%x = input \"x\" : " + type + "[4]\n%y = input \"y\" : " + type +
                   "[4]\n%c = binary " + op +
                   " %x %y : bool[4]\n%n = unary logical_not %c : "
                   "bool[4]\noutput \"n\" %n\n");
    return text.substr(text.find("%2 = ") + 5, 16);
  };
  CHECK(negated("eq", "f32") == "binary ne %0 %1 ");
  CHECK(negated("lt", "f32") == "binary lt %0 %1 ");
  CHECK(negated("lt", "i32") == "binary le %1 %0 ");
}

TEST_CASE("select with a known or repeated condition") {
  CHECK(simplified(R"(%c = input "c" : bool[4]
%x = input "x" : f32[4]
%y = input "y" : f32[4]
%n = unary logical_not %c : bool[4]
%a = select %n %x %y : f32[4]
%b = select %c %a %x : f32[4]
%t = constant true : bool[]
%tt = broadcast [] %t : bool[4]
%d = select %tt %b %x : f32[4]
output "d" %d
)") == "  %0 = input \"c\" : bool[4]\n"
       "  %1 = input \"x\" : f32[4]\n"
       "  %2 = input \"y\" : f32[4]\n"
       "  %3 = select %0 %2 %1 : f32[4]\n"
       "  output \"d\" %3\n");
}

TEST_CASE("casts join where the first loses nothing") {
  const auto joined = [](const std::string& from, const std::string& by, const std::string& to) {
    const std::string text = simplified("%x = input \"x\" : " + from + "[2]\n%a = cast %x : " + by +
                                        "[2]\n%b = cast %a : " + to + "[2]\noutput \"b\" %b\n");
    return std::count(text.begin(), text.end(), '=') - 1;  // casts left
  };
  CHECK(joined("bf16", "f32", "bf16") == 0);
  CHECK(joined("f16", "f32", "f64") == 1);
  CHECK(joined("i8", "f32", "f16") == 1);
  CHECK(joined("i8", "f32", "i32") == 1);
  CHECK(joined("bool", "i64", "f32") == 1);
  CHECK(joined("f16", "f32", "i32") == 1);
  CHECK(joined("f32", "bf16", "f32") == 2);
  CHECK(joined("f64", "f32", "f16") == 2);
  CHECK(joined("i32", "f32", "f64") == 2);
  CHECK(joined("i32", "f64", "i8") == 2);
  CHECK(joined("u8", "i8", "i32") == 2);
  CHECK(joined("i8", "u8", "i32") == 2);
}

TEST_CASE("constants fold where the result is exact") {
  CHECK(simplified(R"(%a = constant [1, 2, 3] : f32[3]
%b = constant 2 : f32[]
%bb = broadcast [] %b : f32[3]
%c = binary div %a %bb : f32[3]
%r = reindex [2 - i0] fill 0 %c : f32[3]
output "c" %r
)") == "  %0 = constant [1.5, 1, 0.5] : f32[3]\n"
       "  output \"c\" %0\n");
  // exp is another function on every backend; only its operand folds.
  CHECK(simplified(R"(%a = constant 2 : f32[]
%b = constant 0.5 : f32[]
%c = binary mul %a %b : f32[]
%d = unary exp %c : f32[]
%e = broadcast [] %d : f32[7]
output "e" %e
)") == "  %0 = constant 1 : f32[]\n"
       "  %1 = unary exp %0 : f32[]\n"
       "  %2 = broadcast [] %1 : f32[7]\n"
       "  output \"e\" %2\n");
  // A sum of floats depends on its order, unless every partial sum is exact.
  const auto summed = [](const std::string& value) {
    return simplified("%a = constant " + value +
                      " : f32[]\n%b = broadcast [] %a : f32[1000]\n"
                      "%c = reduce sum [0] %b : f32[]\noutput \"c\" %c\n");
  };
  CHECK(summed("3") == "  %0 = constant 3000 : f32[]\n  output \"c\" %0\n");
  CHECK(summed("0.1").find("reduce sum") != std::string::npos);
  CHECK(summed("100000").find("reduce sum") != std::string::npos);
}

TEST_CASE("sizes that are numbers become constants") {
  CHECK(simplified("%s = size [12] : i64[]\n%f = cast %s : f32[]\noutput \"f\" %f\n") ==
        "  %0 = constant 12 : f32[]\n  output \"f\" %0\n");
}

TEST_CASE("F04: a broadcast constant is never expanded") {
  Graph g;
  const int64_t n = 448, batch = 1800;
  std::vector<float> k(static_cast<size_t>(n * n));
  for (size_t i = 0; i < k.size(); ++i) k[i] = static_cast<float>(i % 17);
  const Value weights =
      meta::constant(g, {DType::f32, shape_of({n, n})}, std::as_bytes(std::span(k)));
  const Value x = meta::input(g, "x", {DType::f32, shape_of({batch, 1, n})});
  const Value many = meta::broadcast(g, weights, shape_of({batch, n, n}), {1, 2});
  const Value scaled = meta::binary(g, BinaryOp::mul, many, meta::scalar_like(g, many, 2));
  const Shape product = shape_of({batch, 1, n, n});
  const Value terms = meta::binary(g, BinaryOp::mul, meta::broadcast(g, x, product, {0, 1, 2}),
                                   meta::broadcast(g, scaled, product, {0, 2, 3}));
  g.add_output("y", meta::reduce(g, ReduceOp::sum, terms, {2}));
  const size_t before = Buffer::live_bytes();
  const Graph simple = simplify(g);
  CHECK(Buffer::live_bytes() == before);
  size_t constants = 0;
  for (Value v = 0; v < simple.size(); ++v) {
    if (simple.node(v).op == MetaOp::constant) constants += simple.node(v).attributes.data->size();
  }
  CHECK(constants == k.size() * sizeof(float) + sizeof(float));
}

TEST_CASE("operations on broadcast values are done before the broadcast") {
  CHECK(simplified(R"(%x = input "x" : f32[4]
%s = constant 3 : f32[]
%xb = broadcast [1] %x : f32[8, 4, 5]
%sb = broadcast [] %s : f32[8, 4, 5]
%y = binary div %xb %sb : f32[8, 4, 5]
%z = unary exp %y : f32[8, 4, 5]
output "z" %z
)") == "  %0 = input \"x\" : f32[4]\n"
       "  %1 = constant 3 : f32[]\n"
       "  %2 = broadcast [] %1 : f32[4]\n"
       "  %3 = binary div %0 %2 : f32[4]\n"
       "  %4 = unary exp %3 : f32[4]\n"
       "  %5 = broadcast [1] %4 : f32[8, 4, 5]\n"
       "  output \"z\" %5\n");
  // A product of two broadcasts that together have every axis is a contraction and stays.
  const char* outer = R"(%x = input "x" : f32[4]
%y = input "y" : f32[5]
%a = broadcast [0] %x : f32[4, 5]
%b = broadcast [1] %y : f32[4, 5]
%c = binary mul %a %b : f32[4, 5]
output "c" %c
)";
  CHECK(simplified(outer).find("broadcast [0]") != std::string::npos);
}
