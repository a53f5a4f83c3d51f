// Contractions: packed panels, a register tile, and the epilogue on the tile while it is hot.
#include <algorithm>
#include <bit>

#include "core/error.h"
#include "core/reduction_order.h"
#include "jit/lower/nests.h"
#include "jit/lower/pair_packing.h"
#include "jit/lower/product_end.h"
#include "jit/lower/product_factor.h"
#include "jit/lower/product_tiles.h"
#include "jit/lower/tiling.h"
#include "passes/fusion/roles.h"

namespace plait::lower {
namespace {

// Epilogues of at most this many operations are unrolled over the tile; others loop over it.
constexpr double kUnrolledEpilogue = 6;

// Steps of k that cover the fetching of a tile's results.
constexpr int64_t kLongPart = 64;

class ContractionLowering {
 public:
  explicit ContractionLowering(const NestContext& context)
      : context_(context),
        graph_(context.graph),
        nest_(context.nest),
        contraction_(*context.nest.contraction),
        values_(context.values),
        builder_(context.values.builder()),
        axes_(context.values, context.nest) {}

  void run() {
    values_.set_computed_here(nest_.members);
    prepare();
    allocate();
    if (tiling_.right == RightOperand::shared) pack_shared();
    const Expr leaves = tiling_.split_leaves ? leaves_ : Expr(1);
    values_.phase(values_.simplified(tasks() * leaves), task_cost(), [&](Expr p) {
      if (tiling_.split_leaves) first_slot_ = p * task_elements_, task_leaf_ = mod(p, leaves);
      const Expr t = values_.simplified(floor_div(p, leaves));
      const Expr batch = values_.simplified(floor_div(t, row_blocks_ * column_blocks_));
      axes_.set_batch(batch);
      task(
          batch,
          values_.simplified(mod(floor_div(t, column_blocks_), row_blocks_) * tiling_.block_rows()),
          values_.simplified(mod(t, column_blocks_) * tiling_.block_panels));
    });
    if (tiling_.split_leaves) add_leaves();
  }

 private:
  // ---- preparation

  void prepare() {
    dtype_ = compute_type(graph_.type(contraction_.left).dtype);
    batch_ = axes_.batch.extent;
    k_ = axes_.k.extent;
    auto factor = [&](Value value, const Tuple& tuple, const LoopAxis& own, const LoopAxis& other) {
      return std::make_unique<ProductFactor>(context_, axes_, value, tuple, own, other);
    };
    left_ = factor(contraction_.left, contraction_.left_tuple, axes_.m, axes_.n);
    right_ = factor(contraction_.right, contraction_.right_tuple, axes_.n, axes_.m);
    // The factor with the longer contiguous axis of its own makes the better vector operand; both
    // orders give the same bits, a product commutes.
    if (swaps()) std::swap(left_, right_), std::swap(axes_.m, axes_.n);
    end_.emplace(context_, axes_);
    m_ = axes_.m.extent;
    n_ = axes_.n.extent;
    leaf_ = values_.simplified(contraction_leaf(k_, contraction_.order));
    leaves_ = values_.simplified(max(Expr(1), ceil_div(k_, leaf_)));
    auto estimate = [](Expr e) { return fusion::estimated_elements({e}); };
    // A symbolic leaf has no useful bound of its own.
    leaf_steps_ = std::min(estimate(leaf_), static_cast<double>(kLongestLeaf));
    tiling_ = choose_tiling(
        context_.target, dtype_,
        {.batch = estimate(batch_),
         .m = estimate(m_),
         .n = estimate(n_),
         .k = estimate(k_),
         .leaf = leaf_steps_,
         .left_readable = left_->lies_along_k(),
         .right_readable = right_->lies_along_own(),
         .right_transposed = right_->packs_along_k(),
         .pairs = in_pairs(),
         .many_leaves = prove_less(Expr(kLongestLeaf), k_, values_.ranges()) == true});
    left_in_rows_ = !tiling_.packs_pairs() && left_->digits() && left_->packs_along_k();
    panels_ = values_.simplified(ceil_div(n_, tiling_.columns()));
    row_blocks_ = values_.simplified(ceil_div(m_, tiling_.block_rows()));
    column_blocks_ = values_.simplified(ceil_div(panels_, tiling_.block_panels));
    blocks_ = values_.simplified(max(Expr(1), ceil_div(leaf_, tiling_.block_k)));
    // Equal parts, if the leaf is known.
    block_ = tiling_.block_k;
    if (leaf_.constant()) block_ = *values_.simplified(ceil_div(leaf_, blocks_)).constant();
    fit_block();
    row_pitch_ = (block_ / tiling_.vector + 2) * tiling_.vector;
    in_parts_ = !leaves_.is_constant(1) || !blocks_.is_constant(1);
    // Pairs are summed in memory.
    loops_epilogue_ =
        end_->cost() > kUnrolledEpilogue + 1 || in_parts_ || in_pairs() || end_->cuts_vectors();
    describe();
  }

