#include "jit/lower/product_tiles.h"

#include "core/reduction_order.h"

namespace plait::lower {

namespace {

constexpr int64_t kSide = kernel::kTileRows;
constexpr int64_t kPairs = kPairBlock / 2;

Expr tile_at(int64_t tile) { return tile * kernel::kTileElements; }

}  // namespace

VectorTile::VectorTile(Values& values, DType dtype, const Tiling& tiling, LeftElement left,
                       HoldRight right)
    : values_(values),
      builder_(values.builder()),
      dtype_(dtype),
      tiling_(tiling),
      left_(std::move(left)),
      right_(std::move(right)) {
  const auto lanes = static_cast<uint32_t>(tiling.vector);
  accumulators_ = values.registers(dtype, tiling.rows * tiling.columns(), lanes);
  held_ = values.registers(tiling.dots ? DType::u32 : dtype, tiling.columns(), lanes);
  if (!tiling.dots) return;
  odd_ = values.registers(dtype, tiling.rows * tiling.columns(), lanes);
  sums_ = values.registers(dtype, tiling.rows * tiling.columns(), lanes);
}

Expr VectorTile::register_at(Expr row, Expr vector, Expr lane) const {
  return values_.simplified((row * tiling_.vectors + vector) * tiling_.vector + lane);
}

void VectorTile::each_vector(const std::function<void(Expr vector, Expr lane)>& body) {
  values_.loop(LoopKind::unrolled, tiling_.vectors, [&](Expr j) {
    values_.loop(LoopKind::vector, tiling_.vector, [&](Expr lane) { body(j, lane); });
  });
}

void VectorTile::each_accumulator(const std::function<void(Expr at)>& body) {
  values_.loop(LoopKind::unrolled, tiling_.rows, [&](Expr i) {
    each_vector([&](Expr j, Expr lane) { body(register_at(i, j, lane)); });
  });
}

ValueId VectorTile::multiply_add(ValueId a, ValueId b, ValueId c) {
  if (tiling_.dots) return builder_.pair_dot(a, b, c);
  return is_float(dtype_) ? builder_.fma(a, b, c) : builder_.add(builder_.mul(a, b), c);
}

void VectorTile::multiply(const TilePlace& place, const KPart& part, BufferId waiting) {
  values_.branch_equal(
      part.block, 0,
      [&] { each_accumulator([&](Expr at) { builder_.store(accumulators_, at, zero()); }); },
      [&] {
        each_accumulator([&](Expr at) {
          const Expr from = values_.simplified(place.slot + at);
          builder_.store(accumulators_, at, builder_.load(waiting, from));
        });
      });
  values_.loop(LoopKind::serial, part.length, [&](Expr s) { step(place, part, s, accumulators_); });
}

void VectorTile::step(const TilePlace& place, const KPart& part, Expr step, BufferId accumulators) {
  auto hold = [&](Expr j, Expr lane) {
    right_(place, part, step, j, lane, held_, register_at(Expr(), j, lane));
  };
  auto update = [&](Expr i, Expr j, Expr lane, ValueId a) {
    const Expr at = register_at(i, j, lane);
    const ValueId b = builder_.load(held_, register_at(Expr(), j, lane));
    builder_.store(accumulators, at, multiply_add(a, b, builder_.load(accumulators, at)));
  };
  if (tiling_.rows >= tiling_.vectors) {
    each_vector(hold);
    values_.loop(LoopKind::unrolled, tiling_.rows, [&](Expr i) {
      const ValueId a = left_(place, part, i, step);
      each_vector([&](Expr j, Expr lane) { update(i, j, lane, a); });
    });
    return;
  }
  each_vector([&](Expr j, Expr lane) {
    hold(j, lane);
    for (int64_t i = 0; i < tiling_.rows; ++i) update(i, j, lane, left_(place, part, i, step));
  });
}

void VectorTile::multiply_pairs(const TilePlace& place, const KPart& part, BufferId sums) {
  const BufferId even = values_.local(dtype_, tiling_.rows * tiling_.columns());
  auto in_sums = [&](Expr at) { return values_.simplified(place.slot + at); };
  values_.branch_equal(
      part.block, 0,
      [&] { each_accumulator([&](Expr at) { builder_.store(sums, in_sums(at), zero()); }); },
      [] {});
  values_.flush([&] {
    values_.loop(LoopKind::serial, ceil_div(part.length, kPairBlock), [&](Expr block) {
      const Expr first = block * kPairBlock;
      const Expr length = values_.simplified(min(Expr(kPairBlock), part.length - first));
      auto chain = [&](int64_t half) {
        each_accumulator([&](Expr at) { builder_.store(accumulators_, at, zero()); });
        const Expr steps = values_.simplified(floor_div(length + 1 - half, 2));
        values_.loop(LoopKind::serial, steps, [&](Expr s) {
          step(place, part, values_.simplified(first + 2 * s + half), accumulators_);
        });
        // The zeros past the end of k.
        values_.when_less(steps, kPairs, [&] {
          each_accumulator([&](Expr at) {
            const ValueId sum = builder_.load(accumulators_, at);
            builder_.store(accumulators_, at, builder_.add(sum, zero()));
          });
        });
      };
      chain(0);
      each_accumulator(
          [&](Expr at) { builder_.store(even, at, builder_.load(accumulators_, at)); });
      chain(1);
      each_accumulator([&](Expr at) {
        const ValueId both =
            builder_.add(builder_.load(even, at), builder_.load(accumulators_, at));
        builder_.store(sums, in_sums(at), builder_.add(builder_.load(sums, in_sums(at)), both));
      });
    });
  });
}

void VectorTile::multiply_dots(const TilePlace& place, const KPart& part, BufferId sums) {
  constexpr int64_t kOfChain = kPairs / 2;
  auto in_sums = [&](Expr at) { return values_.simplified(place.slot + at); };
  auto clear = [&](BufferId registers) {
    each_accumulator([&](Expr at) { builder_.store(registers, at, zero()); });
  };
  values_.branch_equal(
      part.block, 0, [&] { clear(sums_); },
      [&] {
        each_accumulator(
            [&](Expr at) { builder_.store(sums_, at, builder_.load(sums, in_sums(at))); });
      });
  values_.flush([&] {
    values_.loop(LoopKind::serial, ceil_div(part.length, kPairBlock), [&](Expr block) {
      clear(accumulators_);
      clear(odd_);
      values_.loop(LoopKind::unrolled, kOfChain, [&](Expr s) {
        step(place, part, values_.simplified(block * kPairs + s), accumulators_);
        step(place, part, values_.simplified(block * kPairs + kOfChain + s), odd_);
      });
      each_accumulator([&](Expr at) {
        const ValueId both =
            builder_.add(builder_.load(accumulators_, at), builder_.load(odd_, at));
        builder_.store(sums_, at, builder_.add(builder_.load(sums_, at), both));
      });
    });
    each_accumulator([&](Expr at) { builder_.store(sums, in_sums(at), builder_.load(sums_, at)); });
  });
}

MatrixTile::MatrixTile(Values& values, const Tiling& tiling, int64_t steps, int64_t pitch)
    : values_(values),
      builder_(values.builder()),
      tiling_(tiling),
      steps_(steps),
      pitch_(pitch),
      sums_(values.tiles(DType::f32, down() * tiling.vectors)),
      left_(values.tiles(DType::u32, down())),
      right_(values.tiles(DType::u32, tiling.vectors)) {}

void MatrixTile::multiply(const TilePlace& place, const KPart& part, BufferId left, BufferId right,
                          BufferId sums) {
  const int64_t width = tiling_.columns();
  auto each = [&](const std::function<void(int64_t i, int64_t j, kernel::Place tile,
                                           kernel::Place memory)>& body) {
    for (int64_t i = 0; i < down(); ++i) {
      for (int64_t j = 0; j < tiling_.vectors; ++j) {
        body(i, j, {sums_, tile_at(i * tiling_.vectors + j)},
             {sums, values_.simplified(place.slot + i * kSide * pitch_ + j * kSide)});
      }
    }
  };
  values_.branch_equal(
      part.block, 0,
      [&] {
        each(
            [&](int64_t, int64_t, kernel::Place tile, kernel::Place) { builder_.tile_zero(tile); });
      },
      [&] {
        each([&](int64_t, int64_t, kernel::Place tile, kernel::Place memory) {
          builder_.tile_load(tile, memory, pitch_, kSide, kSide);
        });
      });
  values_.loop(LoopKind::serial, ceil_div(part.length, kPairBlock), [&](Expr block) {
    for (int64_t i = 0; i < down(); ++i) {
      const Expr panel = (place.tile * down() + i) * (steps_ / 2 * kSide);
      const Expr at = values_.simplified(panel + block * kernel::kTileElements);
      builder_.tile_load({left_, tile_at(i)}, {left, at}, kSide, kSide, kSide);
    }
    for (int64_t j = 0; j < tiling_.vectors; ++j) {
      const Expr at = values_.simplified(place.packed_right + block * (kPairs * width) + j * kSide);
      builder_.tile_load({right_, tile_at(j)}, {right, at}, width, kPairs, kSide);
    }
    each([&](int64_t i, int64_t j, kernel::Place tile, kernel::Place) {
      builder_.tile_dot(tile, {left_, tile_at(i)}, {right_, tile_at(j)});
    });
  });
  each([&](int64_t, int64_t, kernel::Place tile, kernel::Place memory) {
    builder_.tile_store(memory, tile, pitch_);
  });
}

void MatrixTile::pack(kernel::Place from, Expr pitch, Expr rows, Expr length, Expr left,
                      kernel::Place to) {
  const kernel::Place tile{left_, 0};
  values_.loop(LoopKind::serial, ceil_div(length, kPairBlock), [&](Expr block) {
    const Expr k = block * kPairBlock;
    builder_.tile_load(tile, {from.buffer, values_.simplified(from.at + k)}, pitch, rows,
                       values_.simplified(min(Expr(kPairBlock), left - k)));
    const Expr at = values_.simplified(to.at + block * kernel::kTileElements);
    builder_.tile_store({to.buffer, at}, tile, kSide);
  });
}

void MatrixTile::pack_zeros(Expr length, kernel::Place to) {
  const kernel::Place tile{left_, 0};
  builder_.tile_zero(tile);
  values_.loop(LoopKind::serial, ceil_div(length, kPairBlock), [&](Expr block) {
    const Expr at = values_.simplified(to.at + block * kernel::kTileElements);
    builder_.tile_store({to.buffer, at}, tile, kSide);
  });
}

}  // namespace plait::lower
