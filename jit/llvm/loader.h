// Puts object code into the process.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plait::native {

// Machine code of one object; unmapped when destroyed.
class LoadedObject {
 public:
  virtual ~LoadedObject() = default;
  // In the order of the names given to load_object.
  virtual const std::vector<void*>& symbols() const = 0;
};

// Thread safe. Links one object at a time, so that the stack it takes does not grow with the number
// of objects. InternalError if the object lacks a symbol or needs one that Plait does not offer.
std::unique_ptr<LoadedObject> load_object(std::string_view object,
                                          const std::vector<std::string>& symbols);

}  // namespace plait::native
