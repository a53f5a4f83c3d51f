#include "jit/lower/tiling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace plait::lower {
namespace {

// Costs are in fused multiply-adds of a vector; a core does two a cycle.
constexpr double kStreamVector = 4;        // read from beyond L2, with compute beside it
constexpr double kPackVector = 16;         // read from beyond L2, and stored to L2
constexpr double kPackNearVector = 8;      // read from L2, and stored to L2
constexpr double kSharePackedVector = 40;  // read from and stored to beyond L2
constexpr double kSpillVector = 4;         // to L2 and back
constexpr double kTaskStart = 1000;        // about 200 ns
constexpr double kBarrier = 16000;

// A row of the right operand costs a page; so many are streams that prefetching follows.
constexpr double kDirectSteps = 32;

// One address register a row; x86-64 has about nine to spare.
constexpr int64_t kMostDirectRows = 8;
constexpr int64_t kMostRows = 14;
constexpr int64_t kMostVectors = 8;

// Blocks are searched up to this many tiles a side, and leaves in up to so many parts.
constexpr int64_t kMostBlock = 64;
constexpr int64_t kMostParts = 8;

double padded(double extent, double step) { return std::ceil(extent / step) * step; }

struct Tile {
  int64_t rows, vectors;
};

// How much longer a tile takes than its multiply-adds: too few accumulators to hide the latency,
// too many loads, and the panel's vectors, which come from L2.
double slowdown(const Tile& tile) {
  const auto rows = static_cast<double>(tile.rows), vectors = static_cast<double>(tile.vectors);
  constexpr double kChains = 8;  // latency 4, two units
  const double latency = std::max(1.0, kChains / (rows * vectors));
  const double loads = std::max(1.0, (rows + vectors) / (rows * vectors));
  return std::max(latency, loads) * (1 + 0.2 / vectors + 0.8 / rows);
}

// rows*vectors accumulators, the smaller operand in registers, and one more for the other.
bool fits(const Tile& tile, int64_t registers) {
  const int64_t held = std::min(tile.rows, tile.vectors);
  return tile.rows * tile.vectors + held + 1 <= registers;
}

Tile choose_tile(const Target& target, int64_t lanes, double m, double n, int64_t most_rows) {
  const auto registers = static_cast<int64_t>(target.vector_registers);
  Tile best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t rows = 1; rows <= std::min<double>(static_cast<double>(most_rows), m); ++rows) {
    for (int64_t vectors = 1; vectors <= kMostVectors; ++vectors) {
      const Tile tile{rows, vectors};
      if (!fits(tile, registers)) break;
      const double work = padded(m, static_cast<double>(rows)) *
                          padded(n, static_cast<double>(vectors * lanes)) * slowdown(tile);
      if (work < least) {
        least = work;
        best = tile;
      }
    }
  }
  return best;
}

class BlockSearch {
 public:
  BlockSearch(const Target& target, int64_t size, const ProductShape& shape, const Tile& tile,
              int64_t lanes, bool left_direct)
      : shape_(shape),
        size_(static_cast<double>(size)),
        lanes_(static_cast<double>(lanes)),
        l1_(static_cast<double>(target.l1_bytes)),
        capacity_(0.75 * static_cast<double>(target.l2_bytes)) {
    tiling_ = {lanes, tile.rows, tile.vectors, 1, 1, 1, left_direct, RightOperand::task};
    row_tiles_ = std::ceil(shape.m / static_cast<double>(tile.rows));
    panels_ = std::ceil(shape.n / static_cast<double>(tiling_.columns()));
  }

  void run() {
    if (shape_.right_readable && row_tiles_ == 1) {
      tiling_.right = RightOperand::direct;
      search_blocks(kDirectSteps);
      return;
    }
    for (const RightOperand right : {RightOperand::task, RightOperand::shared}) {
      if (right == RightOperand::shared && row_tiles_ == 1) continue;
      tiling_.right = right;
      for (int64_t parts = 1; parts <= kMostParts; ++parts) {
        search_blocks(std::ceil(shape_.leaf / static_cast<double>(parts)));
      }
    }
  }

  double cost() const { return least_; }
  const Tiling& best() const { return best_; }

