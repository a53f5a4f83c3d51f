// Arguments of a captured function that share memory, with each other or with tensors that the
// function takes from outside: where that makes a difference, the function is captured with the
// arguments as they are, so that what is written to one is seen through the others.
#pragma once

#include <set>

#include "python/lazy/capture.h"
#include "python/lazy/tensor.h"

namespace plait::lazy {

// What a captured function gets for an argument.
enum class Given : uint8_t {
  placeholder,  // memory of its own
  bound,        // a view of a cell that a run brings, or the whole of it
  outside,      // a view of a cell that is part of the program: a slot, or what it takes anyway
};

struct Sharing {
  std::string key;           // equal for arguments that share alike; empty: nothing does
  std::vector<Given> given;  // by argument
  bool fixed_sizes = false;  // views are of one size
};

// What a captured function does with memory.
class MemoryUse {
 public:
  // `written`: its placeholders that are written in place. `trained`: the slots that a step trains.
  MemoryUse(std::vector<bool> written, const Capture& capture, std::set<const Slot*> trained);

  // `arguments`: null for arrays.
  Sharing sharing(const std::vector<const LazyTensor*>& arguments) const;

 private:
  struct Group;
  bool matters(const Group& group) const;

  std::vector<bool> written_;
  std::vector<std::pair<std::shared_ptr<Cell>, bool>> externals_;  // and whether it is written
  std::set<const Slot*> trained_;
  bool differentiates_;
  bool writes_;
};

// The view of `cell` that `steps` make on top of `under`, with numbers for symbolic sizes.
std::shared_ptr<const View> stack_views(std::shared_ptr<const View> under, const View* steps,
                                        const SymbolValues& symbols);

}  // namespace plait::lazy
