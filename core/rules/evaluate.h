// The reference evaluator: what a graph means, computed slowly and independently of the compiler.
//
// Elementwise results are computed in double and rounded once to their dtype, node by node (so the
// half types round at every node); reductions accumulate in double (long double for f64). It
// defines values up to rounding, not the bit contract of kernels. Products and broadcasts that only
// feed a reduction are pulled element by element, so a matmul takes no M*N*K memory.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/graph.h"
#include "core/slot.h"

namespace plait {

struct Evaluation {
  std::vector<Array> outputs;                                    // in the graph's order
  std::vector<std::pair<std::shared_ptr<Slot>, Array>> assigns;  // what a run would store
};

// Reads inputs by name and slots at their present value; writes no slot. Symbols are taken from
// `symbols` and from the shapes of the inputs. UserError: an input is missing or has another dtype
// or shape than declared, a symbol is unknown or outside its bounds, a size guard fails, an index
// with OutOfRange::error is out of range (names op, axis, position, value), or max/min/argmax of a
// symbolic axis that turns out empty.
Evaluation evaluate(const Graph& graph, const std::map<std::string, Array>& inputs,
                    const SymbolValues& symbols = {});

// The values of the symbols that the shapes of the live inputs tell, and `known`, checked against
// their bounds, with the graph's size guards checked.
SymbolValues infer_symbols(const Graph& graph, const std::map<std::string, Array>& inputs,
                           SymbolValues known = {});

}  // namespace plait
