// Elementwise values and reductions: rows in parallel, and per row one inner loop for each level of
// reductions that must be complete before the next.
#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/reduction_order.h"
#include "jit/lower/across.h"
#include "jit/lower/levels.h"
#include "jit/lower/nest_axes.h"
#include "jit/lower/nests.h"
#include "jit/lower/prefetch.h"
#include "jit/lower/row_reductions.h"
#include "passes/fusion/roles.h"

namespace plait::lower {

void vector_strip(Values& values, Expr extent,
                  const std::function<void(Expr index, Expr lane)>& body,
                  const std::function<void(Expr first)>& after_whole) {
  const Expr full = values.simplified(floor_div(extent, kLanes));
  values.loop(LoopKind::serial, full, [&](Expr s) {
    values.loop(LoopKind::vector, kLanes, [&](Expr lane) { body(s * kLanes + lane, lane); });
    if (after_whole) after_whole(s * kLanes);
  });
  if (is_multiple_of(extent, kLanes)) return;
  if (const std::optional<int64_t> known = values.simplified(extent).constant()) {
    values.loop(LoopKind::vector, *known % kLanes,
                [&](Expr lane) { body(full * kLanes + lane, lane); });
    return;
  }
  values.loop(LoopKind::vector, kLanes, [&](Expr lane) {
    const Expr index = full * kLanes + lane;
    values.when_less(index, extent, [&] { body(index, lane); });
  });
}

namespace {

using fusion::Member;

// As vector_strip, of at least kLanes elements that lie from `start` on: whole vectors begin at
// multiples of kLanes in memory, so that they may be streams.
void aligned_strip(Values& values, Expr start, Expr extent,
                   const std::function<void(Expr index, Expr lane)>& body,
                   const std::function<void(Expr first)>& after_whole) {
  const Expr before = values.simplified(kLanes * ceil_div(start, kLanes) - start);
  const Expr full = values.simplified(floor_div(extent - before, kLanes));
  auto part = [&](Expr first, Expr limit) {
    values.loop(LoopKind::vector, kLanes, [&](Expr lane) {
      values.when_less(first + lane, limit, [&] { body(values.simplified(first + lane), lane); });
    });
  };
  part(0, before);
  values.loop(LoopKind::serial, full, [&](Expr s) {
    const Expr first = before + s * kLanes;
    values.loop(LoopKind::vector, kLanes, [&](Expr lane) { body(first + lane, lane); });
    after_whole(first);
  });
  part(before + full * kLanes, extent);
}

// Elements of a row that one iteration of an elementwise phase computes.
constexpr int64_t kBlock = 2048;
// Below this many parallel iterations a long reduction is split over its chunks.
constexpr double kFewRows = 64;

class LoopsLowering {
 public:
  explicit LoopsLowering(const NestContext& context)
      : context_(context),
        graph_(context.graph),
        nest_(context.nest),
        values_(context.values),
        builder_(context.values.builder()),
        axes_(context),
        levels_(context.graph, context.plan, context.nest),
        prefetcher_(context.values),
        reductions_(context.values, context.graph),
        across_(context.values, context.graph) {}

  void run() {
    values_.set_computed_here(nest_.members);
    classify();
    if (!across_.empty()) {
      describe("parallel over chunks of rows; a second phase folds what is summed over the rows");
      lower_chunks_of_rows();
    } else if (splits_reductions()) {
      describe("split the reduction: parallel over its chunks; a second phase folds them");
      lower_split();
    } else {
      describe(axes_.lane() ? "parallel over rows and blocks of lanes" : "parallel over rows");
      lower_rows();
    }
  }

 private:
  void describe(const char* parallel) {
    std::vector<std::string> inner;
    for (const LoopAxis& axis : axes_.inner()) inner.push_back(to_string(axis.extent));
    const Expr rows = axes_.rows() * (axes_.lane() ? axes_.lane()->extent : Expr(1));
    std::vector<std::string>& steps = context_.result.kernel.schedule;
    steps.push_back(fmt::format("loops: {} rows of {}", to_string(values_.simplified(rows)),
                                inner.empty() ? "1" : fmt::format("{}", fmt::join(inner, " x "))));
    steps.push_back(parallel);
    steps.push_back(fmt::format("vectorise {} by {}; {} level{} a row, {} kept in row buffers",
                                axes_.lane() ? "the last outer axis" : "the last inner axis",
                                kLanes, levels_.count(), levels_.count() == 1 ? "" : "s",
                                levels_.row_buffers().size()));
  }

  // ---- what is computed where

  bool is_stored(Value v) const {
    return std::find(nest_.stores.begin(), nest_.stores.end(), v) != nest_.stores.end();
  }

