// Packing a contraction's factor as pairs of bf16 along k, as matrix registers and dot products
// take them. What another packing lays out as f32 panels, a few steps at a time, is narrowed: every
// element is a bf16 number.
#pragma once

#include <functional>

#include "jit/lower/plain_packing.h"

namespace plait::lower {

// Which steps of a block of k (core/reduction_order.h) a pair has, the first in the lower half.
enum class PairOrder : uint8_t {
  neighbours,  // an even one and the odd one after it
  chains,      // two of one chain, the later first; the pairs of even steps, then those of odd ones
};

class PairPacking {
 public:
  // Packs f32 panels of `width` elements a step, one every `panel` elements of the buffer.
  using Panels = std::function<void(const PackPlace& place, Expr panel)>;
  PairPacking(Values& values, PairOrder order, int64_t width, Panels panels);

  // Panels of [pair][width], one every `panel` elements. Past the end of k there are zeros, up to
  // a whole block of pairs.
  void pack_columns(const PackPlace& place, Expr panel);
  // Each block of pairs of a panel's `width` rows as a tile, one panel every `panel` elements.
  void pack_tiles(const PackPlace& place, Expr panel);

 private:
  // `panel` of the result is panel `staged` of the stage.
  using Store = std::function<void(Expr panel, Expr staged, Expr block)>;
  void each_block(const PackPlace& place, const Store& store);
  ValueId pair(Expr staged, Expr pair, Expr column);

  Values& values_;
  kernel::Builder& builder_;
  PairOrder order_;
  int64_t width_;
  Panels panels_;
  BufferId stage_;
};

}  // namespace plait::lower
