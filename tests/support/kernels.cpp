#include "tests/support/kernels.h"

#include <functional>
#include <limits>

#include "core/error.h"
#include "jit/kernel/builder.h"
#include "jit/kernel/types.h"

namespace plait::testing {

using namespace plait::kernel;

namespace {

constexpr LoopKind kSerial = LoopKind::serial;
constexpr LoopKind kUnrolled = LoopKind::unrolled;
constexpr LoopKind kVector = LoopKind::vector;

// Sizes from 0 on, so that proofs cannot lean on them.
Expr size_symbol(Kernel& kernel, const std::string& name) {
  kernel.symbols.push_back(name);
  return Expr::symbol(name, 0, int64_t{1} << 24);
}

BufferId parameter(Builder& b, const std::string& name, DType dtype, Expr size, Access access) {
  Buffer buffer{name, dtype, size};
  buffer.access = access;
  return b.add_buffer(buffer);
}

BufferId scratch(Builder& b, const std::string& name, DType dtype, Expr size, BufferScope scope,
                 uint32_t lanes = 1) {
  Buffer buffer{name, dtype, size};
  buffer.scope = scope;
  buffer.lanes = lanes;
  return b.add_buffer(buffer);
}

ValueId less(Builder& b, Expr x, Expr y) { return b.binary(Op::lt, b.index(x), b.index(y)); }

}  // namespace

// What ldexp takes: NaNs, or a mantissa of either sign and a whole number up to the limit.
std::vector<ValueId> ldexp_operands(Builder& b, const std::vector<ValueId>& v) {
  const bool f64 = b.kernel().type(v[0]) == DType::f64;
  const DType real = f64 ? DType::f64 : DType::f32, bits = f64 ? DType::u64 : DType::u32;
  const int mantissa = f64 ? 52 : 23;
  const int64_t one = f64 ? int64_t{1023} << mantissa : int64_t{127} << mantissa;
  const int64_t keep = (int64_t{1} << mantissa) - 1 + (f64 ? INT64_MIN : int64_t{1} << 31);
  const auto integer = [&](int64_t value) { return b.constant(Scalar(bits, value)); };
  const ValueId is_nan = b.binary(Op::ne, v[0], v[0]);
  const ValueId masked = b.binary(Op::bit_and, b.bitcast(bits, v[0]), integer(keep));
  const ValueId number = b.bitcast(real, b.binary(Op::bit_or, masked, integer(one)));
  const double limit = f64 ? 2044 : 252;
  const ValueId low = b.binary(Op::maximum, v[1], b.constant(real, -limit));
  const ValueId power = b.unary(Op::round, b.binary(Op::minimum, low, b.constant(real, limit)));
  const ValueId whole = b.select(b.binary(Op::ne, power, power), b.constant(real, 3), power);
  return {b.select(is_nan, v[0], number), b.select(is_nan, v[0], whole)};
}

Kernel elementwise(Op op, DType type, DType result, int64_t width) {
  Kernel kernel;
  kernel.name =
      fmt::format("{}_{}_{}_{}", name_of(op), dtype_name(type), dtype_name(result), width);
  Builder b(kernel);
  const Expr n = size_symbol(kernel, "n");
  std::vector<BufferId> inputs;
  for (size_t k = 0; k < operand_count(op); ++k) {
    const bool is_condition = op == Op::select && k == 0;
    inputs.push_back(
        parameter(b, fmt::format("x{}", k), is_condition ? DType::boolean : type, n, Access::read));
  }
  const BufferId y = parameter(b, "y", result, n, Access::write);
  b.phase(ceil_div(n, width), [&](Expr p) {
    b.loop(kVector, width, [&](Expr l) {
      const Expr i = p * width + l;
      b.when(less(b, i, n), [&] {
        std::vector<ValueId> v;
        for (BufferId input : inputs) v.push_back(b.load(input, i));
        if (op == Op::ldexp) v = ldexp_operands(b, v);
        ValueId value = v[0];
        switch (class_of(op)) {
          case OpClass::unary:
            value = b.unary(op, v[0]);
            break;
          case OpClass::binary:
          case OpClass::comparison:
            value = b.binary(op, v[0], v[1]);
            break;
          case OpClass::ternary:
            value = b.fma(v[0], v[1], v[2]);
            break;
          case OpClass::select:
            value = b.select(v[0], v[1], v[2]);
            break;
          case OpClass::conversion:
            value = op == Op::cast ? b.cast(result, v[0]) : b.bitcast(result, v[0]);
            break;
          case OpClass::draw:
            value = b.random(v[0], v[1], v[2], v[3]);
            break;
          case OpClass::immediate:
          case OpClass::memory:
          case OpClass::tile:
          case OpClass::structure:
            PLAIT_UNREACHABLE("{} is not elementwise", name_of(op));
        }
        b.store(y, i, value);
      });
    });
  });
  return kernel;
}

Kernel normalize_rows(int64_t columns) {
  Kernel kernel;
  kernel.name = fmt::format("normalize_rows_{}", columns);
  Builder b(kernel);
  const Expr batch = size_symbol(kernel, "batch");
  const BufferId x = parameter(b, "x", DType::f32, batch * columns, Access::read);
  const BufferId y = parameter(b, "y", DType::f32, batch * columns, Access::write);
  const BufferId row = scratch(b, "row", DType::f32, columns, BufferScope::local);
  const BufferId acc = scratch(b, "acc", DType::f32, 32, BufferScope::registers, 32);
  const Expr kFirst = 0;

  const auto fill = [&](double value) {
    b.loop(kVector, 32, [&](Expr l) { b.store(acc, l, b.constant(DType::f32, value)); });
  };
  // body(column) for all columns, 32 at a time.
  const auto for_columns = [&](const std::function<void(Expr column, Expr lane)>& body) {
    b.loop(kSerial, columns / 32,
           [&](Expr s) { b.loop(kVector, 32, [&](Expr l) { body(32 * s + l, l); }); });
    if (columns % 32 == 0) return;
    b.loop(kVector, columns % 32, [&](Expr l) { body(columns / 32 * 32 + l, l); });
  };
  const auto join = [&](Op op) {
    for (int64_t half = 16; half > 0; half /= 2) {
      b.loop(kVector, half,
             [&](Expr l) { b.store(acc, l, b.binary(op, b.load(acc, l), b.load(acc, l + half))); });
    }
  };

  b.phase(batch, [&](Expr r) {
    fill(-std::numeric_limits<double>::infinity());
    for_columns([&](Expr c, Expr lane) {
      b.store(acc, lane, b.binary(Op::maximum, b.load(acc, lane), b.load(x, columns * r + c)));
    });
    join(Op::maximum);
    b.prefetch(x, columns * r + columns);  // past the end, for the last row
    const ValueId shift = b.add(b.load(acc, kFirst), b.constant(DType::f32, 1));
    fill(0);
    for_columns([&](Expr c, Expr lane) {
      const ValueId below = b.sub(shift, b.load(x, columns * r + c));
      const ValueId w = b.binary(Op::div, b.constant(DType::f32, 1), below);
      b.store(row, c, w);
      b.store(acc, lane, b.add(b.load(acc, lane), w));
    });
    join(Op::add);
    const ValueId total = b.load(acc, kFirst);
    for_columns([&](Expr c, Expr) {
      b.store(y, columns * r + c, b.binary(Op::div, b.load(row, c), total));
    });
  });
  kernel.phases[0].cost = 120;
  return kernel;
}

Kernel gemm(const GemmTile& t) {
  Kernel kernel;
  kernel.name = fmt::format("gemm_{}x{}", t.mr, t.nr);
  Builder b(kernel);
  const Expr m = size_symbol(kernel, "m"), n = size_symbol(kernel, "n");
  const Expr k = size_symbol(kernel, "k");
  const BufferId a = parameter(b, "a", DType::f32, m * k, Access::read);
  const BufferId bm = parameter(b, "b", DType::f32, k * n, Access::read);
  const BufferId c = parameter(b, "c", DType::f32, m * n, Access::read_write);
  const BufferId ap = scratch(b, "a_panels", DType::f32, t.mc * t.kc, BufferScope::local);
  const BufferId bp = scratch(b, "b_panels", DType::f32, t.nc * t.kc, BufferScope::local);
  const BufferId acc = scratch(b, "acc", DType::f32, t.mr * t.nr, BufferScope::registers,
                               static_cast<uint32_t>(t.nr));
  const auto zero = [&] { return b.constant(DType::f32, 0); };

  b.phase(ceil_div(m, t.mc), [&](Expr ic) {
    b.loop(kSerial, ceil_div(n, t.nc), [&](Expr jc) {
      b.loop(kSerial, ceil_div(k, t.kc), [&](Expr pc) {
        const Expr depth = min(t.kc, k - t.kc * pc);
        b.loop(kSerial, t.nc / t.nr, [&](Expr jr) {
          b.loop(kSerial, depth, [&](Expr kk) {
            b.loop(kVector, t.nr, [&](Expr l) {
              const Expr column = t.nc * jc + t.nr * jr + l, to = (t.kc * jr + kk) * t.nr + l;
              b.store(bp, to, zero());
              b.when(less(b, column, n),
                     [&] { b.store(bp, to, b.load(bm, (t.kc * pc + kk) * n + column)); });
            });
          });
        });
        b.loop(kSerial, t.mc / t.mr, [&](Expr ir) {
          b.loop(kSerial, depth, [&](Expr kk) {
            b.loop(kUnrolled, t.mr, [&](Expr u) {
              const Expr row = t.mc * ic + t.mr * ir + u, to = (t.kc * ir + kk) * t.mr + u;
              b.store(ap, to, zero());
              b.when(less(b, row, m),
                     [&] { b.store(ap, to, b.load(a, row * k + t.kc * pc + kk)); });
            });
          });
        });
        b.loop(kSerial, t.nc / t.nr, [&](Expr jr) {
          b.loop(kSerial, t.mc / t.mr, [&](Expr ir) {
            const auto for_tile = [&](const std::function<void(Expr, Expr, Expr)>& body) {
              b.loop(kUnrolled, t.mr, [&](Expr u) {
                b.loop(kVector, t.nr, [&](Expr l) {
                  body(t.mc * ic + t.mr * ir + u, t.nc * jc + t.nr * jr + l, t.nr * u + l);
                });
              });
            };
            const auto inside = [&](Expr row, Expr column) {
              return b.binary(Op::bit_and, less(b, row, m), less(b, column, n));
            };
            for_tile([&](Expr row, Expr column, Expr element) {
              b.store(acc, element, zero());
              const ValueId is_later = b.binary(Op::le, b.index(1), b.index(pc));
              b.when(b.binary(Op::bit_and, inside(row, column), is_later),
                     [&] { b.store(acc, element, b.load(c, row * n + column)); });
            });
            b.loop(kSerial, depth, [&](Expr kk) {
              b.loop(kUnrolled, t.mr, [&](Expr u) {
                b.loop(kVector, t.nr, [&](Expr l) {
                  const ValueId left = b.load(ap, (t.kc * ir + kk) * t.mr + u);
                  const ValueId right = b.load(bp, (t.kc * jr + kk) * t.nr + l);
                  const Expr element = t.nr * u + l;
                  b.store(acc, element, b.fma(left, right, b.load(acc, element)));
                });
              });
            });
            for_tile([&](Expr row, Expr column, Expr element) {
              b.when(inside(row, column),
                     [&] { b.store(c, row * n + column, b.load(acc, element)); });
            });
          });
        });
      });
    });
  });
  return kernel;
}

Kernel philox(int64_t width) {
  Kernel kernel;
  kernel.name = fmt::format("philox_{}", width);
  Builder b(kernel);
  const Expr n = size_symbol(kernel, "n");
  const BufferId key = parameter(b, "key", DType::u32, 2, Access::read);
  const BufferId out = parameter(b, "out", DType::u32, 4 * n, Access::write);
  const auto u32 = [&](uint32_t value) {
    return b.constant(Scalar(DType::u32, static_cast<int64_t>(value)));
  };
  b.phase(ceil_div(n, width), [&](Expr p) {
    ValueId k0 = b.load(key, 0), k1 = b.load(key, 1);
    b.loop(kVector, width, [&](Expr l) {
      const Expr counter = width * p + l;
      ValueId c[4] = {b.cast(DType::u32, b.index(counter)), u32(0), u32(0), u32(0)};
      for (int round = 0; round < 10; ++round) {
        const ValueId m0 = u32(0xD2511F53), m1 = u32(0xCD9E8D57);
        const ValueId hi0 = b.binary(Op::mul_high, m0, c[0]), lo0 = b.mul(m0, c[0]);
        const ValueId hi1 = b.binary(Op::mul_high, m1, c[2]), lo1 = b.mul(m1, c[2]);
        c[0] = b.binary(Op::bit_xor, b.binary(Op::bit_xor, hi1, c[1]), k0);
        c[1] = lo1;
        c[2] = b.binary(Op::bit_xor, b.binary(Op::bit_xor, hi0, c[3]), k1);
        c[3] = lo0;
        if (round == 9) break;
        k0 = b.add(k0, u32(0x9E3779B9));
        k1 = b.add(k1, u32(0xBB67AE85));
      }
      b.when(less(b, counter, n), [&] {
        for (int64_t word = 0; word < 4; ++word) b.store(out, 4 * counter + word, c[word]);
      });
    });
  });
  return kernel;
}

namespace {

// index[i] as a variable in [0, rows); `outside` tells whether it was not, and then it is 0.
struct GuardedIndex {
  ValueId raw, outside;
};
GuardedIndex load_index(Builder& b, BufferId index, Expr i, Expr rows) {
  const ValueId raw = b.cast(DType::i64, b.load(index, i));
  const ValueId below = b.binary(Op::lt, raw, b.constant(Scalar(DType::i64, 0)));
  const ValueId above = b.binary(Op::le, b.index(rows), raw);
  return {raw, b.binary(Op::bit_or, below, above)};
}

}  // namespace

Kernel gather_rows(int64_t columns) {
  Kernel kernel;
  kernel.name = fmt::format("gather_rows_{}", columns);
  Builder b(kernel);
  const Expr n = size_symbol(kernel, "n"), rows = size_symbol(kernel, "rows");
  const BufferId table = parameter(b, "table", DType::f32, rows * columns, Access::read);
  const BufferId index = parameter(b, "index", DType::i32, n, Access::read);
  const BufferId y = parameter(b, "y", DType::f32, n * columns, Access::write);
  kernel.sites.push_back({"gather", 0, rows});
  b.phase(n, [&](Expr i) {
    const GuardedIndex g = load_index(b, index, i, rows);
    b.report(g.outside, g.raw, 0, i);
    b.loop(kSerial, columns,
           [&](Expr c) { b.store(y, columns * i + c, b.constant(DType::f32, 0)); });
    b.when(b.unary(Op::bit_not, g.outside), [&] {
      const Expr row = b.bind(g.raw, rows);
      b.loop(kSerial, columns,
             [&](Expr c) { b.store(y, columns * i + c, b.load(table, columns * row + c)); });
    });
  });
  return kernel;
}

Kernel scatter_add_rows(int64_t columns) {
  Kernel kernel;
  kernel.name = fmt::format("scatter_add_rows_{}", columns);
  Builder b(kernel);
  const Expr n = size_symbol(kernel, "n"), rows = size_symbol(kernel, "rows");
  const BufferId x = parameter(b, "x", DType::f32, n * columns, Access::read);
  const BufferId index = parameter(b, "index", DType::i64, n, Access::read);
  const BufferId table = parameter(b, "table", DType::f32, rows * columns, Access::read_write);
  // Each iteration owns 8 columns, so the order of i is kept and nothing races.
  b.phase(ceil_div(columns, 8), [&](Expr p) {
    b.loop(kSerial, n, [&](Expr i) {
      const GuardedIndex g = load_index(b, index, i, rows);
      b.when(b.unary(Op::bit_not, g.outside), [&] {
        const Expr row = b.bind(g.raw, rows);
        b.loop(kVector, 8, [&](Expr l) {
          const Expr c = 8 * p + l;
          b.when(less(b, c, columns), [&] {
            const ValueId sum = b.add(b.load(table, columns * row + c), b.load(x, columns * i + c));
            b.store(table, columns * row + c, sum);
          });
        });
      });
    });
  });
  return kernel;
}

Kernel transpose_tiles() {
  Kernel kernel;
  kernel.name = "transpose_tiles";
  Builder b(kernel);
  const Expr rows = size_symbol(kernel, "a"), columns = size_symbol(kernel, "b");
  const BufferId x = parameter(b, "x", DType::f32, 64 * rows * columns, Access::read);
  const BufferId y = parameter(b, "y", DType::f32, 64 * rows * columns, Access::write);
  const BufferId tile = scratch(b, "tile", DType::f32, 64, BufferScope::registers, 8);
  b.phase(rows, [&](Expr i) {
    b.loop(kSerial, columns, [&](Expr j) {
      b.loop(kUnrolled, 8, [&](Expr u) {
        b.loop(kVector, 8, [&](Expr l) {
          b.store(tile, 8 * u + l, b.load(x, (8 * i + u) * (8 * columns) + 8 * j + l));
        });
      });
      b.transpose(tile);
      b.loop(kUnrolled, 8, [&](Expr u) {
        b.loop(kVector, 8, [&](Expr l) {
          b.store(y, (8 * j + u) * (8 * rows) + 8 * i + l, b.load(tile, 8 * u + l));
        });
      });
    });
  });
  return kernel;
}

Kernel two_phase_sum() {
  Kernel kernel;
  kernel.name = "two_phase_sum";
  Builder b(kernel);
  const Expr n = size_symbol(kernel, "n");
  const Expr chunks = ceil_div(n, 64);
  const BufferId x = parameter(b, "x", DType::bf16, n, Access::read);
  const BufferId y = parameter(b, "y", DType::f32, 1, Access::write);
  const BufferId partial = scratch(b, "partial", DType::f32, chunks, BufferScope::workspace);
  const BufferId acc = scratch(b, "acc", DType::f32, 1, BufferScope::registers);
  const auto accumulate = [&](ValueId v) { b.store(acc, 0, b.add(b.load(acc, 0), v)); };
  b.phase(chunks, [&](Expr p) {
    b.store(acc, 0, b.constant(DType::f32, 0));
    b.loop(kSerial, min(64, n - 64 * p),
           [&](Expr s) { accumulate(b.cast(DType::f32, b.load(x, 64 * p + s))); });
    b.store(partial, p, b.load(acc, 0));
  });
  b.phase(1, [&](Expr) {
    b.store(acc, 0, b.constant(DType::f32, 0));
    b.loop(kSerial, chunks, [&](Expr p) { accumulate(b.load(partial, p)); });
    b.store(y, 0, b.load(acc, 0));
  });
  return kernel;
}

}  // namespace plait::testing