  void classify() {
    for (const Member& member : nest_.members) {
      const Node& node = graph_.node(member.value);
      const bool reduction = node.op == MetaOp::reduce;
      const bool full = nest_.inner.empty() || !levels_.is_row_level(member);
      if (reduction && full) {
        across_.add(member);
      } else if (reduction) {
        reductions_.add(member);
      } else if (is_stored(member.value)) {
        (full ? full_stores_ : row_stores_).push_back(&member);
      }
    }
    for (const Member* member : across_.members()) levels_.add_target(*member, true);
    for (const Member* member : reductions_.members()) levels_.add_target(*member, true);
    for (const Member* member : full_stores_) levels_.add_target(*member, false);
    levels_.choose_row_buffers();
    reductions_.set_levels([this](const Member& m) { return levels_.level_of_operand(m); });
  }

  Expr chunk_count() const { return ceil_div(axes_.inner().front().extent, axes_.order().chunk); }

  // Few rows, long reductions, nothing read back: the chunks run in parallel.
  bool splits_reductions() const {
    if (reductions_.empty() || levels_.count() > 1 || axes_.inner().empty()) return false;
    const double most_chunks = fusion::estimated_elements({values_.simplified(chunk_count())});
    double parallel = fusion::estimated_elements({axes_.rows()});
    if (axes_.lane()) parallel *= fusion::estimated_elements({axes_.lane()->extent}) / kLanes;
    return most_chunks > 1 && parallel < kFewRows;
  }

  // ---- phases

  Expr lane_blocks(int64_t block) const {
    return axes_.lane() ? ceil_div(axes_.lane()->extent, block) : Expr(1);
  }

  int64_t lane_block() const { return axes_.inner().empty() ? kBlock : kLanes; }

  // Rows and blocks of the lane axis from the phase variable.
  void set_row_and_lanes(Expr p) {
    const Expr blocks = lane_blocks(lane_block());
    axes_.set_outer(floor_div(p, blocks));
    prefetcher_.set_loops({p});
    lane_base_ = values_.simplified(mod(p, blocks) * lane_block());
  }

  void lower_rows() {
    const Expr count = values_.simplified(axes_.rows() * lane_blocks(lane_block()));
    reductions_.make_accumulators(axes_.lane().has_value());
    values_.phase(count, cost_of_row(), [&](Expr p) {
      set_row_and_lanes(p);
      row_body([this](int level) { reduce_level(level, /*chunk=*/std::nullopt); });
      store_row_values();
    });
  }

  void row_body(const std::function<void(int)>& reduce) {
    allocate_row_buffers();
    for (int level = 0; level < levels_.count(); ++level) {
      if (reductions_.any(level)) {
        reduce(level);
      } else {
        plain_level(level);
      }
      define_row_values(level);
    }
  }

  void lower_split() {
    reductions_.make_accumulators(axes_.lane().has_value());
    const Expr chunks = values_.simplified(chunk_count());
    const Expr row_count = values_.simplified(axes_.rows() * lane_blocks(lane_block()));
    reductions_.make_partial(row_count * chunks);
    values_.phase(row_count * chunks, cost_of_row(), [&](Expr p) {
      const bool one_row = row_count.is_constant(1);
      set_row_and_lanes(one_row ? Expr() : floor_div(p, chunks));
      allocate_row_buffers();
      reduce_level(0, one_row ? p : mod(p, chunks));
      for_lanes([&](Expr lane) { reductions_.store_partial(p, lane); });
    });
    values_.phase(row_count, 100, [&](Expr p) {
      set_row_and_lanes(p);
      reductions_.start_row(0);
      values_.loop(LoopKind::serial, chunks, [&](Expr c) {
        for_lanes([&](Expr lane) { reductions_.add_partial(p * chunks + c, lane); });
      });
      define_row_values(0);
      store_row_values();
    });
  }

  // With reductions over the rows themselves an iteration takes a chunk of rows.
  void lower_chunks_of_rows() {
    reductions_.make_accumulators(axes_.lane().has_value());
    const Expr count = axes_.rows();
    const ReductionOrder row_order = reduction_order(std::vector<Expr>{count}, false);
    const Expr chunks = values_.simplified(ceil_div(count, row_order.chunk));
    across_.allocate(axes_.inner_elements(), chunks);
    values_.phase(chunks, cost_of_row() * 128, [&](Expr p) {
      const Expr first = p * row_order.chunk;
      const Expr length = values_.simplified(min(row_order.chunk, count - first));
      allocate_row_buffers();
      values_.loop(LoopKind::serial, ceil_div(length, row_order.block), [&](Expr b) {
        across_.start_block();
        const Expr start = b * row_order.block;
        const Expr rows_here = values_.simplified(min(Expr(row_order.block), length - start));
        values_.loop(LoopKind::serial, rows_here, [&](Expr r) {
          axes_.set_outer(first + start + r);
          prefetcher_.set_loops({p, b, r});
          row_body([this](int level) { reduce_level(level, std::nullopt); });
          store_row_values();
        });
        across_.end_block(p, b);
      });
    });
    across_.fold([this](const Member& member, Expr index) {
      axes_.set_inner(index);
      return axes_.at(member.tuple);
    });
  }

