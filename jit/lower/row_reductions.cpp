#include "jit/lower/row_reductions.h"

#include <algorithm>

#include "jit/lower/nests.h"

namespace plait::lower {

void RowReductions::add(const fusion::Member& member) {
  const Node& node = graph_.node(member.value);
  const DType operand = graph_.type(node.operands[0]).dtype;
  members_.push_back(&member);
  reductions_.push_back(
      {Reducer(values_.builder(), node.reduce(), operand, Accumulate::keys), 0, {}, {}, {}, {}});
}

void RowReductions::set_levels(const std::function<int(const fusion::Member&)>& level_of_operand) {
  for (size_t i = 0; i < members_.size(); ++i) {
    reductions_[i].level = level_of_operand(*members_[i]);
  }
}

bool RowReductions::any(int level) const {
  return std::any_of(reductions_.begin(), reductions_.end(),
                     [&](const Reduction& reduction) { return reduction.level == level; });
}

void RowReductions::make_accumulators(bool lanes_are_rows) {
  lanes_are_rows_ = lanes_are_rows;
  for (Reduction& reduction : reductions_) {
    for (DType dtype : reduction.reducer.dtypes()) {
      reduction.acc.push_back(values_.registers(dtype, kLanes, kLanes));
      reduction.sum.push_back(values_.registers(dtype, kLanes, kLanes));
      const int64_t lanes = lanes_are_rows ? kLanes : 1;
      reduction.total.push_back(values_.registers(dtype, lanes, static_cast<uint32_t>(lanes)));
    }
  }
}

// Without masks: whole registers, so that lanes past the end hold the identity.
void RowReductions::all_lanes(const std::function<void(Expr)>& body) {
  values_.loop(LoopKind::vector, kLanes, body);
}

void RowReductions::set_identity(Reduction& reduction, const Registers& registers, Expr lane) {
  const Parts identity = reduction.reducer.identity();
  for (size_t i = 0; i < registers.size(); ++i) {
    values_.builder().store(registers[i], lane, identity[i]);
  }
}

void RowReductions::add_to(Reduction& reduction, const Registers& registers, Expr lane,
                           const Parts& next) {
  const Parts after = reduction.reducer.combine(load(registers, lane), next);
  for (size_t i = 0; i < registers.size(); ++i) {
    values_.builder().store(registers[i], lane, after[i]);
  }
}

Parts RowReductions::load(const Registers& registers, Expr lane) {
  Parts parts;
  for (BufferId id : registers) parts.push_back(values_.builder().load(id, lane));
  return parts;
}

void RowReductions::start_row(int level) {
  if (lanes_are_rows_) {
    all_lanes([&](Expr lane) {
      for_level(level, [&](Reduction& r) { set_identity(r, r.total, lane); });
    });
  } else {
    for_level(level, [&](Reduction& r) { set_identity(r, r.total, Expr()); });
  }
}

void RowReductions::start_chunk(int level, bool one_block) {
  all_lanes([&](Expr lane) {
    for_level(level, [&](Reduction& r) { set_identity(r, one_block ? r.acc : r.sum, lane); });
  });
}

void RowReductions::start_block(int level) {
  all_lanes(
      [&](Expr lane) { for_level(level, [&](Reduction& r) { set_identity(r, r.acc, lane); }); });
}

void RowReductions::accumulate(int level, Expr lane, Expr position,
                               const std::function<ValueId(const fusion::Member&)>& operand) {
  for (size_t i = 0; i < members_.size(); ++i) {
    Reduction& r = reductions_[i];
    if (r.level != level) continue;
    add_to(r, r.acc, lane, r.reducer.element(operand(*members_[i]), values_.simplified(position)));
  }
}

void RowReductions::end_block(int level) {
  all_lanes([&](Expr lane) {
    for_level(level, [&](Reduction& r) { add_to(r, r.sum, lane, load(r.acc, lane)); });
  });
}

// The lanes into the total: as a tree where they are parts of one row.
void RowReductions::end_chunk(int level, bool one_block) {
  if (lanes_are_rows_) {
    all_lanes([&](Expr lane) {
      for_level(level, [&](Reduction& r) {
        add_to(r, r.total, lane, load(one_block ? r.acc : r.sum, lane));
      });
    });
    return;
  }
  for_level(level, [&](Reduction& r) {
    const Registers& lanes = one_block ? r.acc : r.sum;
    for (int64_t half = kLanes / 2; half > 1; half /= 2) {
      values_.loop(LoopKind::vector, half,
                   [&](Expr lane) { add_to(r, lanes, lane, load(lanes, lane + half)); });
    }
    const Parts chunk = r.reducer.combine(load(lanes, Expr()), load(lanes, Expr(1)));
    add_to(r, r.total, Expr(), chunk);
  });
}

ValueId RowReductions::result(size_t number, Expr lane) {
  Reduction& r = reductions_[number];
  return r.reducer.result(load(r.total, lane), graph_.type(members_[number]->value).dtype);
}

void RowReductions::make_partial(Expr count) {
  for (Reduction& reduction : reductions_) {
    for (DType dtype : reduction.reducer.dtypes()) {
      reduction.partial.push_back(values_.workspace(dtype, count * (lanes_are_rows_ ? kLanes : 1)));
    }
  }
}

Expr RowReductions::partial_slot(Expr chunk, Expr lane) const {
  return values_.simplified(lanes_are_rows_ ? chunk * kLanes + lane : chunk);
}

void RowReductions::store_partial(Expr chunk, Expr lane) {
  for (Reduction& reduction : reductions_) {
    for (size_t i = 0; i < reduction.partial.size(); ++i) {
      values_.builder().store(reduction.partial[i], partial_slot(chunk, lane),
                              values_.builder().load(reduction.total[i], lane));
    }
  }
}

void RowReductions::add_partial(Expr chunk, Expr lane) {
  for (Reduction& reduction : reductions_) {
    add_to(reduction, reduction.total, lane, load(reduction.partial, partial_slot(chunk, lane)));
  }
}

}  // namespace plait::lower
