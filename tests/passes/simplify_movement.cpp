#include <catch2/catch.hpp>

#include "core/graph/text.h"
#include "core/graph/verify.h"
#include "passes/simplify.h"
#include "tests/passes/simplified.h"
#include "tests/support/graphs.h"

using namespace plait;
using namespace plait::testing;

namespace {

// x: f32[6, 4] through the nodes, the last called %y.
std::string from_x(const std::string& nodes) {
  const std::string x = "%0 = input \"x\" : f32[6, 4]\n";
  const std::string text = simplified(x + nodes + "output \"y\" %y\n");
  const std::string begin = "  " + x;
  return text.starts_with(begin) ? text.substr(begin.size()) : text;
}

}  // namespace

TEST_CASE("C04: an identity transpose goes, a real one stays") {
  CHECK(from_x("%y = reindex [i0, i1] fill 0 %0 : f32[6, 4]\n") == "  output \"y\" %0\n");
  CHECK(from_x("%y = reindex [i1, i0] fill 0 %0 : f32[4, 6]\n") ==
        "  %1 = reindex [i1, i0] fill 0 %0 : f32[4, 6]\n  output \"y\" %1\n");
  CHECK(from_x("%a = reindex [i1, i0] fill 0 %0 : f32[4, 6]\n"
               "%y = reindex [i1, i0] fill 0 %a : f32[6, 4]\n") == "  output \"y\" %0\n");
  // A square one, whose shape gives nothing away.
  CHECK(simplified("%x = input \"x\" : f32[3, 3]\n"
                   "%y = reindex [i1, i0] fill 0 %x : f32[3, 3]\noutput \"y\" %y\n")
            .find("reindex [i1, i0]") != std::string::npos);
}

TEST_CASE("reshapes join and cancel") {
  CHECK(from_x("%a = reindex [floor_div(i0, 4), mod(i0, 4)] fill 0 %0 : f32[24]\n"
               "%y = reindex [4*i0 + i1] fill 0 %a : f32[6, 4]\n") == "  output \"y\" %0\n");
  CHECK(from_x("%a = reindex [2*i0 + i1, i2] fill 0 %0 : f32[3, 2, 4]\n"
               "%y = reindex [i1, i0, i2] fill 0 %a : f32[2, 3, 4]\n") ==
        "  %1 = reindex [i0 + 2*i1, i2] fill 0 %0 : f32[2, 3, 4]\n  output \"y\" %1\n");
}

TEST_CASE("a reindex that only repeats is a broadcast") {
  CHECK(from_x("%y = reindex [i0, i2] fill 0 %0 : f32[6, 9, 4]\n") ==
        "  %1 = broadcast [0, 2] %0 : f32[6, 9, 4]\n  output \"y\" %1\n");
  CHECK(from_x("%y = reindex [i1, i2] fill 0 %0 : f32[1, 6, 4]\n") ==
        "  %1 = broadcast [1, 2] %0 : f32[1, 6, 4]\n  output \"y\" %1\n");
}

TEST_CASE("pads and slices join only where the filling is kept") {
  // A slice of a pad that ends inside it.
  CHECK(from_x("%a = reindex [i0 - 2, i1] fill 7 %0 : f32[10, 4]\n"
               "%y = reindex [i0 + 1, i1] fill 0 %a : f32[5, 4]\n") ==
        "  %1 = reindex [i0 - 1, i1] fill 7 %0 : f32[5, 4]\n  output \"y\" %1\n");
  // A pad of a pad with the same filling.
  CHECK(from_x("%a = reindex [i0 - 2, i1] fill 7 %0 : f32[9, 4]\n"
               "%y = reindex [i0 - 1, i1] fill 7 %a : f32[11, 4]\n") ==
        "  %1 = reindex [i0 - 3, i1] fill 7 %0 : f32[11, 4]\n  output \"y\" %1\n");
  // Another filling, and a pad of a slice, which must not show what was cut off.
  CHECK(from_x("%a = reindex [i0 - 2, i1] fill 7 %0 : f32[9, 4]\n"
               "%y = reindex [i0 - 1, i1] fill 0 %a : f32[11, 4]\n")
            .find("fill 0 %1") != std::string::npos);
  CHECK(from_x("%a = reindex [i0 + 2, i1] fill 0 %0 : f32[2, 4]\n"
               "%y = reindex [i0 - 1, i1] fill 0 %a : f32[4, 4]\n")
            .find("[i0 - 1, i1] fill 0 %1") != std::string::npos);
}