  // ---- levels

  void allocate_row_buffers() {
    for (RowBuffer& buffer : levels_.row_buffers()) {
      if (buffer.allocated) continue;
      const Expr lanes = axes_.lane() ? Expr(lane_block()) : Expr(1);
      buffer.id = values_.local(graph_.type(buffer.value).dtype, axes_.inner_elements() * lanes);
      buffer.allocated = true;
    }
  }

  // The body at one point of the inner loops: what the level's buffers, stores and reductions need.
  void point(int level, Expr inner_index, Expr lane) {
    values_.undefine_buffers();
    const Expr slot =
        values_.simplified(axes_.lane() ? inner_index * lane_block() + lane : inner_index);
    for (RowBuffer& buffer : levels_.row_buffers()) {
      if (buffer.level < level) {
        values_.define_in_buffer(buffer.value, axes_.at(buffer.tuple), buffer.id, slot);
      }
    }
    if (axes_.lane() && level > 0) define_lane_totals(level, lane);
    for (RowBuffer& buffer : levels_.row_buffers()) {
      if (buffer.level != level) continue;
      builder_.store(buffer.id, slot, values_.at(buffer.value, axes_.at(buffer.tuple)));
    }
    for (const Member* member : full_stores_) {
      if (levels_.level_of(*member) != level) continue;
      const Tuple tuple = axes_.at(member->tuple);
      values_.store(member->value, tuple, values_.at(member->value, tuple));
    }
    for (size_t i = 0; i < across_.members().size(); ++i) {
      const Member& member = *across_.members()[i];
      if (levels_.level_of_operand(member) != level) continue;
      across_.accumulate(i, inner_index, operand_value(member));
    }
  }

  ValueId operand_value(const Member& member) {
    return values_.compute_at(graph_.node(member.value).operands[0], axes_.operand_at(member));
  }

  // Notes what the first level reads and writes for element `at` of the row, now that point() and
  // the operands of its reductions have been placed.
  void note_accesses(int level, size_t reads_before, Expr at) {
    if (level > 0) return;
    const std::vector<Values::MemoryAccess>& reads = values_.memory_reads();
    for (size_t i = reads_before; i < reads.size(); ++i) prefetcher_.note(reads[i], at);
    for (const Member* member : full_stores_) {
      if (levels_.level_of(*member) == 0) prefetcher_.note(written(*member), at);
    }
  }

  Values::MemoryAccess written(const Member& member) {
    const Expr index = linear_index(graph_.type(member.value).shape, axes_.at(member.tuple));
    return {values_.buffer_of(member.value, true), values_.simplified(index)};
  }

  // The next row may be fetched before its time, it stays in L2.
  bool is_short_row() const {
    constexpr double kMostOfL2 = 0.25;
    const double bytes = fusion::estimated_elements({axes_.inner_elements()}) * sizeof(float);
    return bytes <= kMostOfL2 * static_cast<double>(context_.target.l2_bytes);
  }

  // Beside the work of a strip, which starts at `first` in the row and at `index` along `axis`:
  // where there are several levels, the one with most to compute hides the next row and the lines
  // that a later one writes.
  void prefetch(int level, Expr first, const LoopAxis& axis, Expr index) {
    if (levels_.count() == 1 || !is_short_row()) {
      if (level == 0) prefetcher_.ahead(first, kLanes, axis.extent);
      return;
    }
    const int last = levels_.count() - 1;
    if (level == levels_.busiest_below(last)) prefetcher_.next_row(first, kLanes);
    for (const Member* member : full_stores_) {
      const int writes = levels_.level_of(*member);
      if (writes == 0 || levels_.busiest_below(writes) != level) continue;
      axes_.set(axis, values_.simplified(index + 1));
      const Expr second = written(*member).index;
      axes_.set(axis, values_.simplified(index));
      const auto [buffer, at] = written(*member);
      if (values_.simplified(second - at).is_constant(1))
        prefetch_lines(values_, buffer, at, kLanes);
    }
  }

