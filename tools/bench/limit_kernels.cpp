#include "tools/bench/limit_kernels.h"

#include "core/target.h"
#include "jit/kernel/builder.h"
#include "jit/lower/math.h"

namespace plait::bench {

using namespace plait::kernel;

namespace {

kernel::Buffer parameter(const char* name, DType dtype, Expr size, Access access) {
  kernel::Buffer buffer{name, dtype, size};
  buffer.access = access;
  return buffer;
}

// One pass over chunks of `lanes` vectors. `body(at)` handles the element at that index.
void vector_chunks(Builder& b, Expr chunks, const std::function<void(Expr at)>& body) {
  const int64_t width = lanes(), unroll = 4;
  b.phase(chunks, [&](Expr p) {
    b.loop(LoopKind::serial, kChunk / (width * unroll), [&](Expr i) {
      b.loop(LoopKind::unrolled, unroll, [&](Expr u) {
        b.loop(LoopKind::vector, width,
               [&](Expr v) { body(kChunk * p + width * unroll * i + width * u + v); });
      });
    });
  });
}

}  // namespace

int64_t lanes() { return host_target().vector_bytes / 4; }

// y[p] of each phase iteration: chains of `depth` multiply-adds that stay finite.
Kernel fma_kernel() {
  Kernel kernel;
  kernel.name = "limit_fma";
  Builder b(kernel);
  const Expr depth = Expr::symbol("depth", 1, int64_t{1} << 30);
  const Expr count = Expr::symbol("count", 1, 1 << 20);
  kernel.symbols = {"depth", "count"};
  const int64_t width = lanes(), all = kChains * width;
  const BufferId x = b.add_buffer(parameter("x", DType::f32, 2 * width, Access::read));
  const BufferId y = b.add_buffer(parameter("y", DType::f32, all * count, Access::write));
  kernel::Buffer registers{"sums", DType::f32, all, BufferScope::registers, Access::read_write};
  registers.lanes = static_cast<uint32_t>(width);
  const BufferId sums = b.add_buffer(registers);
  b.phase(count, [&](Expr p) {
    const auto each = [&](const std::function<void(Expr, Expr)>& body) {
      b.loop(LoopKind::unrolled, kChains, [&](Expr u) {
        b.loop(LoopKind::vector, width, [&](Expr v) { body(width * u + v, v); });
      });
    };
    each([&](Expr at, Expr) { b.store(sums, at, b.constant(DType::f32, 1)); });
    b.loop(LoopKind::serial, depth, [&](Expr) {
      each([&](Expr at, Expr v) {
        b.store(sums, at, b.fma(b.load(sums, at), b.load(x, v), b.load(x, width + v)));
      });
    });
    each([&](Expr at, Expr) { b.store(y, all * p + at, b.load(sums, at)); });
  });
  return kernel;
}

Kernel tile_kernel() {
  Kernel kernel;
  kernel.name = "limit_tiles";
  Builder b(kernel);
  const Expr depth = Expr::symbol("depth", 1, int64_t{1} << 30);
  const Expr count = Expr::symbol("count", 1, 1 << 20);
  kernel.symbols = {"depth", "count"};
  const int64_t all = kTileSums * kTileElements;
  const BufferId y = b.add_buffer(parameter("y", DType::f32, all * count, Access::write));
  const auto tiles = [&](const char* name, DType dtype, int64_t n) {
    return b.add_buffer({name, dtype, n * kTileElements, BufferScope::tiles, Access::read_write});
  };
  const BufferId sums = tiles("sums", DType::f32, kTileSums);
  const BufferId left = tiles("left", DType::u32, 2), right = tiles("right", DType::u32, 2);
  b.phase(count, [&](Expr p) {
    const auto each = [&](BufferId buffer, int64_t n, const std::function<void(Place)>& body) {
      for (int64_t i = 0; i < n; ++i) body({buffer, i * kTileElements});
    };
    for (const BufferId factor : {left, right}) {
      each(factor, 2, [&](Place tile) { b.tile_zero(tile); });
    }
    each(sums, kTileSums, [&](Place tile) { b.tile_zero(tile); });
    b.loop(LoopKind::serial, depth, [&](Expr) {
      each(sums, kTileSums, [&](Place tile) {
        const int64_t i = *tile.at.constant() / kTileElements;
        b.tile_dot(tile, {left, i / 2 * kTileElements}, {right, i % 2 * kTileElements});
      });
    });
    each(sums, kTileSums,
         [&](Place tile) { b.tile_store({y, all * p + tile.at}, tile, kTileRows); });
  });
  return kernel;
}

Kernel copy_kernel(Access to) {
  Kernel kernel;
  kernel.name = std::string("limit_copy_") + name_of(to);
  Builder b(kernel);
  const Expr chunks = Expr::symbol("chunks", 1, 1 << 24);
  kernel.symbols = {"chunks"};
  const BufferId a = b.add_buffer(parameter("a", DType::f32, kChunk * chunks, Access::read));
  const BufferId y = b.add_buffer(parameter("y", DType::f32, kChunk * chunks, to));
  vector_chunks(b, chunks, [&](Expr at) { b.store(y, at, b.load(a, at)); });
  return kernel;
}

Kernel in_place_kernel() {
  Kernel kernel;
  kernel.name = "limit_in_place";
  Builder b(kernel);
  const Expr chunks = Expr::symbol("chunks", 1, 1 << 24);
  kernel.symbols = {"chunks"};
  const BufferId a = b.add_buffer(parameter("a", DType::f32, kChunk * chunks, Access::read_write));
  vector_chunks(b, chunks, [&](Expr at) {
    b.store(a, at,
            b.fma(b.load(a, at), b.constant(DType::f32, 0.999), b.constant(DType::f32, 0.001)));
  });
  return kernel;
}

// The sum of each chunk, in 4 vectors of partial sums.
Kernel read_kernel() {
  Kernel kernel;
  kernel.name = "limit_read";
  Builder b(kernel);
  const Expr chunks = Expr::symbol("chunks", 1, 1 << 24);
  kernel.symbols = {"chunks"};
  const int64_t width = lanes(), unroll = 4, all = width * unroll;
  const BufferId a = b.add_buffer(parameter("a", DType::f32, kChunk * chunks, Access::read));
  const BufferId y = b.add_buffer(parameter("y", DType::f32, all * chunks, Access::write));
  kernel::Buffer registers{"sums", DType::f32, all, BufferScope::registers, Access::read_write};
  registers.lanes = static_cast<uint32_t>(width);
  const BufferId sums = b.add_buffer(registers);
  b.phase(chunks, [&](Expr p) {
    const auto each = [&](const std::function<void(Expr)>& body) {
      b.loop(LoopKind::unrolled, unroll, [&](Expr u) {
        b.loop(LoopKind::vector, width, [&](Expr v) { body(width * u + v); });
      });
    };
    each([&](Expr at) { b.store(sums, at, b.constant(DType::f32, 0)); });
    b.loop(LoopKind::serial, kChunk / all, [&](Expr i) {
      each([&](Expr at) {
        b.store(sums, at, b.add(b.load(sums, at), b.load(a, kChunk * p + all * i + at)));
      });
    });
    each([&](Expr at) { b.store(y, all * p + at, b.load(sums, at)); });
  });
  return kernel;
}

// y = f(x) over chunks that stay in L1.
Kernel function_kernel(const char* name, UnaryOp function) {
  Kernel kernel;
  kernel.name = name;
  Builder b(kernel);
  const Expr chunks = Expr::symbol("chunks", 1, 1 << 24);
  kernel.symbols = {"chunks"};
  const BufferId x = b.add_buffer(parameter("x", DType::f32, kChunk, Access::read));
  const BufferId y = b.add_buffer(parameter("y", DType::f32, kChunk * chunks, Access::write));
  const int64_t width = lanes();
  b.phase(chunks, [&](Expr p) {
    b.loop(LoopKind::serial, kChunk / width, [&](Expr i) {
      b.loop(LoopKind::vector, width, [&](Expr v) {
        b.store(y, kChunk * p + width * i + v,
                lower::emit_unary(b, function, b.load(x, width * i + v)));
      });
    });
  });
  return kernel;
}

Kernel random_kernel() {
  Kernel kernel;
  kernel.name = "limit_random";
  Builder b(kernel);
  const Expr chunks = Expr::symbol("chunks", 1, 1 << 24);
  kernel.symbols = {"chunks"};
  const BufferId y = b.add_buffer(parameter("y", DType::u32, kChunk * chunks, Access::write));
  b.phase(chunks, [&](Expr p) {
    const auto number = [&](int64_t value) { return b.constant(Scalar(DType::i64, value)); };
    const ValueId seed = number(7), step = number(0), salt = number(0);
    constexpr int64_t kWidth = 64;
    b.loop(LoopKind::serial, kChunk / kWidth, [&](Expr i) {
      b.loop(LoopKind::vector, kWidth, [&](Expr v) {
        const Expr element = kChunk * p + kWidth * i + v;
        b.store(y, element, b.random(seed, step, salt, b.index(element)));
      });
    });
  });
  return kernel;
}

}  // namespace plait::bench
