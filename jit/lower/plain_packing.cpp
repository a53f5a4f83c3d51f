#include "jit/lower/plain_packing.h"

#include <algorithm>

namespace plait::lower {

void PlainPacking::each_group(const PackPlace& place,
                              const std::function<void(Expr from, Expr count)>& body) {
  values_.loop(LoopKind::serial, ceil_div(place.count, kPackedPanels), [&](Expr c) {
    const Expr from = c * kPackedPanels;
    body(from, values_.simplified(min(Expr(kPackedPanels), place.count - from)));
  });
}

void PlainPacking::pack_panels(const PackPlace& place, int64_t step, int64_t width, Expr panel) {
  each_group(place, [&](Expr from, Expr count) {
    values_.loop(LoopKind::serial, place.length, [&](Expr s) {
      const LoopKind kind = count.constant() ? LoopKind::unrolled : LoopKind::serial;
      values_.loop(kind, count, [&](Expr p) {
        const Expr base = values_.simplified(place.base + (from + p) * panel);
        straight(place, values_.simplified((place.first + from + p) * step),
                 values_.simplified(base + s * width), width, values_.simplified(place.start + s));
      });
    });
  });
}

void PlainPacking::pack_transposed(const PackPlace& place, int64_t step, int64_t width,
                                   Expr panel) {
  each_group(place, [&](Expr from, Expr count) {
    values_.loop(LoopKind::serial, count, [&](Expr p) {
      transposed(place, values_.simplified((place.first + from + p) * step),
                 values_.simplified(place.base + (from + p) * panel), width);
    });
  });
}

// Vectors along the factor's own axis.
void PlainPacking::straight(const PackPlace& place, Expr start, Expr base, int64_t width, Expr k) {
  for (int64_t from = 0; from < width; from += vector_) {
    const int64_t lanes = std::min(vector_, width - from);
    values_.loop(LoopKind::vector, lanes, [&](Expr lane) {
      store_padded(start + from + lane, k, place.to, values_.simplified(base + from + lane));
    });
  }
}

void PlainPacking::store_padded(Expr index, Expr k, BufferId to, Expr slot) {
  const bool inside = prove_less(index, extent_, values_.ranges()) == true;
  if (!inside) builder_.store(to, slot, zero());
  values_.when_less(index, extent_,
                    [&] { builder_.store(to, slot, element_(values_.simplified(index), k)); });
}

// Squares of vectors along k, transposed in registers.
void PlainPacking::transposed(const PackPlace& place, Expr start, Expr base, int64_t width) {
  int64_t side = 1;
  while (side < vector_ && side < width) side *= 2;
  const BufferId square = values_.registers(dtype_, side * side, static_cast<uint32_t>(side));
  for (int64_t from = 0; from < width; from += side) {
    values_.loop(LoopKind::serial, ceil_div(place.length, side), [&](Expr kb) {
      const Expr first = values_.simplified(place.start + kb * side);
      values_.loop(LoopKind::unrolled, side, [&](Expr i) {
        load_row(values_.simplified(start + from + i), first, square, i * side, side);
      });
      builder_.transpose(square);
      values_.loop(LoopKind::unrolled, side, [&](Expr i) {
        const Expr step = values_.simplified(kb * side + i);
        values_.when_less(step, place.length, [&] {
          const int64_t lanes = std::min(side, width - from);
          values_.loop(LoopKind::vector, lanes, [&](Expr lane) {
            builder_.store(place.to, values_.simplified(base + step * width + from + lane),
                           builder_.load(square, values_.simplified(i * side + lane)));
          });
        });
      });
    });
  }
}

void PlainPacking::load_row(Expr index, Expr k, BufferId square, Expr row, int64_t side) {
  const bool inside = prove_less(index, extent_, values_.ranges()) == true;
  const bool whole = is_multiple_of(k_, side);
  auto each = [&](const std::function<void(Expr)>& body) {
    values_.loop(LoopKind::vector, side, body);
  };
  if (!inside || !whole) {
    each([&](Expr lane) { builder_.store(square, values_.simplified(row + lane), zero()); });
  }
  values_.when_less(index, extent_, [&] {
    each([&](Expr lane) {
      values_.when_less(k + lane, k_, [&] {
        builder_.store(square, values_.simplified(row + lane),
                       element_(index, values_.simplified(k + lane)));
      });
    });
  });
}

}  // namespace plait::lower