  void describe() {
    auto right = [&] {
      switch (tiling_.right) {
        case RightOperand::direct:
          return "read where it lies";
        case RightOperand::task:
          return "packed by each task";
        case RightOperand::shared:
          return "packed once for all";
      }
      PLAIT_UNREACHABLE("right operand {}", static_cast<int>(tiling_.right));
    };
    const char* end = tiling_.split_leaves ? "after all leaves, in a phase of its own"
                      : !loops_epilogue_   ? "in registers"
                      : tiling_.tiles      ? "on rows of tiles in L2"
                      : in_parts_          ? "on tiles that waited for all of k"
                                           : "on the tile in L1";
    std::vector<std::string>& steps = context_.result.kernel.schedule;
    steps.push_back(fmt::format("contraction {} x {} x {}, batch {}{}", to_string(m_),
                                to_string(n_), to_string(k_), to_string(batch_),
                                in_pairs() ? ", k in pairs of bf16" : ""));
    steps.push_back(
        fmt::format("split m by {}, n by {}, k by {} in leaves of {}; parallel over m, n{}",
                    tiling_.block_rows(), tiling_.block_panels * tiling_.columns(), block_,
                    to_string(leaf_), tiling_.split_leaves ? " and leaves" : ""));
    steps.push_back(fmt::format("left factor {}, right factor {}",
                                tiling_.left_direct ? "read where it lies" : "packed", right()));
    steps.push_back(fmt::format("tile of {} x {} in {}, vectorise n by {}; end {}", tiling_.rows,
                                tiling_.columns(),
                                tiling_.tiles  ? "matrix registers"
                                : tiling_.dots ? "vector registers by dot products"
                                               : "vector registers",
                                tiling_.vector, end));
  }

  // Parts of k hold whole blocks of pairs; else whole inner digits where leaves do, or whole
  // vectors of a right factor that is transposed.
  void fit_block() {
    auto round_up = [&](int64_t steps) {
      block_ = (block_ + steps - 1) / steps * steps;
      blocks_ = values_.simplified(max(Expr(1), ceil_div(leaf_, block_)));
    };
    if (in_pairs()) return round_up(kPairBlock);
    for (const ProductFactor* factor : {left_.get(), right_.get()}) {
      if (!factor->digits() || factor->packs_along_k()) continue;
      const int64_t inner = factor->digits()->k().inner().constant().value_or(1);
      if (inner == 1 || inner > tiling_.block_k || !is_multiple_of(leaf_, inner)) continue;
      return round_up(inner);
    }
    if (!blocks_.is_constant(1) && right_->packs_along_k()) round_up(tiling_.vector);
  }