  // Loops over all inner axes and, where lanes are rows, over these.
  void plain_level(int level) {
    if (axes_.lane()) {
      if (axes_.inner().empty()) return lane_strip(level);
      serial_inner(0, Expr(), [&](Expr inner_index) {
        for_lanes([&](Expr lane) { point(level, inner_index, lane); });
      });
      return;
    }
    if (axes_.inner().empty()) return point(level, Expr(), Expr());  // a single element
    const LoopAxis& last = axes_.inner().back();
    serial_inner(1, Expr(), [&](Expr prefix) {
      auto body = [&](Expr index, Expr lane) {
        axes_.set(last, index);
        const size_t reads_before = values_.memory_reads().size();
        const Expr inner_index = prefix * last.extent + index;
        point(level, inner_index, lane);
        note_accesses(level, reads_before, inner_index);
      };
      auto after_whole = [&](Expr first) {
        prefetch(level, prefix * last.extent + first, last, first);
      };
      if (const std::optional<Expr> start = start_of_stream(level)) {
        aligned_strip(values_, *start, last.extent, body, after_whole);
      } else {
        vector_strip(values_, last.extent, body, after_whole);
      }
    });
  }

  // Where long rows of a large result start in memory, if that is not at a vector's boundary.
  std::optional<Expr> start_of_stream(int level) {
    constexpr double kLongRow = 64 * kLanes;
    const LoopAxis& last = axes_.inner().back();
    const double row = fusion::estimated_elements({last.extent});
    if (level == 0 || row < kLongRow || is_multiple_of(last.extent, kLanes)) return std::nullopt;
    if (prove_less(last.extent, kLanes, values_.ranges()) != false) return std::nullopt;
    for (const Member* member : full_stores_) {
      if (levels_.level_of(*member) != level) continue;
      const Type& type = graph_.type(member->value);
      const double bytes = fusion::estimated_elements(type.shape) * dtype_size(type.dtype);
      if (bytes <= static_cast<double>(context_.target.l2_bytes)) continue;
      auto address = [&](Expr index) {
        axes_.set(last, index);
        return written(*member).index;
      };
      const Expr start = address(0);
      if (values_.simplified(address(1) - start).is_constant(1)) return start;
    }
    return std::nullopt;
  }

  // Serial loops over the inner axes but the last `but`; `body` gets the row-major index so far.
  void serial_inner(size_t but, Expr index, const std::function<void(Expr)>& body,
                    size_t axis = 0) {
    if (axis + but >= axes_.inner().size()) return body(index);
    values_.loop(LoopKind::serial, axes_.inner()[axis].extent, [&](Expr i) {
      axes_.set(axes_.inner()[axis], i);
      serial_inner(but, index * axes_.inner()[axis].extent + i, body, axis + 1);
    });
  }

  void lane_strip(int level) {
    const Expr extent =
        values_.simplified(min(Expr(lane_block()), axes_.lane()->extent - lane_base_));
    vector_strip(
        values_, extent,
        [&](Expr index, Expr) {
          axes_.set(*axes_.lane(), lane_base_ + index);
          const size_t reads_before = values_.memory_reads().size();
          point(level, Expr(), index);
          note_accesses(level, reads_before, lane_base_ + index);
        },
        [&](Expr first) {
          prefetch(level, lane_base_ + first, *axes_.lane(), lane_base_ + first);
        });
  }

  // One vector over the lanes where these are rows, else once.
  void for_lanes(const std::function<void(Expr lane)>& body) {
    if (!axes_.lane()) return body(Expr());
    values_.loop(LoopKind::vector, kLanes, [&](Expr lane) {
      values_.when_less(lane_base_ + lane, axes_.lane()->extent, [&] {
        axes_.set(*axes_.lane(), lane_base_ + lane);
        body(lane);
      });
    });
  }

  // ---- reductions

  // The whole order of core/reduction_order.h, or only chunk `only_chunk` of it.
  void reduce_level(int level, std::optional<Expr> only_chunk) {
    const ReductionOrder how = axes_.order();
    const Expr first_extent = axes_.inner().front().extent;
    reductions_.start_row(level);
    auto one_chunk = [&](Expr c) {
      const Expr start = c * how.chunk;
      const Expr length = values_.simplified(min(how.chunk, first_extent - start));
      const bool one_block =
          axes_.inner().size() == 1 && prove_less(how.block, length, values_.ranges()) == false;
      reductions_.start_chunk(level, one_block);
      if (one_block) {
        block_steps(level, start, length, Expr());
      } else if (axes_.inner().size() == 1) {
        blocks_of(level, start, length, Expr(), how);
      } else {
        values_.loop(LoopKind::serial, length, [&](Expr i) {
          axes_.set(axes_.inner().front(), start + i);
          serial_inner(
              1, start + i,
              [&](Expr prefix) {
                blocks_of(level, Expr(), axes_.inner().back().extent, prefix, how);
              },
              1);
        });
      }
      reductions_.end_chunk(level, one_block);
    };
    if (only_chunk) {
      one_chunk(*only_chunk);
    } else if (prove_less(how.chunk, first_extent, values_.ranges()) == false) {
      one_chunk(Expr());
    } else {
      values_.loop(LoopKind::serial, ceil_div(first_extent, how.chunk), one_chunk);
    }
  }

