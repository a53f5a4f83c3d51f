// Sizes of a contraction's register tile and blocks, by formula from the target.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/target.h"

namespace plait::lower {

struct Tiling {
  int64_t vector;        // lanes of one hardware vector
  int64_t rows;          // of the register tile
  int64_t vectors;       // its columns, in vectors
  int64_t block_rows;    // rows of the left operand that one task takes; a multiple of `rows`
  int64_t group_panels;  // panels of the right operand that one task takes
  int64_t block_k;       // steps of k that a panel runs through before the next tile's turn
  int64_t chunk_panels;  // panels whose tiles wait in memory between blocks and leaves of k
  bool pack_per_task;    // each task packs its panels; else a phase before packs all, once

  int64_t columns() const { return vector * vectors; }  // of a panel
};

// Estimated extents of one product; batch is the number of products. `left_direct`: the left
// operand is read where it lies, through one address register a row.
Tiling choose_tiling(const Target& target, DType dtype, double batch, double m, double n, double k,
                     bool left_direct);

}  // namespace plait::lower