  // Whether the factors change sides: lanes run along the axes of the right one. But rather scatter
  // the result than transpose a factor that is much larger.
  bool swaps() const {
    const bool wanted = results_end_left(nest_);
    auto elements = [&](const LoopAxis& axis) { return fusion::estimated_elements({axis.extent}); };
    auto transposed = [&](const ProductFactor& right) {
      const bool transposes = right.digits() && right.packs_along_k();
      return transposes ? fusion::estimated_elements({right.extent()}) * elements(axes_.k) : 0;
    };
    constexpr double kScattered = 4;
    const double kept = transposed(wanted ? *left_ : *right_);
    const double other =
        transposed(wanted ? *right_ : *left_) + kScattered * elements(axes_.m) * elements(axes_.n);
    return other < kept ? !wanted : wanted;
  }

  void allocate() {
    beside_ = tiling_.tiles ? tiling_.block_panels : 1;
    // An odd number of cache lines: rows of a tile lie in different sets.
    pitch_ = beside_ * tiling_.columns() + (beside_ > 1 ? tiling_.vector : 0);
    const int64_t waiting = tiling_.block_tiles * tiling_.block_panels / beside_;
    tile_elements_ = tiling_.rows * pitch_;
    task_elements_ = waiting * tile_elements_;
    if (tiling_.split_leaves) {
      tile_ = values_.workspace(dtype_, values_.simplified(tasks() * leaves_ * task_elements_));
      sum_ = values_.local(dtype_, tile_elements_);
    } else {
      if (loops_epilogue_)
        tile_ = values_.local(dtype_, in_parts_ ? task_elements_ : tile_elements_);
      if (!leaves_.is_constant(1)) sum_ = values_.local(dtype_, task_elements_);
    }
    if (tiling_.tiles) {
      matrix_tile_ = std::make_unique<MatrixTile>(values_, tiling_, block_, pitch_);
    } else {
      vector_tile_ = std::make_unique<VectorTile>(
          values_, dtype_, tiling_, [this](auto&&... at) { return left_element(at...); },
          [this](auto&&... at) { hold_right(at...); });
    }
    if (tiling_.packs_pairs()) return allocate_pairs();
    switch (tiling_.right) {
      case RightOperand::direct:
        break;
      case RightOperand::task:
        packed_right_ = values_.local(dtype_, block_ * tiling_.block_panels * tiling_.columns());
        break;
      case RightOperand::shared:
        packed_right_ = values_.workspace(dtype_, batch_ * panels_ * k_ * tiling_.columns());
        break;
    }
    if (!tiling_.left_direct) {
      const int64_t size = left_in_rows_ ? row_pitch_ * tiling_.block_rows()
                                         : block_ * tiling_.block_tiles * left_width();
      packed_left_ = values_.local(dtype_, size);
    }
  }

  void allocate_pairs() {
    const PairOrder order = tiling_.tiles ? PairOrder::neighbours : PairOrder::chains;
    packed_right_ =
        tiling_.right == RightOperand::task
            ? values_.local(DType::u32, packed_steps() * tiling_.block_panels * tiling_.columns())
            : values_.workspace(DType::u32, batch_ * panels_ * all_pairs() * tiling_.columns());
    right_pairs_.emplace(values_, order, tiling_.columns(),
                         [this](const PackPlace& place, Expr panel) {
                           right_->pack_panels(place, tiling_.columns(), tiling_.columns(), panel);
                         });
    const int64_t left_panels = tiling_.block_rows() / left_step();
    packed_left_ = values_.local(DType::u32, packed_steps() * left_panels * left_width());
    if (tiling_.tiles && left_->lies_in_tiles()) return;
    left_pairs_.emplace(values_, order, left_width(), [this](const PackPlace& place, Expr panel) {
      left_->pack_panels(place, left_step(), left_width(), panel);
    });
  }

  bool in_pairs() const { return contraction_.order == ContractionOrder::pairs; }
  // Of a part of k as it is packed: steps, or pairs of them.
  int64_t packed_steps() const { return tiling_.packs_pairs() ? block_ / 2 : block_; }
  Expr all_pairs() const { return ceil_div(k_, kPairBlock) * (kPairBlock / 2); }