TEST_CASE("reindexes see through broadcasts, constants, iota and concatenations") {
  CHECK(from_x("%a = broadcast [1, 2] %0 : f32[5, 6, 4]\n"
               "%y = reindex [2, i1, i0] fill 0 %a : f32[4, 6]\n") ==
        "  %1 = reindex [i1, i0] fill 0 %0 : f32[4, 6]\n  output \"y\" %1\n");
  CHECK(simplified("%c = constant 2 : f32[]\n%b = broadcast [] %c : f32[5]\n"
                   "%y = reindex [i0 - 1] fill 2 %b : f32[7]\noutput \"y\" %y\n") ==
        "  %0 = constant 2 : f32[]\n  %1 = broadcast [] %0 : f32[7]\n  output \"y\" %1\n");
  CHECK(simplified("%c = constant 2 : f32[]\n%b = broadcast [] %c : f32[5]\n"
                   "%y = reindex [i0 - 1] fill 3 %b : f32[7]\noutput \"y\" %y\n")
            .find("constant [3, 2, 2, 2, 2, 2, 3]") != std::string::npos);
  CHECK(simplified("%c = constant 2 : f32[]\n%b = broadcast [] %c : f32[99]\n"
                   "%y = reindex [i0 - 1] fill 3 %b : f32[101]\noutput \"y\" %y\n")
            .find("reindex [i0 - 1] fill 3") != std::string::npos);
  CHECK(simplified("%i = iota 1 : i64[4, 5]\n%y = reindex [i1, i0] fill 0 %i : i64[5, 4]\n"
                   "output \"y\" %y\n") == "  %0 = iota 0 : i64[5, 4]\n  output \"y\" %0\n");
  CHECK(from_x("%b = input \"b\" : f32[3, 4]\n%c = concat 0 %b %0 : f32[9, 4]\n"
               "%y = reindex [i0 + 4, i1] fill 0 %c : f32[5, 4]\n") ==
        "  %1 = reindex [i0 + 1, i1] fill 0 %0 : f32[5, 4]\n  output \"y\" %1\n");
  CHECK(from_x("%b = input \"b\" : f32[3, 4]\n%c = concat 0 %b %0 : f32[9, 4]\n"
               "%y = reindex [i0 + 2, i1] fill 0 %c : f32[5, 4]\n")
            .find("concat") != std::string::npos);
}

