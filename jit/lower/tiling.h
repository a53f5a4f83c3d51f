// Sizes of a contraction's register tile and blocks, by formula from the target.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/target.h"

namespace plait::lower {

// A product to be cut, with estimates for symbolic extents; `batch` is the number of products.
struct ProductShape {
  double batch, m, n, k;
  double leaf;          // steps of k that are added in one chain
  bool left_readable;   // the left operand lies contiguous along k, nothing to compute
  bool right_readable;  // the right operand lies contiguous along n, at most to be widened
  bool right_transposed = false;  // it lies along k
  bool pairs = false;             // of bf16
  bool many_leaves = true;        // k is longer than a leaf whatever the sizes are
};

// A task takes `block_tiles` by `block_panels` register tiles, and k in parts: a part of each
// operand is packed or found packed, then every tile runs through it.
enum class RightOperand : uint8_t {
  direct,  // read where it lies; one row of tiles reads it
  task,    // packed by each task, part by part
  shared,  // packed once, in a phase before
};

struct Tiling {
  int64_t vector;        // lanes of one hardware vector
  int64_t rows;          // of the register tile
  int64_t vectors;       // its columns, in vectors
  int64_t block_tiles;   // tiles below each other
  int64_t block_panels;  // panels (columns of tiles) beside each other
  int64_t block_k;       // the most steps of k in a part
  bool left_direct;      // the left operand is read where it lies, through one pointer a row
  RightOperand right;
  bool tiles = false;         // in matrix registers
  bool dots = false;          // in vectors, by dot products of pairs of steps
  bool split_leaves = false;  // each leaf is a task of its own; a second phase adds their sums

  bool packs_pairs() const { return tiles || dots; }
  int64_t columns() const { return vector * vectors; }  // of a panel
  int64_t block_rows() const { return rows * block_tiles; }
};

// Lanes of one hardware vector.
int64_t lanes_of(const Target& target, DType dtype);

Tiling choose_tiling(const Target& target, DType dtype, const ProductShape& shape);

}  // namespace plait::lower