  // Rows of a packed panel: they fill whole vectors, the lanes past a tile's rows are the next
  // rows, unused.
  int64_t left_width() const {
    const auto rows = static_cast<uint64_t>(tiling_.rows);
    return tiling_.packs_pairs() ? kernel::kTileRows : static_cast<int64_t>(std::bit_ceil(rows));
  }
  int64_t left_step() const { return tiling_.packs_pairs() ? kernel::kTileRows : tiling_.rows; }

  Expr tasks() const { return batch_ * row_blocks_ * column_blocks_; }

  double task_cost() const {
    const double outputs =
        static_cast<double>(tiling_.block_rows() * tiling_.block_panels * tiling_.columns());
    const double steps = tiling_.split_leaves ? leaf_steps_ : fusion::estimated_elements({k_});
    return outputs * (steps * 0.02 + end_->cost() * 0.2);
  }

  // ---- packing

  // Where the first panel starts, and how far it is to the next.
  struct Packed {
    Expr base, panel;
  };

  Packed packed_right(Expr batch, Expr first_panel, const KPart& part) const {
    if (tiling_.right == RightOperand::task) return {Expr(), packed_steps() * tiling_.columns()};
    const int64_t steps = tiling_.packs_pairs() ? 2 : 1;  // of an element
    const Expr panel = (tiling_.packs_pairs() ? all_pairs() : k_) * tiling_.columns();
    const Expr start = floor_div(part.start, steps);
    return {values_.simplified((batch * panels_ + first_panel) * panel + start * tiling_.columns()),
            panel};
  }

  // All of the right operand, a few panels and steps a task.
  void pack_shared() {
    constexpr int64_t kMostSteps = 256;
    const int64_t inner = right_->digits() && !tiling_.packs_pairs()
                              ? right_->digits()->k().inner().constant().value_or(1)
                              : int64_t{1};
    const int64_t steps = inner <= kMostSteps ? kMostSteps / inner * inner : kMostSteps;
    const Expr groups = ceil_div(panels_, kPackedPanels);
    const Expr parts = ceil_div(k_, steps);
    const double elements = static_cast<double>(steps * kPackedPanels * tiling_.columns());
    values_.phase(values_.simplified(batch_ * groups * parts), elements * 0.2, [&](Expr p) {
      const Expr batch = floor_div(p, groups * parts);
      const Expr first = values_.simplified(mod(floor_div(p, parts), groups) * kPackedPanels);
      const Expr start = values_.simplified(mod(p, parts) * steps);
      const KPart part{Expr(), Expr(), start, values_.simplified(min(Expr(steps), k_ - start))};
      axes_.set_batch(batch);
      pack_right(first, values_.simplified(min(Expr(kPackedPanels), panels_ - first)), part,
                 packed_right(batch, first, part));
    });
  }

  // `count` panels from `first`, over a part of k: [panel][step][width].
  void pack_right(Expr first, Expr count, const KPart& part, const Packed& to) {
    const PackPlace place{packed_right_, to.base, first, count, part.start, part.length};
    if (right_pairs_) return right_pairs_->pack_columns(place, to.panel);
    right_->pack_panels(place, tiling_.columns(), tiling_.columns(), to.panel);
  }

  void pack_left(Expr first, Expr count, const KPart& part) {
    const PackPlace place{packed_left_, Expr(), first, count, part.start, part.length};
    const int64_t panel = packed_steps() * left_width();
    if (left_in_rows_) return left_->pack_rows(place, left_step(), row_pitch_);
    if (tiling_.dots) return left_pairs_->pack_columns(place, panel);
    if (left_pairs_) return left_pairs_->pack_tiles(place, panel);
    if (matrix_tile_) return left_->pack_tiles(*matrix_tile_, place, left_step(), panel);
    left_->pack_panels(place, left_step(), left_width(), panel);
  }

  // ---- the product