  // `length` elements of the last inner axis from `start`, block by block into `sum`.
  void blocks_of(int level, Expr start, Expr length, Expr prefix, const ReductionOrder& how) {
    values_.loop(LoopKind::serial, ceil_div(length, how.block), [&](Expr b) {
      reductions_.start_block(level);
      const Expr from = b * how.block;
      block_steps(level, start + from, values_.simplified(min(Expr(how.block), length - from)),
                  prefix);
      reductions_.end_block(level);
    });
  }

  void block_steps(int level, Expr start, Expr length, Expr prefix) {
    auto step = [&](Expr index, Expr lane) {
      axes_.set(axes_.inner().back(), index);
      const Expr inner_index = prefix * axes_.inner().back().extent + index;
      const size_t reads_before = values_.memory_reads().size();
      point(level, inner_index, axes_.lane() ? lane : Expr());
      reductions_.accumulate(level, lane, index,
                             [this](const Member& member) { return operand_value(member); });
      if (!axes_.lane()) note_accesses(level, reads_before, inner_index);
    };
    if (axes_.lane()) {
      values_.loop(LoopKind::serial, length,
                   [&](Expr s) { for_lanes([&](Expr lane) { step(start + s, lane); }); });
    } else {
      vector_strip(
          values_, length, [&](Expr index, Expr lane) { step(start + index, lane); },
          [&](Expr first) {
            prefetch(level, prefix * axes_.inner().back().extent + start + first,
                     axes_.inner().back(), start + first);
          });
    }
  }

  // ---- values per row

  void define_reduction(size_t number, Expr lane) {
    const Member& member = *reductions_.members()[number];
    values_.define(member.value, axes_.at(member.tuple), reductions_.result(number, lane));
  }

  // Reductions complete after `level`; where lanes are rows each body defines them for itself.
  void define_row_values(int level) {
    if (axes_.lane()) return;
    for (size_t i = 0; i < reductions_.members().size(); ++i) {
      if (reductions_.level(i) == level) define_reduction(i, Expr());
    }
  }

  void define_lane_totals(int level, Expr lane) {
    for (size_t i = 0; i < reductions_.members().size(); ++i) {
      if (reductions_.level(i) < level) define_reduction(i, lane);
    }
  }

  void store_row_values() {
    std::vector<const Member*> stored;
    for (const Member* member : reductions_.members()) {
      if (is_stored(member->value)) stored.push_back(member);
    }
    stored.insert(stored.end(), row_stores_.begin(), row_stores_.end());
    if (stored.empty()) return;
    for_lanes([&](Expr lane) {
      if (axes_.lane()) define_lane_totals(levels_.count(), lane);
      for (const Member* member : stored) {
        const Tuple tuple = axes_.at(member->tuple);
        values_.store(member->value, tuple, values_.at(member->value, tuple));
      }
    });
  }

  // Nanoseconds of one iteration on one core, roughly: a tenth per simple operation.
  double cost_of_row() const {
    double operations = 2;
    for (const Member& member : nest_.members) {
      operations += fusion::operation_cost(graph_.node(member.value));
    }
    double elements = axes_.lane() ? static_cast<double>(lane_block()) : 1;
    for (const LoopAxis& axis : axes_.inner())
      elements *= fusion::estimated_elements({axis.extent});
    return std::min(elements, 1e6) * operations * 0.1 + 5;
  }

  const NestContext& context_;
  const Graph& graph_;
  const fusion::Nest& nest_;
  Values& values_;
  kernel::Builder& builder_;
  NestAxes axes_;
  Levels levels_;
  Expr lane_base_;
  Prefetcher prefetcher_;
  RowReductions reductions_;
  AcrossRows across_;  // over the rows
  std::vector<const Member*> full_stores_, row_stores_;
};

}  // namespace

void lower_loops(const NestContext& context) { LoopsLowering(context).run(); }

}  // namespace plait::lower
