#include "jit/lower/product_factor.h"

#include "jit/lower/tiling.h"

namespace plait::lower {

ProductFactor::ProductFactor(const NestContext& context, ProductAxes& axes, Value value,
                             const Tuple& tuple, const LoopAxis& own, const LoopAxis& other)
    : graph_(context.graph),
      values_(context.values),
      axes_(axes),
      value_(value),
      tuple_(tuple),
      own_(own),
      other_(other),
      dtype_(compute_type(context.graph.type(value).dtype)),
      vector_(lanes_of(context.target, dtype_)),
      layout_(layout_of(context.graph, context.plan, value, tuple, axes.extents, own.group_axes,
                        axes.k.group_axes)) {
  if (!layout_.is_view) return;
  digits_ = DigitPacking::make(values_, graph_, context.plan, dtype_,
                               {value, tuple, own.group_axes, axes.k.group_axes}, axes.extents,
                               axes.current, vector_);
}

bool ProductFactor::lies_along_k() const {
  return layout_.plain && layout_.k_contiguous && !digits_;
}

bool ProductFactor::lies_along_own() const { return layout_.own_contiguous && !digits_; }

bool ProductFactor::packs_along_k() const {
  if (!digits_) return layout_.k_contiguous && !layout_.own_contiguous;
  return digits_->runs_along_k(layout_.own_contiguous, layout_.k_contiguous);
}

bool ProductFactor::lies_in_tiles() const {
  return layout_.rows && graph_.type(layout_.rows->source).dtype == DType::bf16;
}

// A view may name axes of the other factor although nothing it reads depends on them.
ValueId ProductFactor::element(Expr index, Expr k) {
  axes_.set(own_, index);
  forget_other_axis();
  axes_.set(axes_.k, k);
  return values_.compute_at(value_, axes_.at(tuple_));
}

PlainPacking ProductFactor::plain() {
  return {values_,     dtype_,         vector_,
          own_.extent, axes_.k.extent, [this](Expr i, Expr k) { return element(i, k); }};
}

void ProductFactor::store_padded(Expr index, Expr k, BufferId to, Expr slot) {
  plain().store_padded(index, k, to, slot);
}

void ProductFactor::pack_panels(const PackPlace& place, int64_t step, int64_t width, Expr panel) {
  forget_other_axis();
  auto pack = [&](auto&& packing) {
    if (packs_along_k()) {
      packing.pack_transposed(place, step, width, panel);
    } else {
      packing.pack_panels(place, step, width, panel);
    }
  };
  if (digits_) return pack(*digits_);
  pack(plain());
}

void ProductFactor::pack_rows(const PackPlace& place, int64_t step, int64_t pitch) {
  forget_other_axis();
  digits_->pack_rows(place, step, pitch);
}

void ProductFactor::pack_tiles(MatrixTile& tile, const PackPlace& place, int64_t step, Expr panel) {
  forget_other_axis();
  const FactorLayout::Rows& from = *layout_.rows;
  const BufferId buffer = values_.buffer_of(from.source, false);
  const Expr base = axes_.at({from.base})[0] + place.start;
  values_.loop(LoopKind::serial, place.count, [&](Expr p) {
    const Expr row = values_.simplified((place.first + p) * step);
    const kernel::Place to{place.to, place.base + p * panel};
    values_.branch_in_range(
        {{row, own_.extent}},
        [&] {
          const Expr rows = values_.simplified(min(Expr(step), own_.extent - row));
          tile.pack({buffer, base + row * from.pitch}, from.pitch, rows, place.length,
                    axes_.k.extent - place.start, to);
        },
        [&] { tile.pack_zeros(place.length, to); });
  });
}

}  // namespace plait::lower
