// Lanes, masks, bound variables, reports and registers, each on its own, against the interpreter.
#include <fmt/format.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <functional>

#include "jit/backend.h"
#include "jit/kernel/builder.h"
#include "tests/jit/llvm/compare.h"
#include "tests/support/launch.h"

using namespace plait;
using namespace plait::kernel;
using namespace plait::testing;

namespace {

const Expr kN = Expr::symbol("structure_n", 0, 1 << 20);

struct Fixture {
  Kernel kernel;
  Builder b{kernel};

  Fixture() {
    kernel.name = "structure";
    kernel.symbols = {"structure_n"};
  }
  BufferId input(const std::string& name, DType dtype, Expr size) {
    return b.add_buffer({name, dtype, size});
  }
  BufferId output(DType dtype, Expr size) {
    Buffer buffer{"y", dtype, size};
    buffer.access = Access::write;
    return b.add_buffer(buffer);
  }
  BufferId registers(DType dtype, int64_t size, uint32_t lanes) {
    Buffer buffer{fmt::format("r{}", kernel.buffers.size()), dtype, size, BufferScope::registers};
    buffer.lanes = lanes;
    return b.add_buffer(buffer);
  }
  void vector(int64_t extent, const std::function<void(Expr)>& body) {
    b.loop(LoopKind::vector, extent, body);
  }
  ValueId less(Expr x, Expr y) { return b.binary(Op::lt, b.index(x), b.index(y)); }
};

}  // namespace

TEST_CASE("lane numbers compared with a bound on either side") {
  for (int64_t width : {8, 16, 24})
    for (Op op : {Op::lt, Op::le, Op::eq, Op::ne})
      for (bool falling : {false, true}) {
        Fixture f;
        BufferId y = f.output(DType::boolean, kN * width);
        f.b.phase(kN, [&](Expr p) {
          f.vector(width, [&](Expr v) {
            ValueId lane = f.b.index(falling ? 3 - v : v), bound = f.b.index(p - 10);
            f.b.store(y, p * width + v,
                      falling ? f.b.binary(op, bound, lane) : f.b.binary(op, lane, bound));
          });
        });
        CHECK(difference(f.kernel, {48}) == "");
      }
}

TEST_CASE("addresses of lanes: backwards, strided, divided, beyond 32 bits") {
  struct Case {
    Expr size;
    std::function<Expr(Expr, Expr)> at;
  };
  const Expr far = Expr::symbol("structure_far", 0, int64_t{1} << 40);
  const Case cases[] = {
      {16 * kN, [](Expr p, Expr v) { return 16 * p + 15 - v; }},
      {48 * kN, [](Expr p, Expr v) { return 48 * p + 3 * v; }},
      {16 * kN, [](Expr p, Expr v) { return kN * v + p; }},
      {16 * kN, [](Expr p, Expr v) { return floor_div(16 * p + v, 3); }},
      {16 * kN, [](Expr p, Expr v) { return mod(16 * p + 7 * v, 13); }},
      {16 * kN, [](Expr p, Expr v) { return max(16 * p + v - 5, 0); }},
      {16 * kN, [](Expr p, Expr v) { return min(16 * p, 3 * v); }},
      {16 * kN, [](Expr p, Expr v) { return mod(v - 9 - p, 16); }},
      {16 * kN, [far](Expr p, Expr v) { return mod(far * v + p, 16); }},
      {16 * kN, [](Expr p, Expr v) { return mod(v * (p + 1), kN); }},
  };
  for (DType dtype : {DType::f32, DType::u8, DType::bf16, DType::f64, DType::boolean})
    for (const Case& c : cases)
      for (bool masked : {false, true}) {
        Fixture f;
        f.kernel.symbols.push_back("structure_far");
        BufferId x = f.input("x", dtype, c.size), y = f.output(dtype, 16 * kN);
        f.b.phase(kN, [&](Expr p) {
          f.vector(16, [&](Expr v) {
            auto copy = [&] { f.b.store(y, 16 * p + v, f.b.load(x, c.at(p, v))); };
            if (masked)
              f.b.when(f.less(p + 3, v), copy);
            else
              copy();
          });
        });
        CHECK(difference(f.kernel, {7, int64_t{1} << 36}) == "");
      }
}

TEST_CASE("lanes write backwards and apart") {
  for (bool masked : {false, true})
    for (int64_t stride : {-1, 1, 3, 16}) {
      Fixture f;
      BufferId x = f.input("x", DType::i32, 24), y = f.output(DType::i32, 24 * 16);
      f.b.phase(1, [&](Expr) {
        f.vector(24, [&](Expr v) {
          auto copy = [&] { f.b.store(y, stride < 0 ? 23 - v : v * stride, f.b.load(x, v)); };
          if (masked)
            f.b.when(f.less(v, kN), copy);
          else
            copy();
        });
      });
      for (int64_t n : {0, 5, 30}) CHECK(difference(f.kernel, {n}) == "");
    }
}

TEST_CASE("the last lane's value stays where all lanes write one element") {
  for (int64_t width : {8, 48}) {
    Fixture f;
    BufferId x = f.input("x", DType::f32, width), y = f.output(DType::f32, 2);
    f.b.phase(1, [&](Expr) {
      f.vector(width, [&](Expr v) {
        f.b.store(y, 0, f.b.load(x, v));
        f.b.when(f.less(v, kN), [&] { f.b.store(y, 1, f.b.load(x, v)); });
      });
    });
    for (int64_t n : {0, 3, 17, 48}) CHECK(difference(f.kernel, {n}) == "");
  }
}

