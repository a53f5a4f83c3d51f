#include "jit/lower/tiling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/reduction_order.h"
#include "jit/kernel/kir.h"

namespace plait::lower {
namespace {

// Costs are in fused multiply-adds of a vector; a core does two a cycle. Fitted to the times of
// 2,400 tilings of 16 products, f32 with AVX-512, and rounded.
constexpr double kStreamVector = 12;     // read from beyond L2
constexpr double kStreamNearVector = 2;  // read from L2
constexpr double kPackVector = 16;       // read from beyond L2, and stored to L2
constexpr double kPackNearVector = 8;    // read from L2, and stored to L2
constexpr double kFarVector = 56;        // stored to and read from beyond L2
constexpr double kSpillVector = 2;       // to L2 and back
constexpr double kSpillFarVector = 10;   // to beyond L2 and back
constexpr double kPageStart = 80;        // a part of a row where it lies on a page of its own
constexpr double kPageNearStart = 8;     // the same in L2
constexpr double kTransposed = 1.5;      // packing across the vectors, to packing along them
constexpr double kTileStart = 30;        // filling and emptying the registers, a branch
constexpr double kTaskStart = 1000;      // about 200 ns
constexpr double kBarrier = 40000;

// From some 200 tilings of 12 products of few rows: what packing from beyond L2 costs, to the
// above, where all that a task packs at once takes a quarter of L1; and of how many columns, each a
// stream where they are transposed, so that the hardware follows.
constexpr double kPackToL1 = 0.6;
constexpr int64_t kMostStreams = 48;

// What differs in matrix registers: from their rate (a vector's multiply-add takes a sixteenth) and
// some thirty tilings of eight products, not fitted.
constexpr double kTileMultiply = 0.08;  // instead of 1
constexpr double kFarTile = 1.8;        // times so much where the panel is read from L2
constexpr double kTileSpill = 3;        // of sums, to what others cost
constexpr double kHalfBytes = 0.5;      // of packing pairs once for all, to what others cost

// A dot product of pairs is two multiply-adds in the time of one.
constexpr double kDotMultiply = 0.5;

// A row of the right operand costs a page; so many are streams that prefetching follows.
constexpr double kDirectSteps = 32;

// Fewer rows or columns leave most of a matrix register empty, and do not repay packing pairs.
constexpr double kLeastPairSide = 9;

// One address register a row; x86-64 has about nine to spare.
constexpr int64_t kMostDirectRows = 8;
constexpr int64_t kMostRows = 14;
constexpr int64_t kMostVectors = 8;

// What of a cache holds what a task reads again and again. All it keeps may be more than L2: tiles
// that wait are streams.
constexpr double kUsable = 0.75;
constexpr double kMostOfL2 = 1.5;

// Blocks are searched up to so many tiles a side, and leaves in up to so many parts.
constexpr double kMostBlock = 512;
constexpr int64_t kMostParts = 12;

double padded(double extent, double step) { return std::ceil(extent / step) * step; }

struct Tile {
  int64_t rows, vectors;
};

// How much longer a tile takes than its multiply-adds: too few accumulators to hide the latency,
// too many loads, and what else grows with the loads for each multiply-add.
double slowdown(const Tile& tile) {
  const auto rows = static_cast<double>(tile.rows), vectors = static_cast<double>(tile.vectors);
  constexpr double kChains = 8;  // latency 4, two units
  const double latency = std::max(1.0, kChains / (rows * vectors));
  const double loads = std::max(1.0, (rows + vectors) / (rows * vectors));
  return std::max(latency, loads) * (1 + 0.45 / vectors + 0.6 / rows);
}

// `sums` registers for each vector of the tile, the smaller operand, and one more for the other.
bool fits(const Tile& tile, int64_t sums, int64_t registers) {
  const int64_t held = std::min(tile.rows, tile.vectors);
  return sums * tile.rows * tile.vectors + held + 1 <= registers;
}

// Those that may turn out best, whatever the blocks: the fastest, padding included, and their like.
std::vector<Tile> promising_tiles(const Target& target, int64_t lanes, double m, double n,
                                  int64_t most_rows, int64_t most_vectors, int64_t sums) {
  constexpr double kAlike = 1.06;
  constexpr size_t kMostTiles = 4;
  std::vector<std::pair<double, Tile>> tiles;
  for (int64_t rows = 1; rows <= std::min<double>(static_cast<double>(most_rows), m); ++rows) {
    for (int64_t vectors = 1; vectors <= most_vectors; ++vectors) {
      const Tile tile{rows, vectors};
      if (sums > 1 && kernel::kTileRows % rows != 0) continue;  // panels hold whole tiles
      if (!fits(tile, sums, static_cast<int64_t>(target.vector_registers))) break;
      const double work = padded(m, static_cast<double>(rows)) *
                          padded(n, static_cast<double>(vectors * lanes)) * slowdown(tile);
      tiles.emplace_back(work, tile);
    }
  }
  std::stable_sort(tiles.begin(), tiles.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Tile> result;
  for (const auto& [work, tile] : tiles) {
    if (result.size() == kMostTiles || work > kAlike * tiles.front().first) break;
    result.push_back(tile);
  }
  return result;
}

class BlockSearch {
 public:
  BlockSearch(const Target& target, int64_t size, const ProductShape& shape, const Tiling& tiling)
      : shape_(shape),
        size_(static_cast<double>(size)),
        lanes_(static_cast<double>(tiling.vector)),
        l1_(static_cast<double>(target.l1_bytes)),
        l2_(static_cast<double>(target.l2_bytes)),
        cpus_(static_cast<double>(target.cpus)),
        tiling_(tiling) {
    row_tiles_ = std::ceil(shape.m / static_cast<double>(tiling.rows));
    panels_ = std::ceil(shape.n / static_cast<double>(tiling.columns()));
  }

  void run() {
    search_operands();
    if (!may_split_leaves()) return;
    tiling_.split_leaves = true;
    search_operands();
  }

  double cost() const { return least_; }
  const Tiling& best() const { return best_; }

 private:
  // Where there are no more sums of leaves, padding aside, than elements of the factors.
  bool may_split_leaves() const {
    return shape_.many_leaves && shape_.leaf < shape_.k &&
           leaves() * shape_.m * shape_.n <= shape_.k * (shape_.m + shape_.n);
  }

  void search_operands() {
    if (shape_.right_readable && row_tiles_ == 1 && !tiling_.packs_pairs()) {
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
      const double row = static_cast<double>(tiling_.columns()) * size_;
      search_blocks(std::max(1.0, std::floor(panel_room() / (row * lanes_))) * lanes_);
    }
  }

  void search_blocks(double block_k) {
    if (shape_.pairs) {
      block_k = padded(block_k, kPairBlock);
    } else if (shape_.right_transposed) {
      block_k = padded(block_k, lanes_);  // whole vectors are transposed
    }
    tiling_.block_k = static_cast<int64_t>(std::min(block_k, shape_.leaf));
    const std::vector<int64_t> tiles = equal_blocks(row_tiles_), panels = equal_blocks(panels_);
    const int64_t in_panel = tiling_.dots ? kernel::kTileRows / tiling_.rows : 1;
    for (const int64_t any_tiles : tiles) {
      const int64_t block_tiles = (any_tiles + in_panel - 1) / in_panel * in_panel;
      for (const int64_t block_panels : panels) {
        tiling_.block_tiles = block_tiles;
        tiling_.block_panels = block_panels;
        const double down = std::ceil(row_tiles_ / static_cast<double>(block_tiles));
        const double across = std::ceil(panels_ / static_cast<double>(block_panels));
        const bool is_least = any_tiles * block_panels == 1;
        if (!is_least && working_bytes() + waiting_bytes() > kMostOfL2 * l2_) continue;
        const double tasks = shape_.batch * down * across * (tiling_.split_leaves ? leaves() : 1);
        const double cost = task_cost() * rounds(tasks) + preparation_cost() + leaves_cost();
        if (cost < least_) {
          least_ = cost;
          best_ = tiling_;
        }
      }
    }
  }

  // Sizes of blocks when `count` is cut into equal ones, never full ones and a rest: from
  // kMostBlock down, each a little smaller.
  static std::vector<int64_t> equal_blocks(double count) {
    std::vector<int64_t> sizes;
    double cuts = std::ceil(count / kMostBlock);
    while (true) {
      const double size = std::ceil(count / cuts);
      sizes.push_back(static_cast<int64_t>(size));
      if (size <= 1) return sizes;
      cuts = std::ceil(std::max(count / (size - 1), 1.15 * cuts));
    }
  }

  // Rows of packed tiles are as many as the lanes of a vector, or a half, a quarter … of it.
  double packed_rows() const {
    const auto padded_rows =
        static_cast<double>(std::bit_ceil(static_cast<uint64_t>(tiling_.rows)));
    return padded_rows * static_cast<double>(tiling_.block_tiles);
  }

  double block_k() const { return static_cast<double>(tiling_.block_k); }
  double leaves() const { return std::ceil(shape_.k / shape_.leaf); }
  // What a task goes through.
  double steps() const { return tiling_.split_leaves ? shape_.leaf : shape_.k; }
  double parts() const {
    return std::ceil(shape_.leaf / block_k()) * std::ceil(steps() / shape_.leaf);
  }
  double rows() const { return static_cast<double>(tiling_.block_rows()); }
  double vectors() const { return static_cast<double>(tiling_.block_panels * tiling_.vectors); }
  double panel_bytes() const { return block_k() * static_cast<double>(tiling_.columns()) * size_; }

  // Of L1, for what is packed and read at once.
  double panel_room() const { return l1_ / 4; }

  // What a task reads again and again: a part of each operand.
  double working_bytes() const {
    const double left = tiling_.left_direct ? rows() : packed_rows();
    double total = block_k() * left * size_;
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
    return total;
  }

  // Tiles that wait for the next part.
  double waiting_bytes() const {
    const double waiting = parts() == 1 ? 0 : shape_.leaf < steps() ? 2 : 1;
    return waiting * rows() * vectors() * lanes_ * size_;
  }

  double task_cost() const {
    double multiply = rows() * vectors() * steps() * multiply_cost();
    // Each tile reads its panel from L1, or all of it from L2.
    if (panel_bytes() > kUsable * l1_) {
      multiply *= tiling_.tiles ? kFarTile : 1 + 0.35 / static_cast<double>(tiling_.rows);
    }
    const double excess = working_bytes() / (kUsable * l2_);
    if (excess > 1) multiply *= std::pow(excess, 0.1);
    const bool packs_right = tiling_.right == RightOperand::task;
    const double right =
        vectors() * steps() * (packs_right ? pack_right_vector() : stream_vector(shape_.n));
    const double left =
        tiling_.left_direct
            ? rows() / lanes_ * steps() * stream_vector(shape_.m) + rows() * parts() * row_start()
            : packed_rows() / lanes_ * steps() * pack_vector(shape_.m);
    const bool waits_near = working_bytes() + waiting_bytes() < kUsable * l2_;
    const double spill = (parts() - 1) * rows() * vectors() *
                         (waits_near ? kSpillVector : kSpillFarVector) *
                         (tiling_.tiles ? kTileSpill : 1);
    const double tiles = static_cast<double>(tiling_.block_tiles * tiling_.block_panels);
    return kTaskStart + multiply + right + left + spill + tiles * parts() * kTileStart;
  }

  double multiply_cost() const {
    if (tiling_.tiles) return kTileMultiply;
    const double cost = slowdown({tiling_.rows, tiling_.vectors});
    return tiling_.dots ? kDotMultiply * cost : cost;
  }

  // An operand that fits half of L2 is there when the second task reads it.
  bool is_near(double extent) const {
    return extent * shape_.k * size_ * shape_.batch < kUsable / 2 * l2_;
  }
  double pack_vector(double extent) const {
    return is_near(extent) ? kPackNearVector : kPackVector;
  }
  double pack_right_vector() const {
    const double cost = pack_vector(shape_.n) * (shape_.right_readable ? 1 : kTransposed);
    const auto panels = static_cast<double>(tiling_.block_panels);
    const bool stays_in_l1 = panels * panel_bytes() <= panel_room();
    // Windows that are packed along n were not measured.
    const bool few_streams =
        shape_.right_readable ||
        (shape_.right_transposed && tiling_.block_panels * tiling_.columns() <= kMostStreams);
    const bool is_cheap =
        stays_in_l1 && few_streams && !tiling_.packs_pairs() && !is_near(shape_.n);
    return is_cheap ? kPackToL1 * cost : cost;
  }
  double stream_vector(double extent) const {
    return is_near(extent) ? kStreamNearVector : kStreamVector;
  }

  double row_start() const {
    constexpr double kPage = 4096;
    const double pages = std::min(1.0, shape_.k * size_ / kPage);
    return pages * (is_near(shape_.m) ? kPageNearStart : kPageStart);
  }

  double preparation_cost() const {
    if (tiling_.right != RightOperand::shared) return 0;
    const double all = panels_ * static_cast<double>(tiling_.vectors) * shape_.k * shape_.batch;
    return kBarrier + all * kFarVector * (tiling_.packs_pairs() ? kHalfBytes : 1);
  }

  // Sums of leaves to memory and back.
  double leaves_cost() const {
    if (!tiling_.split_leaves) return 0;
    const double tiles = row_tiles_ * panels_ * static_cast<double>(tiling_.rows * tiling_.vectors);
    return kBarrier + shape_.batch * leaves() * tiles * kFarVector;
  }

  // Tasks as they count when what is left of a last round waits.
  double rounds(double tasks) const { return padded(tasks, cpus_); }

  ProductShape shape_;
  double size_, lanes_, l1_, l2_, cpus_;
  double row_tiles_ = 1, panels_ = 1;
  Tiling tiling_;  // under examination
  Tiling best_{};
  double least_ = std::numeric_limits<double>::infinity();
};

}  // namespace

int64_t lanes_of(const Target& target, DType dtype) {
  return std::max<int64_t>(1, target.vector_bytes / static_cast<int64_t>(dtype_size(dtype)));
}

Tiling choose_tiling(const Target& target, DType dtype, const ProductShape& shape) {
  const bool in_pairs = shape.pairs && std::min(shape.m, shape.n) >= kLeastPairSide;
  const bool in_tiles = in_pairs && target.tiles;
  const bool in_dots =
      in_pairs && target.pair_dots && !in_tiles && target.vector_bytes == kernel::kTileRowBytes;
  const bool packs_pairs = in_tiles || in_dots;
  const auto size = static_cast<int64_t>(dtype_size(packs_pairs ? DType::bf16 : dtype));
  const int64_t lanes = lanes_of(target, dtype);
  ProductShape product = shape;
  for (double* extent : {&product.batch, &product.m, &product.n, &product.k, &product.leaf}) {
    *extent = std::max(*extent, 1.0);
  }
  std::vector<BlockSearch> searches;
  auto search = [&](const Tile& tile, bool left_direct) {
    Tiling tiling{lanes, tile.rows, tile.vectors, 1, 1, 1, left_direct, RightOperand::task};
    tiling.tiles = in_tiles;
    tiling.dots = in_dots;
    searches.emplace_back(target, size, product, tiling);
    searches.back().run();
  };
  if (in_tiles) {
    // Of eight registers, two by two or one by three hold sums.
    search(
        shape.m <= kernel::kTileRows ? Tile{kernel::kTileRows, 3} : Tile{2 * kernel::kTileRows, 2},
        false);
    return searches.front().best();
  }
  const int64_t sums = in_dots ? 3 : 1;  // of even steps, of odd ones, of all
  for (const bool left_direct : {false, true}) {
    if (left_direct && (in_dots || !product.left_readable)) continue;
    const int64_t most_rows = left_direct ? kMostDirectRows : kMostRows;
    const bool few_rows = product.m <= static_cast<double>(kMostRows);
    const int64_t most_vectors = few_rows && product.right_transposed
                                     ? std::clamp<int64_t>(kMostStreams / lanes, 1, kMostVectors)
                                     : kMostVectors;
    for (const Tile& tile :
         promising_tiles(target, lanes, product.m, product.n, most_rows, most_vectors, sums)) {
      search(tile, left_direct);
    }
  }
  return std::min_element(
             searches.begin(), searches.end(),
             [](const BlockSearch& a, const BlockSearch& b) { return a.cost() < b.cost(); })
      ->best();
}

}  // namespace plait::lower