  void task(Expr batch, Expr first_row, Expr first_panel) {
    const Expr rows = values_.simplified(min(Expr(tiling_.block_rows()), m_ - first_row));
    const Expr tiles = values_.simplified(ceil_div(rows, tiling_.rows));
    const Expr panels = values_.simplified(min(Expr(tiling_.block_panels), panels_ - first_panel));
    each_part([&](const KPart& part) {
      const Packed right = packed_right(batch, first_panel, part);
      if (tiling_.right == RightOperand::task) {
        pack_right(first_panel, panels, part, right);
      }
      if (!tiling_.left_direct) {
        pack_left(values_.simplified(floor_div(first_row, left_step())),
                  values_.simplified(ceil_div(tiles * tiling_.rows, left_step())), part);
      }
      if (matrix_tile_) return rows_of_tiles(tiles, panels, first_row, first_panel, right, part);
      values_.loop(LoopKind::serial, panels, [&](Expr jp) {
        values_.loop(LoopKind::serial, tiles, [&](Expr ip) {
          const TilePlace place{ip, values_.simplified(right.base + jp * right.panel),
                                values_.simplified(first_row + ip * tiling_.rows),
                                values_.simplified((first_panel + jp) * tiling_.columns()),
                                in_parts_ ? slot_of(ip, jp) : Expr()};
          prefetch_results(place, part);
          if (tiling_.dots) {
            vector_tile_->multiply_dots(place, part, tile_);
          } else if (in_pairs()) {
            vector_tile_->multiply_pairs(place, part, tile_);
          } else {
            vector_tile_->multiply(place, part, tile_);
          }
          finish(place, part, tiling_.vectors);
        });
      });
    });
  }

  // All tiles of some rows, then their end: matrix registers are so fast that what it reads and
  // writes must be long runs of memory.
  void rows_of_tiles(Expr tiles, Expr panels, Expr first_row, Expr first_panel, const Packed& right,
                     const KPart& part) {
    values_.loop(LoopKind::serial, tiles, [&](Expr ip) {
      TilePlace place{ip, Expr(), values_.simplified(first_row + ip * tiling_.rows),
                      values_.simplified(first_panel * tiling_.columns()),
                      in_parts_ ? slot_of(ip, Expr()) : Expr()};
      values_.loop(LoopKind::serial, panels, [&](Expr jp) {
        TilePlace tile = place;
        tile.packed_right = values_.simplified(right.base + jp * right.panel);
        tile.slot = values_.simplified(place.slot + jp * tiling_.columns());
        matrix_tile_->multiply(tile, part, packed_left_, packed_right_, tile_);
      });
      finish(place, part, values_.simplified(panels * tiling_.vectors));
    });
  }

  // Where a tile's sums lie in `tile_`.
  Expr slot_of(Expr tile, Expr panel) const {
    const Expr at = (panel * tiling_.block_tiles + tile) * tile_elements_;
    return values_.simplified(first_slot_ + at);
  }

  void each_part(const std::function<void(const KPart&)>& body) {
    auto loop = [&](Expr count, const std::function<void(Expr)>& inside) {
      if (count.is_constant(1)) return inside(Expr());
      values_.loop(LoopKind::serial, count, inside);
    };
    auto each_leaf = [&](const std::function<void(Expr)>& inside) {
      tiling_.split_leaves ? inside(task_leaf_) : loop(leaves_, inside);
    };
    each_leaf([&](Expr q) {
      const Expr leaf_start = q * leaf_;
      const Expr leaf_length = values_.simplified(min(leaf_, k_ - leaf_start));
      loop(blocks_, [&](Expr b) {
        const Expr from = b * block_;
        const Expr length = values_.simplified(min(Expr(block_), leaf_length - from));
        body(
            {q, b, values_.simplified(leaf_start + from), values_.simplified(max(Expr(), length))});
      });
    });
  }

  ValueId left_element(const TilePlace& place, const KPart& part, Expr row, Expr step) {
    if (left_in_rows_) {
      const Expr at = (place.tile * tiling_.rows + row) * row_pitch_ + step;
      return builder_.load(packed_left_, values_.simplified(at));
    }
    if (!tiling_.left_direct) {
      const Expr first = place.tile * tiling_.rows;
      const Expr at = (floor_div(first, left_step()) * packed_steps() + step) * left_width() +
                      mod(first, left_step()) + row;
      return builder_.load(packed_left_, values_.simplified(at));
    }
    Expr index = place.row + row;
    if (prove_less(index, m_, values_.ranges()) != true) index = min(index, m_ - 1);
    return left_->element(values_.simplified(index), values_.simplified(part.start + step));
  }

