#include "ops/nn/module.h"

#include <algorithm>
#include <unordered_set>

#include "core/error.h"

namespace plait::nn {

Tensor Module::forward(const Tensor&) {
  PLAIT_CHECK(false, name_.empty() ? "module" : name_,
              "this module has no forward of one tensor. hint: override Module::forward, or call "
              "the module's own forward");
  PLAIT_UNREACHABLE("the check above always fails");
}

void Module::train(bool on) {
  training_ = on;
  for (const auto& [name, child] : children_) child->train(on);
}

std::vector<NamedSlot> Module::collect(Kinds kinds) const {
  std::vector<NamedSlot> result;
  std::unordered_set<const Slot*> seen;
  // Depth first, children in order, with a stack of its own: (module, its path with the dot).
  std::vector<std::pair<const Module*, std::string>> pending = {{this, ""}};
  while (!pending.empty()) {
    const auto [module, prefix] = std::move(pending.back());
    pending.pop_back();
    for (const NamedSlot& own : module->slots_) {
      const bool wanted =
          kinds == Kinds::all || own.slot->trainable() == (kinds == Kinds::parameters);
      if (wanted && seen.insert(own.slot.get()).second) {
        result.push_back({prefix + own.name, own.slot});
      }
    }
    for (auto child = module->children_.rbegin(); child != module->children_.rend(); ++child) {
      pending.emplace_back(child->second, prefix + child->first + ".");
    }
  }
  return result;
}

std::vector<std::shared_ptr<Slot>> Module::parameters() const {
  std::vector<std::shared_ptr<Slot>> result;
  for (NamedSlot& named : named_parameters()) result.push_back(std::move(named.slot));
  return result;
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const NamedSlot& named : named_parameters()) count += named.slot->value().count();
  return count;
}

void Module::check_name(const std::string& name) const {
  const bool well_formed = !name.empty() && name.front() != '.' && name.back() != '.' &&
                           name.find("..") == std::string::npos &&
                           name.find('/') == std::string::npos;
  PLAIT_CHECK(well_formed, "module",
              "a name has parts joined by dots, without '/'; got '{}' in module '{}'", name, name_);
  const auto is_name = [&](const auto& entry) { return entry.first == name; };
  const bool taken =
      std::any_of(children_.begin(), children_.end(), is_name) ||
      std::any_of(slots_.begin(), slots_.end(), [&](const auto& own) { return own.name == name; });
  PLAIT_CHECK(!taken, "module", "'{}' is registered twice in module '{}'", name, name_);
}

// Every slot below gets its path from here; a parent registered later lengthens it.
void Module::name_slots() {
  for (const NamedSlot& named : state()) named.slot->rename(named.name);
}

std::shared_ptr<Slot> Module::add_parameter(const std::string& name, Array value) {
  check_name(name);
  slots_.push_back({name, std::make_shared<Slot>(name, std::move(value))});
  return slots_.back().slot;
}

std::shared_ptr<Slot> Module::add_buffer(const std::string& name, Array value) {
  check_name(name);
  slots_.push_back({name, std::make_shared<Slot>(name, std::move(value), false)});
  return slots_.back().slot;
}

void Module::share(const std::string& name, std::shared_ptr<Slot> slot) {
  check_name(name);
  slots_.push_back({name, std::move(slot)});
}

void Module::add(const std::string& name, Module& child) {
  check_name(name);
  const auto is_child = [&](const auto& entry) { return entry.second == &child; };
  PLAIT_CHECK(std::none_of(children_.begin(), children_.end(), is_child), "module",
              "a child is registered under two names; got '{}' and '{}' in module '{}'",
              child.name(), name, name_);
  children_.emplace_back(name, &child);
  child.name_ = name;
  name_slots();
}

}  // namespace plait::nn