TEST_CASE("indices from tensors compose, and keep their checks") {
  // A checked gather stays as it was written: its error names it, and a position in its result.
  CHECK(simplified("%x = input \"x\" : f32[9, 4]\n%t = input \"t\" : i64[6]\n"
                   "%a = reindex [t0[i0], i1] fill 0 error %x %t : f32[6, 4]\n"
                   "%y = reindex [i1, i0] fill 0 %a : f32[4, 6]\noutput \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[9, 4]\n"
        "  %1 = input \"t\" : i64[6]\n"
        "  %2 = reindex [t0[i0], i1] fill 0 error %0 %1 : f32[6, 4]\n"
        "  %3 = reindex [i1, i0] fill 0 %2 : f32[4, 6]\n"
        "  output \"y\" %3\n");
  // A part of a checked gather would leave indices unchecked.
  CHECK(simplified("%x = input \"x\" : f32[9, 4]\n%t = input \"t\" : i64[6]\n"
                   "%a = reindex [t0[i0], i1] fill 0 error %x %t : f32[6, 4]\n"
                   "%y = reindex [i0 + 1, i1] fill 0 %a : f32[2, 4]\noutput \"y\" %y\n")
            .find("[i0 + 1, i1] fill 0 %2") != std::string::npos);
  // A gather of gathered rows reads both tensors; one that nothing reads is dropped.
  CHECK(simplified("%x = input \"x\" : f32[9, 4]\n%t = input \"t\" : i64[6]\n"
                   "%u = input \"u\" : i64[6]\n"
                   "%a = reindex [t0[i0], i1] fill 0 %x %t : f32[6, 4]\n"
                   "%y = reindex [i0, mod(t1[i0], 4)] fill 0 %a %t %u : f32[6]\n"
                   "output \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[9, 4]\n"
        "  %1 = input \"t\" : i64[6]\n"
        "  %2 = input \"u\" : i64[6]\n"
        "  %3 = reindex [t0[i0], mod(t1[i0], 4)] fill 0 %0 %1 %2 : f32[6]\n"
        "  output \"y\" %3\n");
}

TEST_CASE("what lies wholly outside is the filling") {
  CHECK(from_x("%y = reindex [i0 + 6, i1] fill 3 %0 : f32[2, 4]\n") ==
        "  %0 = constant 3 : f32[]\n  %1 = broadcast [] %0 : f32[2, 4]\n  output \"y\" %1\n");
}

TEST_CASE("broadcasts of broadcasts are one") {
  CHECK(simplified("%x = input \"x\" : f32[1, 4]\n%a = broadcast [0, 2] %x : f32[5, 2, 4]\n"
                   "%y = broadcast [1, 2, 3] %a : f32[3, 5, 2, 4]\noutput \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[1, 4]\n"
        "  %1 = broadcast [1, 3] %0 : f32[3, 5, 2, 4]\n"
        "  output \"y\" %1\n");
}

TEST_CASE("reductions of single elements, of reductions and of copies") {
  CHECK(simplified("%x = input \"x\" : f32[3, 1, 4]\n%y = reduce sum [0, 1] %x : f32[4]\n"
                   "output \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[3, 1, 4]\n"
        "  %1 = reindex [i0, 0, i1] fill 0 %0 : f32[3, 4]\n"
        "  %2 = reduce sum [0] %1 : f32[4]\n"
        "  output \"y\" %2\n");
  CHECK(from_x("%a = reduce max [1] %0 : f32[6]\n%y = reduce max [0] %a : f32[]\n") ==
        "  %1 = reduce max [0, 1] %0 : f32[]\n  output \"y\" %1\n");
  CHECK(from_x("%a = reduce sum [1] %0 : f32[6]\n%y = reduce sum [0] %a : f32[]\n") ==
        "  %1 = reduce sum [1] %0 : f32[6]\n  %2 = reduce sum [0] %1 : f32[]\n"
        "  output \"y\" %2\n");
  CHECK(from_x("%a = broadcast [0, 2] %0 : f32[6, 5, 4]\n%y = reduce max [1, 2] %a : f32[6]\n") ==
        "  %1 = reduce max [1] %0 : f32[6]\n  output \"y\" %1\n");
}

TEST_CASE("an axis of one element stays the axis it is") {
  // What knows such an axis decides what is a contraction, so moving it is no broadcast along it.
  CHECK(simplified("%x = input \"x\" : f32[4, 1]\n"
                   "%y = reindex [i1, i0] fill 0 %x : f32[1, 4]\noutput \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[4, 1]\n"
        "  %1 = reindex [i1, i0] fill 0 %0 : f32[1, 4]\n"
        "  output \"y\" %1\n");
  CHECK(simplified("%x = input \"x\" : f32[4, 1]\n%a = reindex [i1, i0] fill 0 %x : f32[1, 4]\n"
                   "%y = reindex [i1, i0] fill 0 %a : f32[4, 1]\noutput \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[4, 1]\n  output \"y\" %0\n");
  // A sum of products stays one.
  CHECK(simplified("%a = input \"a\" : f32[3, 1, 4]\n%b = input \"b\" : f32[3, 1, 4]\n"
                   "%m = binary mul %a %b : f32[3, 1, 4]\n%y = reduce sum [1, 2] %m : f32[3]\n"
                   "output \"y\" %y\n") ==
        "  %0 = input \"a\" : f32[3, 1, 4]\n"
        "  %1 = input \"b\" : f32[3, 1, 4]\n"
        "  %2 = reindex [i0, 0, i1] fill 0 %0 : f32[3, 4]\n"
        "  %3 = reindex [i0, 0, i1] fill 0 %1 : f32[3, 4]\n"
        "  %4 = binary mul %2 %3 : f32[3, 4]\n"
        "  %5 = reduce sum [1] %4 : f32[3]\n"
        "  output \"y\" %5\n");
}

TEST_CASE("a sum of one element is 0 and that element") {
  CHECK(simplified("%x = input \"x\" : f32[4, 1]\n%y = reduce sum [1] %x : f32[4]\n"
                   "output \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[4, 1]\n"
        "  %1 = reindex [i0, 0] fill 0 %0 : f32[4]\n"
        "  %2 = constant 0 : f32[]\n"
        "  %3 = broadcast [] %2 : f32[4]\n"
        "  %4 = binary add %1 %3 : f32[4]\n"
        "  output \"y\" %4\n");
  CHECK(simplified("%x = input \"x\" : i32[4, 1]\n%y = reduce sum [1] %x : i32[4]\n"
                   "output \"y\" %y\n") ==
        "  %0 = input \"x\" : i32[4, 1]\n"
        "  %1 = reindex [i0, 0] fill 0 %0 : i32[4]\n"
        "  output \"y\" %1\n");
}

TEST_CASE("a sum over single elements keeps its product") {
  CHECK(simplified("%0 = input \"x\" : f32[2, 3, 1]\n%1 = input \"y\" : f32[2, 3, 1]\n"
                   "%2 = binary mul %0 %1 : f32[2, 3, 1]\n"
                   "%3 = reduce sum [1, 2] %2 : f32[2]\noutput \"z\" %3\n") ==
        "  %0 = input \"x\" : f32[2, 3, 1]\n  %1 = input \"y\" : f32[2, 3, 1]\n"
        "  %2 = reindex [i0, i1, 0] fill 0 %0 : f32[2, 3]\n"
        "  %3 = reindex [i0, i1, 0] fill 0 %1 : f32[2, 3]\n"
        "  %4 = binary mul %2 %3 : f32[2, 3]\n"
        "  %5 = reduce sum [1] %4 : f32[2]\n  output \"z\" %5\n");
}

TEST_CASE("scans and sorts with nothing to do") {
  CHECK(simplified("%x = input \"x\" : f32[3, 1]\n%y = scan max 1 %x : f32[3, 1]\n"
                   "%s = sort 1 %x : i64[3, 1]\noutput \"y\" %y\noutput \"s\" %s\n") ==
        "  %0 = input \"x\" : f32[3, 1]\n"
        "  %1 = constant 0 : i64[]\n"
        "  %2 = broadcast [] %1 : i64[3, 1]\n"
        "  output \"y\" %0\n"
        "  output \"s\" %2\n");
}

TEST_CASE("concatenations flatten") {
  CHECK(from_x("%e = input \"e\" : f32[0, 4]\n%b = input \"b\" : f32[3, 4]\n"
               "%c = concat 0 %0 %b : f32[9, 4]\n%y = concat 0 %e %c %b : f32[12, 4]\n") ==
        "  %1 = input \"b\" : f32[3, 4]\n"
        "  %2 = concat 0 %0 %1 %1 : f32[12, 4]\n"
        "  output \"y\" %2\n");
}

TEST_CASE("symbolic sizes simplify as numbers do") {
  CHECK(simplified("dim movement_n 1..64\n%x = input \"x\" : f32[movement_n, 4]\n"
                   "%a = reindex [floor_div(i0, 4), mod(i0, 4)] fill 0 %x : f32[4*movement_n]\n"
                   "%y = reindex [4*i0 + i1] fill 0 %a : f32[movement_n, 4]\n"
                   "output \"y\" %y\n") ==
        "  dim movement_n 1..64\n"
        "  %0 = input \"x\" : f32[movement_n, 4]\n"
        "  output \"y\" %0\n");
}

TEST_CASE("an input that folds away stays if it tells a size") {
  const Graph graph = simplify(parse_graph(R"(graph
    dim movement_s 0..64
    %0 = input "x" : f32[4, movement_s]
    %1 = input "unused" : f32[movement_s]
    %2 = reindex [i0 + 6, i1] fill 2 %0 : f32[2, movement_s]
    %3 = reduce min [0] %2 : f32[movement_s]
    output "y" %3
  )"));
  REQUIRE(graph.size() > 0);
  CHECK(graph.node(0).attributes.name == "x");
  CHECK(to_text(graph).find("reindex") == std::string::npos);
  CHECK(to_text(graph).find("unused") == std::string::npos);
  const Array x = Array::full(DType::f32, {4, 3}, {});
  CHECK(values(run(graph, {{"x", x}})) == std::vector<double>{2, 2, 2});
}

TEST_CASE("origins of merged and of new nodes are kept") {
  const Graph g = simplify(parse_graph(R"(graph
    %x = input "x" : f32[4]
    %n = unary neg %x : f32[4]  @ net/a
    %y = unary neg %n : f32[4]  @ net/b
    %z = binary div %y %y : f32[4]  @ net/c
    output "z" %z)"));
  CHECK(to_text(g) ==
        "graph\n"
        "  %0 = input \"x\" : f32[4]  @ net/b\n"
        "  %1 = binary div %0 %0 : f32[4]  @ net/c\n"
        "  output \"z\" %1\n");
}

TEST_CASE("many parts are joined as a tree, few as one") {
  const auto joined = [](int parts) {
    Graph g;
    std::vector<Value> values;
    for (int i = 0; i < parts; ++i) {
      Attributes a;
      a.name = "x" + std::to_string(i);
      values.push_back(g.add(MetaOp::input, {}, a, {DType::f32, {i + 1, 3}}));
    }
    Attributes a;
    a.axes = {0};
    g.add_output("y", g.add(MetaOp::concat, values, a));
    const Graph result = simplify(g);
    verify(result);
    CHECK(result.type(result.outputs()[0].value) == g.type(g.outputs()[0].value));
    CHECK(simplify(result).size() == result.size());
    size_t most = 0;
    for (Value v = 0; v < result.size(); ++v) {
      if (result.node(v).op == MetaOp::concat) {
        most = std::max(most, result.node(v).operands.size());
      }
    }
    CHECK(most <= 16);
    return result.size() - static_cast<size_t>(parts);  // concats
  };
  CHECK(joined(16) == 1);
  CHECK(joined(17) == 2);  // of sixteen, and that and the last
  CHECK(joined(300) == 19 + 2 + 1);
}

TEST_CASE("a product whose transpose is the result is computed that way") {
  const std::string product =
      "%x = input \"x\" : f32[3, 5]\n%z = input \"z\" : f32[4, 5]\n"
      "%a = broadcast [0, 2] %x : f32[3, 4, 5]\n%b = broadcast [1, 2] %z : f32[3, 4, 5]\n"
      "%m = binary mul %a %b : f32[3, 4, 5]\n%s = reduce sum [2] %m : f32[3, 4]\n"
      "%y = reindex [i1, i0] fill 0 %s : f32[4, 3]\n";
  CHECK(simplified(product + "output \"y\" %y\n") ==
        "  %0 = input \"x\" : f32[3, 5]\n"
        "  %1 = input \"z\" : f32[4, 5]\n"
        "  %2 = broadcast [1, 2] %0 : f32[4, 3, 5]\n"
        "  %3 = broadcast [0, 2] %1 : f32[4, 3, 5]\n"
        "  %4 = binary mul %2 %3 : f32[4, 3, 5]\n"
        "  %5 = reduce sum [2] %4 : f32[4, 3]\n"
        "  output \"y\" %5\n");
  // Somebody wants it as it is, or nobody wants the transpose in memory.
  CHECK(simplified(product + "output \"y\" %y\noutput \"s\" %s\n").find("reindex [i1, i0]") !=
        std::string::npos);
  CHECK(simplified(product + "%e = unary exp %y : f32[4, 3]\noutput \"e\" %e\n")
            .find("reindex [i1, i0]") != std::string::npos);
}