  void hold_right(const TilePlace& place, const KPart& part, Expr step, Expr j, Expr lane,
                  BufferId held, Expr to) {
    const Expr in_panel = j * tiling_.vector + lane;
    if (tiling_.right == RightOperand::direct) {
      const Expr k = values_.simplified(part.start + step);
      return right_->store_padded(place.column + in_panel, k, held, to);
    }
    const Expr at = place.packed_right + step * tiling_.columns() + in_panel;
    builder_.store(held, to, builder_.load(packed_right_, values_.simplified(at)));
  }

  // The rows of a tile's results lie on a page each, where the hardware does not look ahead: what
  // the end of the product touches is fetched while the product is computed.
  void prefetch_results(const TilePlace& place, const KPart& part) {
    if (tiling_.split_leaves || block_ < kLongPart) return;
    values_.branch_equal(
        part.block, blocks_ - 1,
        [&] {
          values_.branch_equal(
              part.leaf, leaves_ - 1, [&] { end_->prefetch(place.row, place.column, tiling_); },
              [] {});
        },
        [] {});
  }

  // ---- after the product

  // `vectors` of sums a row.
  void finish(const TilePlace& place, const KPart& part, Expr vectors) {
    const Expr row = place.row, column = place.column;
    if (!loops_epilogue_) {
      values_.loop(LoopKind::unrolled, tiling_.rows, [&](Expr i) {
        values_.when_less(row + i, m_, [&] {
          vector_tile_->each_vector([&](Expr j, Expr lane) {
            end_->store(row + i, column + j * tiling_.vector + lane,
                        [&] { return accumulator(vector_tile_->register_at(i, j, lane)); });
          });
        });
      });
      return;
    }
    const Expr slot = place.slot;
    auto spill = [&] {
      if (in_pairs()) return;  // it is there
      vector_tile_->each_accumulator(
          [&](Expr at) { builder_.store(tile_, values_.simplified(slot + at), accumulator(at)); });
    };
    if (tiling_.split_leaves) return spill();
    values_.branch_equal(
        part.block, blocks_ - 1,
        [&] {
          if (leaves_.is_constant(1)) {
            spill();
            return end_->store_rows({tile_, slot, pitch_}, row, column, vectors, tiling_);
          }
          add_leaf(part, slot, vectors);
          values_.branch_equal(
              part.leaf, leaves_ - 1,
              [&] { end_->store_rows({sum_, slot, pitch_}, row, column, vectors, tiling_); },
              [] {});
        },
        spill);
  }

  ValueId accumulator(Expr at) { return builder_.load(vector_tile_->accumulators(), at); }

  // The leaf's sums onto those of the leaves before.
  void add_leaf(const KPart& part, Expr slot, Expr vectors) {
    auto add = [&](Expr at, ValueId value, bool first) {
      const Expr to = values_.simplified(slot + at);
      if (!first) value = builder_.add(builder_.load(sum_, to), value);
      builder_.store(sum_, to, value);
    };
    auto each = [&](bool first) {
      if (!in_pairs()) {
        return vector_tile_->each_accumulator([&](Expr at) { add(at, accumulator(at), first); });
      }
      values_.loop(LoopKind::serial, tiling_.rows, [&](Expr i) {
        each_in_row(values_, vectors, tiling_.vector, [&](Expr in_row) {
          const Expr at = values_.simplified(i * pitch_ + in_row);
          add(at, builder_.load(tile_, values_.simplified(slot + at)), first);
        });
      });
    };
    values_.branch_equal(part.leaf, 0, [&] { each(true); }, [&] { each(false); });
  }

