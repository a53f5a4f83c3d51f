#include "jit/lower/tiling.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plait::lower {
namespace {

// Enough tasks to balance threads of unequal speed, few enough to keep blocks large.
constexpr double kTasks = 8;

double padded(double extent, double step) { return std::ceil(extent / step) * step; }

struct Tile {
  int64_t rows, vectors;
};

// The work of a tile including padding, in fused multiply-adds of a vector, with what limits it
// when there are too few accumulators to hide the latency, or too many loads.
double tile_cost(const Tile& tile, int64_t lanes, double m, double n) {
  const double rows = static_cast<double>(tile.rows);
  const double vectors = static_cast<double>(tile.vectors);
  const double work = padded(m, rows) * padded(n, vectors * static_cast<double>(lanes));
  constexpr double kChains = 8;  // latency 4, two units
  const double latency = std::max(1.0, kChains / (rows * vectors));
  const double loads = std::max(1.0, (rows + vectors) / (rows * vectors));
  return work * std::max(latency, loads) * (1 + 0.3 * (rows + vectors) / (rows * vectors));
}

// rows*vectors accumulators, the smaller operand in registers, and one more for the other.
bool fits(const Tile& tile, int64_t registers) {
  const int64_t held = std::min(tile.rows, tile.vectors);
  return tile.rows * tile.vectors + held + 1 <= registers;
}

Tile choose_tile(const Target& target, int64_t lanes, double m, double n, bool left_direct) {
  // One address register a row; x86-64 has about nine to spare.
  const int64_t most_rows = left_direct ? 8 : 14;
  const auto registers = static_cast<int64_t>(target.vector_registers);
  Tile best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t rows = 1; rows <= std::min<double>(static_cast<double>(most_rows), m); ++rows) {
    for (int64_t vectors = 1; vectors <= 8; ++vectors) {
      const Tile tile{rows, vectors};
      if (!fits(tile, registers)) break;
      const double cost = tile_cost(tile, lanes, m, n);
      if (cost < least) {
        least = cost;
        best = tile;
      }
    }
  }
  return best;
}

}  // namespace

Tiling choose_tiling(const Target& target, DType dtype, double batch, double m, double n, double k,
                     bool left_direct) {
  const auto size = static_cast<int64_t>(dtype_size(dtype));
  const int64_t lanes = std::max<int64_t>(1, target.vector_bytes / size);
  m = std::max(m, 1.0);
  n = std::max(n, 1.0);
  k = std::max(k, 1.0);
  const Tile tile = choose_tile(target, lanes, m, n, left_direct);
  Tiling result{lanes, tile.rows, tile.vectors, 0, 0, 0, 0, false};
  const auto rows = static_cast<double>(tile.rows);
  const double row_tiles = std::ceil(m / rows);
  const double panels = std::ceil(n / static_cast<double>(result.columns()));

  // A panel's block stays in a sixteenth of L2, the left operand's in a quarter.
  const auto l2 = static_cast<double>(target.l2_bytes);
  const double k_bytes = static_cast<double>(result.columns() * size);
  result.block_k = static_cast<int64_t>(std::max(64.0, std::floor(l2 / 16 / k_bytes)));
  const double k_here = std::min(k, static_cast<double>(result.block_k));
  const double l2_rows = l2 / 4 / (k_here * static_cast<double>(size));
  const double most_tiles = std::max(1.0, std::floor(l2_rows / rows));
  const double wanted_blocks = std::min(row_tiles, std::max(1.0, kTasks / batch));
  const double tiles = std::min(most_tiles, std::ceil(row_tiles / wanted_blocks));
  result.block_rows = static_cast<int64_t>(tiles) * tile.rows;
  const double blocks = std::ceil(row_tiles / tiles);

  const double wanted_groups =
      std::min(panels, std::max(1.0, std::floor(kTasks / (batch * blocks))));
  result.group_panels = static_cast<int64_t>(std::ceil(panels / wanted_groups));
  constexpr int64_t kChunk = 8;
  result.chunk_panels = std::min(result.group_panels, kChunk);
  result.pack_per_task = blocks == 1;
  return result;
}

}  // namespace plait::lower
