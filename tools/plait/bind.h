// Arguments such as `x=a.npy`, `x=weights.safetensors:w` and `weights.safetensors`: the values of a
// graph's inputs and slots.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/graph/graph.h"
#include "core/slot.h"

namespace plait::tool {

// The slots that live nodes read or assign, each once, in order.
std::vector<std::shared_ptr<Slot>> slots_of(const Graph& graph);

// Loads each argument's file. NAME=FILE gives one input, or sets one slot; a file alone, which must
// be a safetensors file, gives each input and slot that it names. Returns the inputs' values.
// UserError: an unknown name (with the nearest ones), a name given twice, another file type, a slot
// of another type. Whether the inputs are complete and of the right type is for the run to check.
std::map<std::string, Array> bind(const Graph& graph, const std::vector<std::string>& arguments);

}  // namespace plait::tool
