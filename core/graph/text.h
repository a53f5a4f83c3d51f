// The text form of graphs: prints, and parses back to the same graph.
//
//   graph
//     dim batch 1..64
//     dim seq 8..2048 multiple 8
//     %0 = input "x" : f32[batch, 768]
//     %1 = parameter "w" frozen : f32[768]
//     %2 = broadcast [1] %1 : f32[batch, 768]
//     %3 = binary mul %0 %2 : f32[batch, 768]  @ gpt/h.0/scale "model.py":12
//     %4 = reduce sum [1] %3 : f32[batch]
//     %5 = reindex [i0 + 1] fill 0 %4 : f32[batch]
//     guard batch == seq "[add] sizes must agree"
//     output "y" %5
//
// A node is `%name = op function attributes operands : type`, then its origins. In a map, `i0` is
// an axis and `t0[i0]` an element of the first index operand. Constants of more than 64 elements
// (and NaNs other than the usual one) are written as the hexadecimal digits of their bytes.
// `#` starts a comment. Names of values are free when parsing; equal nodes merge as in Graph::add.
#pragma once

#include <string>
#include <string_view>

#include "core/graph/graph.h"

namespace plait {

std::string to_text(const Graph& graph);

// Slots are made new, zero, by name and type. UserError with line and column when the text is
// malformed, and with the line when a rule of the graph is broken.
Graph parse_graph(std::string_view text);

}  // namespace plait
