// The inverse of an index map: where the elements of a destination come from.
//
// It turns the adjoint of a gather (a scatter) back into a gather: permutations, pads, slices,
// strides, flips and reshapes have an inverse map; a window map (overlapping windows of a
// convolution) has one per position in the window.
#pragma once

#include <optional>
#include <span>

#include "core/shape.h"

namespace plait {

// For a map m from source indices v to destination indices: the sources of destination index d are
// exactly the v = index(d, w), for every w of the windows, that lie inside the source shape and
// have every guard equal to 0; each source comes from one w.
struct InverseMap {
  std::vector<Expr> index;  // per source axis; variable k < rank(to) is destination axis k,
  Shape windows;            // variable rank(to) + j the window axis j of extent windows[j]
  std::vector<Expr> guards;
};

// `map`: per destination axis an expression over the source axes. Absent if it reads tensors or the
// inverse is not found. Sources mapped outside `to` are never asked for.
std::optional<InverseMap> invert_map(std::span<const Expr> map, const Shape& from, const Shape& to);

}  // namespace plait
