#include "jit/lower/pair_packing.h"

#include <algorithm>

#include "core/error.h"
#include "core/reduction_order.h"

namespace plait::lower {

using kernel::Op;

namespace {

constexpr int64_t kPairs = kPairBlock / 2;
constexpr int64_t kLanes = kernel::kTileRowBytes / 4;

}  // namespace

PairPacking::PairPacking(Values& values, PairOrder order, int64_t width, Panels panels)
    : values_(values),
      builder_(values.builder()),
      order_(order),
      width_(width),
      panels_(std::move(panels)),
      stage_(values.local(DType::f32, kPackedPanels * kPairBlock * width)) {
  PLAIT_INTERNAL_CHECK(width % kLanes == 0, "panels of {} are not whole vectors", width);
}

void PairPacking::each_block(const PackPlace& place, const Store& store) {
  const Expr stage_panel = kPairBlock * width_;
  values_.loop(LoopKind::serial, ceil_div(place.count, kPackedPanels), [&](Expr c) {
    const Expr from = c * kPackedPanels;
    const Expr count = values_.simplified(min(Expr(kPackedPanels), place.count - from));
    values_.loop(LoopKind::serial, ceil_div(place.length, kPairBlock), [&](Expr block) {
      const Expr start = block * kPairBlock;
      const Expr length = values_.simplified(min(Expr(kPairBlock), place.length - start));
      panels_({stage_, 0, values_.simplified(place.first + from), count,
               values_.simplified(place.start + start), length},
              stage_panel);
      values_.loop(LoopKind::serial, count, [&](Expr p) {
        values_.loop(LoopKind::serial, values_.simplified(kPairBlock - length), [&](Expr past) {
          values_.loop(LoopKind::serial, width_ / kLanes, [&](Expr v) {
            values_.loop(LoopKind::vector, kLanes, [&](Expr lane) {
              const Expr at = p * stage_panel + (length + past) * width_ + v * kLanes + lane;
              builder_.store(stage_, values_.simplified(at), builder_.constant(DType::f32, 0));
            });
          });
        });
        store(values_.simplified(from + p), p, block);
      });
    });
  });
}

// Two steps of a column of the stage in one element.
ValueId PairPacking::pair(Expr staged, Expr pair, Expr column) {
  auto bits = [&](Expr step) {
    const Expr at = (staged * kPairBlock + step) * width_ + column;
    return builder_.bitcast(DType::u32, builder_.load(stage_, values_.simplified(at)));
  };
  constexpr int64_t kOfChain = kPairs / 2;
  const Expr in_chain = 4 * mod(pair, kOfChain) + floor_div(pair, kOfChain);
  const bool is_chain = order_ == PairOrder::chains;
  const ValueId lower = bits(is_chain ? in_chain + 2 : 2 * pair);
  const ValueId upper = bits(is_chain ? in_chain : 2 * pair + 1);
  const ValueId sixteen = builder_.constant(Scalar(DType::u32, int64_t{16}));
  return builder_.binary(Op::bit_or, builder_.binary(Op::shift_right, lower, sixteen), upper);
}

void PairPacking::pack_columns(const PackPlace& place, Expr panel) {
  each_block(place, [&](Expr p, Expr staged, Expr block) {
    values_.loop(LoopKind::serial, kPairs, [&](Expr i) {
      values_.loop(LoopKind::unrolled, width_ / kLanes, [&](Expr v) {
        values_.loop(LoopKind::vector, kLanes, [&](Expr lane) {
          const Expr column = v * kLanes + lane;
          const Expr to = place.base + p * panel + (block * kPairs + i) * width_ + column;
          builder_.store(place.to, values_.simplified(to), pair(staged, i, column));
        });
      });
    });
  });
}

void PairPacking::pack_tiles(const PackPlace& place, Expr panel) {
  PLAIT_INTERNAL_CHECK(width_ == kLanes && kPairs == kLanes, "tiles are square");
  const BufferId square = values_.registers(DType::u32, kLanes * kLanes, kLanes);
  auto each = [&](const std::function<void(Expr row, Expr lane)>& body) {
    values_.loop(LoopKind::unrolled, kLanes, [&](Expr row) {
      values_.loop(LoopKind::vector, kLanes, [&](Expr lane) { body(row, lane); });
    });
  };
  each_block(place, [&](Expr p, Expr staged, Expr block) {
    each([&](Expr i, Expr lane) {
      builder_.store(square, values_.simplified(i * kLanes + lane), pair(staged, i, lane));
    });
    builder_.transpose(square);
    each([&](Expr row, Expr lane) {
      const Expr in_tile = row * kLanes + lane;
      const Expr to = place.base + p * panel + block * kernel::kTileElements + in_tile;
      builder_.store(place.to, values_.simplified(to),
                     builder_.load(square, values_.simplified(in_tile)));
    });
  });
}

}  // namespace plait::lower
