// One tile of a product over a part of k: in vector registers, or in matrix registers.
#pragma once

#include <functional>

#include "jit/lower/tiling.h"
#include "jit/lower/values.h"

namespace plait::lower {

// A block of a leaf of k.
struct KPart {
  Expr leaf, block;
  Expr start, length;
};

// Where a tile lies in the result, and its sums in memory.
struct TilePlace {
  Expr tile, packed_right;  // in its task; where its panel's part lies
  Expr row, column;
  Expr slot;
};

// rows * vectors accumulators (by dot products, three times as many). The smaller operand is held;
// the other streams.
class VectorTile {
 public:
  using LeftElement = std::function<ValueId(const TilePlace&, const KPart&, Expr row, Expr step)>;
  // One vector of the right operand to the registers that hold it.
  using HoldRight = std::function<void(const TilePlace&, const KPart&, Expr step, Expr vector,
                                       Expr lane, BufferId held, Expr to)>;
  VectorTile(Values& values, DType dtype, const Tiling& tiling, LeftElement left, HoldRight right);

  // One chain along the part: a leaf's first block starts at zero, the others where the block
  // before stopped, at `slot` of the tiles that wait. It ends in registers.
  void multiply(const TilePlace& place, const KPart& part, BufferId waiting);
  // In the order of pairs (core/reduction_order.h): the chains of a block's even and odd steps, one
  // after the other, and their sum onto the one at `slot` of `sums`.
  void multiply_pairs(const TilePlace& place, const KPart& part, BufferId sums);
  // The same by dot products, both chains at once: steps are pairs of PairOrder::chains, blocks are
  // padded, sums stay in registers until the part ends.
  void multiply_dots(const TilePlace& place, const KPart& part, BufferId sums);

  // Element `at` of the tile, row by row, for each of its vectors.
  void each_accumulator(const std::function<void(Expr at)>& body);
  void each_vector(const std::function<void(Expr vector, Expr lane)>& body);
  Expr register_at(Expr row, Expr vector, Expr lane) const;
  BufferId accumulators() const { return accumulators_; }

 private:
  void step(const TilePlace& place, const KPart& part, Expr step, BufferId accumulators);
  ValueId multiply_add(ValueId a, ValueId b, ValueId c);
  ValueId zero() { return builder_.constant(Scalar(dtype_, int64_t{0})); }

  Values& values_;
  kernel::Builder& builder_;
  DType dtype_;
  const Tiling& tiling_;
  LeftElement left_;
  HoldRight right_;
  BufferId accumulators_, held_;
  BufferId odd_ = 0, sums_ = 0;  // for dot products; even steps' are accumulators_
};

// Pairs of bf16, whole blocks of them packed. Sums lie in memory between parts of k.
class MatrixTile {
 public:
  // `steps`: of k, that a panel has room for. Rows of sums are `pitch` apart.
  MatrixTile(Values& values, const Tiling& tiling, int64_t steps, int64_t pitch);

  // Packed: each panel of 16 rows a tile a block; panels of columns [pair][column].
  void multiply(const TilePlace& place, const KPart& part, BufferId left, BufferId right,
                BufferId sums);
  // Up to 16 rows of bf16 from `from`, `pitch` apart, to tiles one after the other, with zeros past
  // their ends: the packing of what lies so in memory. `left`: elements up to the end of a row.
  void pack(kernel::Place from, Expr pitch, Expr rows, Expr length, Expr left, kernel::Place to);
  void pack_zeros(Expr length, kernel::Place to);

 private:
  int64_t down() const { return tiling_.rows / kernel::kTileRows; }

  Values& values_;
  kernel::Builder& builder_;
  const Tiling& tiling_;
  int64_t steps_, pitch_;
  BufferId sums_, left_, right_;
};

}  // namespace plait::lower