TEST_CASE("shared accesses under a mask without active lanes touch nothing") {
  Fixture f;
  BufferId x = f.input("x", DType::f32, min(kN, 1)), y = f.output(DType::f32, 16);
  f.b.phase(1, [&](Expr) {
    f.vector(16,
             [&](Expr v) { f.b.when(f.less(v, kN), [&] { f.b.store(y, v, f.b.load(x, 0)); }); });
  });
  for (int64_t n : {1, 9}) CHECK(difference(f.kernel, {n}) == "");
  void* nowhere = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(nowhere != MAP_FAILED);
  std::vector<float> out(16, 7);
  launch(f.kernel, *make_llvm_backend()->compile(f.kernel), {nowhere, out.data()}, {0});
  CHECK(out == std::vector<float>(16, 7));
  munmap(nowhere, 4096);
}

TEST_CASE("each lane binds its own index and reports a bad one") {
  for (DType dtype : {DType::i64, DType::i32, DType::u32, DType::i16, DType::u8})
    for (int64_t width : {8, 24}) {
      Fixture f;
      BufferId table = f.input("table", DType::f32, 30), index = f.input("index", dtype, kN);
      BufferId y = f.output(DType::f32, kN);
      f.kernel.sites.push_back({"gather", 0, 30});
      f.b.phase(ceil_div(kN, width), [&](Expr p) {
        f.vector(width, [&](Expr v) {
          Expr i = p * width + v;
          f.b.when(f.less(i, kN), [&] {
            ValueId raw = f.b.cast(DType::i64, f.b.load(index, i));
            ValueId zero = f.b.constant(Scalar(DType::i64, 0));
            ValueId bad = f.b.binary(Op::bit_or, f.b.binary(Op::lt, raw, zero),
                                     f.b.binary(Op::le, f.b.index(10), raw));
            f.b.report(bad, raw, 0, i);
            Expr row = f.b.bind(f.b.select(bad, zero, raw), 10);
            f.b.store(y, i, f.b.add(f.b.load(table, 3 * row), f.b.load(table, mod(row + i, 30))));
          });
        });
      });
      for (int64_t n : {1, 23, 60})
        for (int64_t limit : {10, 12})
          CHECK(difference(f.kernel, {n}, {static_cast<uint64_t>(n), {{"index", limit}}}) == "");
    }
}

TEST_CASE("an unrolled body binds anew in each copy") {
  Fixture f;
  BufferId index = f.input("index", DType::i32, 4 * kN), x = f.input("x", DType::f32, 12);
  BufferId y = f.output(DType::f32, 4 * kN);
  f.b.phase(kN, [&](Expr p) {
    f.b.loop(LoopKind::unrolled, 4, [&](Expr u) {
      ValueId raw = f.b.cast(DType::i64, f.b.load(index, 4 * p + u));
      ValueId kept = f.b.binary(Op::mod, raw, f.b.constant(Scalar(DType::i64, 5)));
      Expr row = f.b.bind(kept, 5);
      f.b.store(y, 4 * p + u, f.b.load(x, 2 * row + 1));
    });
  });
  CHECK(difference(f.kernel, {9}) == "");
}

TEST_CASE("rows of registers read and written in part") {
  for (DType dtype : {DType::f32, DType::boolean, DType::f16, DType::i64})
    for (uint32_t lanes : {1, 4, 16, 24, 48}) {
      Fixture f;
      BufferId x = f.input("x", dtype, 64), y = f.output(dtype, 96);
      BufferId r = f.registers(dtype, 96, lanes);
      f.b.phase(1, [&](Expr) {
        f.b.loop(LoopKind::unrolled, 96, [&](Expr u) { f.b.store(r, u, f.b.load(x, mod(u, 64))); });
        f.vector(16, [&](Expr v) { f.b.store(r, v + 3, f.b.load(x, 2 * v)); });
        f.vector(24, [&](Expr v) { f.b.store(r, v + 40, f.b.load(r, v + 8)); });
        f.vector(8, [&](Expr v) {
          f.b.when(f.less(v, kN), [&] { f.b.store(r, v + 21, f.b.load(r, v + 64)); });
        });
        f.b.loop(LoopKind::serial, kN, [&](Expr s) {
          f.b.when(f.less(s, 3), [&] {
            f.vector(4, [&](Expr v) { f.b.store(r, v + 30, f.b.load(x, v + 4 * s)); });
          });
        });
        f.vector(48, [&](Expr v) {
          f.b.store(y, v, f.b.load(r, v));
          f.b.store(y, v + 48, f.b.load(r, v + 48));
        });
      });
      for (int64_t n : {0, 2, 5}) CHECK(difference(f.kernel, {n}) == "");
    }
}

TEST_CASE("register tiles of every size change rows and columns") {
  for (int64_t n : {2, 4, 8, 16})
    for (DType dtype : {DType::f32, DType::u8, DType::bf16}) {
      Fixture f;
      BufferId x = f.input("x", dtype, n * n), y = f.output(dtype, n * n);
      BufferId tile = f.registers(dtype, n * n, static_cast<uint32_t>(n));
      f.b.phase(1, [&](Expr) {
        f.b.loop(LoopKind::unrolled, n, [&](Expr u) {
          f.vector(n, [&](Expr v) { f.b.store(tile, n * u + v, f.b.load(x, n * u + v)); });
        });
        f.b.transpose(tile);
        f.b.loop(LoopKind::unrolled, n, [&](Expr u) {
          f.vector(n, [&](Expr v) { f.b.store(y, n * u + v, f.b.load(tile, n * u + v)); });
        });
      });
      CHECK(difference(f.kernel, {1}) == "");
    }
}
