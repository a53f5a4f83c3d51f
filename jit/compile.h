// The one driver: from tensors to a program.
#pragma once

#include <memory>
#include <vector>

#include "core/options.h"
#include "jit/program.h"
#include "ops/optim/optimizer.h"
#include "ops/tensor.h"

namespace plait {

// Compiles what `outputs` need, and the assigns of their graph. Outputs are named "0", "1", ….
// Ends the thread's current graph: later sources start a new one.
Program compile(const std::vector<Tensor>& outputs, const Options& options = Options::global());

// A training step: outputs[0] is the loss (a float scalar). Adds gradients by the optimizer's
// parameters and its update; running the program runs one step and advances the optimizer.
Program compile(const std::vector<Tensor>& outputs, std::shared_ptr<optim::Optimizer> optimizer,
                const Options& options = Options::global());

// From a graph, whose outputs keep their names.
Program compile(const Graph& graph, const Options& options = Options::global());

// How often the process compiled, and why.
struct CompileCount {
  uint64_t programs = 0;
  uint64_t kernels = 0;         // generated and compiled
  uint64_t kernels_cached = 0;  // loaded from the object cache
  // One line a program, of the last thousand: "new graph: 1 outputs, 1085 nodes".
  std::vector<std::string> reasons;
};
CompileCount compile_count();

}  // namespace plait
