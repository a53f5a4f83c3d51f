// The register tile of a matrix product must compile to fused multiply-adds on registers alone: no
// accumulator may move to the stack, whatever the tile that fits the registers.
#include <catch2/catch.hpp>

#include "jit/backend.h"
#include "jit/kernel/builder.h"
#include "tests/jit/assembly.h"
#include "tests/jit/llvm/compare.h"

using namespace plait;
using namespace plait::kernel;
using namespace plait::testing;

namespace {

struct Tile {
  int64_t rows, columns;
};

// c = a . b for one tile, a packed in columns of `rows`, b in rows of `columns`. Tall tiles hold
// the vectors of b and broadcast a; wide ones hold the broadcasts of a.
Kernel micro_kernel(Tile tile, bool wide, int64_t vector) {
  Kernel kernel;
  kernel.name = "micro_kernel";
  Builder b(kernel);
  Expr depth = Expr::symbol("micro_depth", 0, 1 << 20);
  kernel.symbols = {"micro_depth"};
  auto add = [&](const char* name, Expr size, BufferScope scope, Access access, int64_t lanes) {
    Buffer buffer{name, DType::f32, size, scope, access};
    buffer.lanes = static_cast<uint32_t>(lanes);
    return b.add_buffer(buffer);
  };
  auto [rows, columns] = tile;
  BufferId a = add("a", rows * depth, BufferScope::parameter, Access::read, 1);
  BufferId bm = add("b", columns * depth, BufferScope::parameter, Access::read, 1);
  BufferId c = add("c", rows * columns, BufferScope::parameter, Access::write, 1);
  int64_t lanes = wide ? vector : columns;
  BufferId sums = add("sums", rows * columns, BufferScope::registers, Access::read_write, lanes);
  auto each = [&](const std::function<void(Expr)>& body) {
    b.loop(LoopKind::unrolled, rows * columns / lanes,
           [&](Expr u) { b.loop(LoopKind::vector, lanes, [&](Expr v) { body(lanes * u + v); }); });
  };
  auto step = [&](Expr at, ValueId x, ValueId y) {
    b.store(sums, at, b.fma(x, y, b.load(sums, at)));
  };
  b.phase(1, [&](Expr) {
    each([&](Expr at) { b.store(sums, at, b.constant(DType::f32, 0)); });
    b.loop(LoopKind::serial, depth, [&](Expr k) {
      if (!wide) {
        b.loop(LoopKind::vector, columns, [&](Expr v) {
          ValueId y = b.load(bm, columns * k + v);
          b.loop(LoopKind::unrolled, rows,
                 [&](Expr i) { step(columns * i + v, b.load(a, rows * k + i), y); });
        });
        return;
      }
      b.loop(LoopKind::unrolled, columns / vector, [&](Expr j) {
        b.loop(LoopKind::vector, vector, [&](Expr v) {
          ValueId y = b.load(bm, columns * k + vector * j + v);
          b.loop(LoopKind::unrolled, rows,
                 [&](Expr i) { step(columns * i + vector * j + v, b.load(a, rows * k + i), y); });
        });
      });
    });
    each([&](Expr at) { b.store(c, at, b.load(sums, at)); });
  });
  return kernel;
}

void check_tile(const Machine& machine, Tile tile, bool wide) {
  INFO(machine.cpu << " " << tile.rows << "x" << tile.columns);
  const int64_t vector = machine.target.vector_bytes / 4;
  Kernel kernel = micro_kernel(tile, wide, vector);
  std::string assembly = make_llvm_backend(machine.cpu)->compile(kernel)->source("asm");
  INFO(assembly);
  int64_t products = tile.rows * tile.columns / vector, found = 0;
  for (const Lines& loop : innermost_loops(assembly)) {
    if (count(loop, machine.fma) == 0) continue;
    ++found;
    CHECK(count(loop, machine.fma) == products);
    CHECK(count(loop, machine.stack) == 0);
    CHECK(count(loop, machine.copy) == 0);
    // Besides products: a load for each vector and broadcast, and the loop's own few.
    CHECK(static_cast<int64_t>(loop.size()) <= products + tile.rows + tile.columns / vector + 8);
  }
  CHECK(found == 1);
}

}  // namespace

TEST_CASE("register tiles stay in registers") {
  for (const Machine& machine : machines()) {
    switch (machine.target.vector_bytes) {
      case 64:
        for (Tile tile : {Tile{14, 32}, Tile{12, 32}, Tile{8, 48}, Tile{6, 64}})
          check_tile(machine, tile, false);
        break;
      case 32:
        for (Tile tile : {Tile{6, 16}, Tile{4, 24}, Tile{5, 16}, Tile{12, 8}})
          check_tile(machine, tile, false);
        for (Tile tile : {Tile{3, 32}, Tile{2, 48}}) check_tile(machine, tile, true);
        break;
      default:
        for (Tile tile : {Tile{6, 16}, Tile{8, 8}, Tile{12, 8}, Tile{24, 4}})
          check_tile(machine, tile, false);
        for (Tile tile : {Tile{4, 24}, Tile{3, 32}, Tile{5, 20}}) check_tile(machine, tile, true);
    }
  }
}

TEST_CASE("register tiles give the interpreter's bits") {
  for (Tile tile : {Tile{6, 16}, Tile{4, 24}, Tile{8, 48}, Tile{14, 32}, Tile{1, 64}})
    CHECK(difference(micro_kernel(tile, false, 8), {7}) == "");
  CHECK(difference(micro_kernel(Tile{3, 32}, true, 8), {0}) == "");
  CHECK(difference(micro_kernel(Tile{3, 32}, true, 8), {19}) == "");
}