 private:
  void search_blocks(double block_k) {
    tiling_.block_k = static_cast<int64_t>(std::min(block_k, shape_.leaf));
    const auto limit = [](double count) {
      return static_cast<int64_t>(std::min(count, static_cast<double>(kMostBlock)));
    };
    for (int64_t tiles = 1; tiles <= limit(row_tiles_); ++tiles) {
      for (int64_t panels = 1; panels <= limit(panels_); ++panels) {
        // Equal blocks, never full ones and a rest.
        const double down = std::ceil(row_tiles_ / static_cast<double>(tiles));
        const double across = std::ceil(panels_ / static_cast<double>(panels));
        tiling_.block_tiles = static_cast<int64_t>(std::ceil(row_tiles_ / down));
        tiling_.block_panels = static_cast<int64_t>(std::ceil(panels_ / across));
        const double cost = task_cost() * rounds(shape_.batch * down * across) + preparation_cost();
        if (cost < least_) {
          least_ = cost;
          best_ = tiling_;
        }
      }
    }
  }

  double block_k() const { return static_cast<double>(tiling_.block_k); }
  double parts() const {
    return std::ceil(shape_.leaf / block_k()) * std::ceil(shape_.k / shape_.leaf);
  }
  double rows() const { return static_cast<double>(tiling_.block_rows()); }
  double vectors() const { return static_cast<double>(tiling_.block_panels * tiling_.vectors); }
  double panel_bytes() const { return block_k() * static_cast<double>(tiling_.columns()) * size_; }

  // What a task reads again and again: a part of each operand, and tiles that wait for the next.
  double bytes() const {
    double total = block_k() * rows() * size_;
    switch (tiling_.right) {
      case RightOperand::direct:
        break;
      case RightOperand::task:
        total += panel_bytes() * static_cast<double>(tiling_.block_panels);
        break;
      case RightOperand::shared:
        total += 2 * panel_bytes();
        break;
    }
    const double waiting = parts() == 1 ? 0 : shape_.leaf < shape_.k ? 2 : 1;
    return total + waiting * rows() * vectors() * lanes_ * size_;
  }

  double task_cost() const {
    const Tile tile{tiling_.rows, tiling_.vectors};
    double multiply = rows() * vectors() * shape_.k * slowdown(tile);
    // Each tile reads its panel from L2, or all of it from beyond.
    if (panel_bytes() > 2 * l1_) multiply *= 1 + 0.6 / static_cast<double>(tiling_.rows);
    const double excess = bytes() / capacity_;
    if (excess > 1) multiply *= excess * excess;
    const double right = vectors() * shape_.k;
    const double left = rows() / lanes_ * shape_.k;
    const bool packs_right = tiling_.right == RightOperand::task;
    return kTaskStart + multiply + right * (packs_right ? pack_vector(shape_.n) : kStreamVector) +
           left * (tiling_.left_direct ? kStreamVector : pack_vector(shape_.m)) +
           (parts() - 1) * rows() * vectors() * kSpillVector;
  }

  // An operand that fits L2 is there when the second task packs it.
  double pack_vector(double extent) const {
    const bool near = extent * shape_.k * size_ * shape_.batch < capacity_ / 2;
    return near ? kPackNearVector : kPackVector;
  }

  double preparation_cost() const {
    if (tiling_.right != RightOperand::shared) return 0;
    const double all = panels_ * static_cast<double>(tiling_.vectors) * shape_.k * shape_.batch;
    return kBarrier + all * kSharePackedVector;
  }

  // Tasks as they count for few threads and for many: what is left of a last round waits.
  static double rounds(double tasks) { return (2 * padded(tasks, 2) + padded(tasks, 8)) / 3; }

  ProductShape shape_;
  double size_, lanes_, l1_, capacity_;
  double row_tiles_ = 1, panels_ = 1;
  Tiling tiling_{};  // under examination
  Tiling best_{};
  double least_ = std::numeric_limits<double>::infinity();
};

}  // namespace

int64_t lanes_of(const Target& target, DType dtype) {
  return std::max<int64_t>(1, target.vector_bytes / static_cast<int64_t>(dtype_size(dtype)));
}

Tiling choose_tiling(const Target& target, DType dtype, const ProductShape& shape) {
  const auto size = static_cast<int64_t>(dtype_size(dtype));
  const int64_t lanes = lanes_of(target, dtype);
  ProductShape product = shape;
  for (double* extent : {&product.batch, &product.m, &product.n, &product.k, &product.leaf}) {
    *extent = std::max(*extent, 1.0);
  }
  std::vector<BlockSearch> searches;
  for (const bool left_direct : {false, true}) {
    if (left_direct && !product.left_readable) continue;
    const Tile tile =
        choose_tile(target, lanes, product.m, product.n, left_direct ? kMostDirectRows : kMostRows);
    searches.emplace_back(target, size, product, tile, lanes, left_direct);
    searches.back().run();
  }
  return std::min_element(
             searches.begin(), searches.end(),
             [](const BlockSearch& a, const BlockSearch& b) { return a.cost() < b.cost(); })
      ->best();
}

}  // namespace plait::lower
