// Where each value of a program lives, and for how long: decided once, when it is compiled.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/graph/graph.h"
#include "core/slot.h"
#include "jit/launches.h"

namespace plait {

enum class Place : uint8_t {
  none,      // never in memory
  input,     // index: of the program's inputs
  slot,      // index: of the program's slots, the value at entry
  constant,  // index: of the constants
  arena,     // index: of the arena's items
  output,    // index: of the outputs
  assigned,  // index: of the assigns, the slot's new value
};

struct Location {
  Place place = Place::none;
  size_t index = 0;
};

struct AssignState {
  size_t slot;  // of the program's slots
  Value value;
  bool in_place = false;  // may write over the old value
};

// A copy at the end of a run: for outputs and assigns whose value lives elsewhere.
struct FinalCopy {
  Value from;
  Location to;  // output or assigned
};

// Memory in the arena: its size, and the launches (inclusive) between which it is in use.
struct ArenaItem {
  Expr bytes;  // over graph symbols, or over the kernel's arguments for a workspace
  size_t first, last;
  std::optional<size_t> segment;  // workspace: the segment of launch `first` it belongs to
};

// Elements of an input that a launch uses as indices: a run looks at all of them before its first
// launch, so that what it writes in place need not wait for that launch.
struct IndexCheck {
  size_t input;  // of the program's inputs
  Value owner;   // the reindex or scatter
  size_t axis;   // of what it indexes
};

struct Storage {
  std::vector<Location> values;                              // by graph value
  std::vector<std::vector<std::vector<Location>>> launches;  // launch, segment, buffer
  std::vector<std::string> inputs;
  std::vector<Value> input_values;
  std::vector<std::shared_ptr<Slot>> slots;
  std::vector<Array> constants;
  std::vector<AssignState> assigns;
  std::vector<FinalCopy> copies;
  std::vector<ArenaItem> arena;
  // Launches from this one on cannot meet a bad index any more, once `checks` have passed.
  size_t first_safe_launch = 0;
  std::vector<IndexCheck> checks;
};

// `keep_all`: nothing in the arena is reused, so that every value can be read after a run.
Storage plan_storage(const Graph& graph, const fusion::FusionPlan& plan, const LaunchList& list,
                     bool keep_all);

}  // namespace plait