  // Where each leaf was a task: the sums of all leaves, tile by tile, in order, and the end.
  void add_leaves() {
    const Expr row_tiles = ceil_div(m_, tiling_.rows);
    const Expr columns = tiling_.tiles ? column_blocks_ : panels_;
    const int64_t groups = tiling_.block_panels / beside_;  // of panels, in a block
    const double leaves = fusion::estimated_elements({leaves_});
    const double cost = static_cast<double>(tile_elements_) * (leaves + end_->cost()) * 0.2;
    values_.phase(values_.simplified(batch_ * row_tiles * columns), cost, [&](Expr p) {
      const Expr batch = values_.simplified(floor_div(p, row_tiles * columns));
      const Expr tile = values_.simplified(mod(floor_div(p, columns), row_tiles));
      const Expr column = values_.simplified(mod(p, columns));
      axes_.set_batch(batch);
      const Expr task =
          (batch * row_blocks_ + floor_div(tile, tiling_.block_tiles)) * column_blocks_ +
          floor_div(column, groups);
      first_slot_ = task * leaves_ * task_elements_;
      const Expr first = slot_of(mod(tile, tiling_.block_tiles), mod(column, groups));
      const Expr first_panel = values_.simplified(column * beside_);
      const Expr panels = values_.simplified(min(Expr(beside_), panels_ - first_panel));
      const Expr vectors = values_.simplified(panels * tiling_.vectors);
      auto add = [&](Expr leaf, bool is_first) {
        values_.loop(LoopKind::serial, tiling_.rows, [&](Expr i) {
          each_in_row(values_, vectors, tiling_.vector, [&](Expr in_row) {
            const Expr at = values_.simplified(i * pitch_ + in_row);
            const Expr from = values_.simplified(first + leaf * task_elements_ + at);
            ValueId sum = builder_.load(tile_, from);
            if (!is_first) sum = builder_.add(builder_.load(sum_, at), sum);
            builder_.store(sum_, at, sum);
          });
        });
      };
      add(Expr(), true);
      values_.loop(LoopKind::serial, leaves_ - 1, [&](Expr q) { add(q + 1, false); });
      end_->store_rows({sum_, Expr(), pitch_}, values_.simplified(tile * tiling_.rows),
                       values_.simplified(first_panel * tiling_.columns()), vectors, tiling_);
    });
  }

  const NestContext& context_;
  const Graph& graph_;
  const fusion::Nest& nest_;
  const fusion::Contraction& contraction_;
  Values& values_;
  kernel::Builder& builder_;
  ProductAxes axes_;
  std::optional<ProductEnd> end_;  // once the sides are chosen
  DType dtype_ = DType::f32;
  Expr batch_, m_, n_, k_, leaf_, leaves_, blocks_, panels_;
  Expr row_blocks_, column_blocks_;                // of a product
  Expr first_slot_, task_leaf_;                    // of the task, where leaves are tasks
  int64_t tile_elements_ = 0, task_elements_ = 0;  // of sums in memory
  double leaf_steps_ = 0;                          // estimate
  int64_t block_ = 0;                              // steps of k in a part, at most
  int64_t beside_ = 1;                             // panels whose sums lie side by side
  int64_t pitch_ = 0;                              // of rows of sums in memory
  int64_t row_pitch_ = 0;                          // the same, of a row that is packed as it lies
  std::unique_ptr<ProductFactor> left_, right_;
  bool left_in_rows_ = false;                            // packed as it lies, row by row along k
  std::optional<PairPacking> left_pairs_, right_pairs_;  // where pairs are packed
  Tiling tiling_{};
  bool in_parts_ = false, loops_epilogue_ = false;
  std::unique_ptr<VectorTile> vector_tile_;
  std::unique_ptr<MatrixTile> matrix_tile_;  // one of the two
  BufferId tile_ = 0, sum_ = 0, packed_left_ = 0, packed_right_ = 0;
};

}  // namespace

void lower_contraction(const NestContext& context) { ContractionLowering(context).run(); }

}  // namespace plait::lower
