// Random words of elements in every relation to each other, against the interpreter, which computes
// each by itself. (tests/core holds the generator to its published answers.)
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "jit/backend.h"
#include "jit/kernel/builder.h"
#include "tests/jit/llvm/compare.h"

using namespace plait;
using namespace plait::kernel;
using namespace plait::testing;

namespace {

const Expr kN = Expr::symbol("random_n", 0, 1 << 20);

// y[width * p + v] = the word of `element(p, v)`; the seed and the step are in memory.
Kernel draw(int64_t width, const std::function<Expr(Expr p, Expr v)>& element, bool masked) {
  Kernel kernel;
  kernel.name = "draw";
  kernel.symbols = {"random_n"};
  Builder b(kernel);
  const BufferId key = b.add_buffer({"key", DType::i64, 2});
  Buffer output{"y", DType::u32, kN * width};
  output.access = Access::write;
  const BufferId y = b.add_buffer(output);
  b.phase(kN, [&](Expr p) {
    const ValueId seed = b.load(key, 0), step = b.load(key, 1);
    const ValueId salt = b.constant(Scalar(DType::i64, 5));
    b.loop(LoopKind::vector, width, [&](Expr v) {
      const auto one = [&] {
        b.store(y, width * p + v, b.random(seed, step, salt, b.index(element(p, v))));
      };
      if (!masked) return one();
      b.when(b.binary(Op::lt, b.index(3 * p + v), b.index(17)), one);
    });
  });
  return kernel;
}

}  // namespace

TEST_CASE("random words of neighbours, of others, and far away") {
  const std::function<Expr(Expr, Expr)> elements[] = {
      [](Expr p, Expr v) { return 64 * p + v; },                         // whole counters
      [](Expr p, Expr v) { return 65 * p + v; },                         // rows of any offset
      [](Expr p, Expr v) { return 64 * p + v + 2; },                     // a fixed offset
      [](Expr p, Expr v) { return 64 * p + 3 * v; },                     // apart
      [](Expr p, Expr v) { return 64 * p + 63 - v; },                    // backwards
      [](Expr p, Expr v) { return p + 0 * v; },                          // one for all lanes
      [](Expr p, Expr v) { return (int64_t{1} << 35) * p + v + 1; },     // counters of two words
      [](Expr p, Expr v) { return (int64_t{1} << 34) - 8 + 4 * p + v; }  // a counter's carry
  };
  for (const bool masked : {false, true}) {
    for (const int64_t width : {1, 3, 4, 8, 12, 16, 20, 32, 64}) {
      for (const auto& element : elements) {
        CHECK(difference(draw(width, element, masked), {9}, {1, {}, true}) == "");
      }
    }
  }
}

TEST_CASE("a draw of neighbours runs a quarter as many counters") {
  const auto products = [](int64_t stride) {
    const Kernel kernel =
        draw(32, [&](Expr p, Expr v) { return 128 * p + stride * v; }, /*masked=*/false);
    const std::string code = make_llvm_backend("x86-64-v4")->compile(kernel)->source("asm");
    int64_t count = 0;
    for (size_t at = code.find("vpmuludq"); at != std::string::npos; ++count) {
      at = code.find("vpmuludq", at + 1);
    }
    return count;
  };
  CHECK(products(1) > 0);
  CHECK(products(2) >= 3 * products(1));
}
