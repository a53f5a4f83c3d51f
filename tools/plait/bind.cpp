#include "tools/plait/bind.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/io/npy.h"
#include "core/io/safetensors.h"
#include "core/nearest.h"

namespace plait::tool {
namespace {

constexpr const char* kOp = "run";

// Where the values go.
class Binder {
 public:
  explicit Binder(const Graph& graph) : slots_(slots_of(graph)) {
    const auto live = live_nodes(graph);
    for (Value v = 0; v < graph.size(); ++v) {
      const Node& node = graph.node(v);
      if (live[v] && node.op == MetaOp::input) inputs_.insert(node.attributes.name);
    }
  }

  void bind(const std::string& name, Array array) {
    PLAIT_CHECK(bound_.insert(name).second, kOp, "'{}' is given twice", name);
    const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                   [&](const auto& known) { return known->name() == name; });
    const bool input = inputs_.contains(name);
    if (input) values[name] = array;
    if (slot != slots_.end()) (*slot)->set(std::move(array));
    if (input || slot != slots_.end()) return;
    std::vector<std::string_view> names(inputs_.begin(), inputs_.end());
    for (const auto& known : slots_) names.push_back(known->name());
    throw UserError(fmt::format("[{}] the graph has no input or slot '{}'. hint: {}", kOp, name,
                                nearest_names(name, names)));
  }

  std::map<std::string, Array> values;

 private:
  std::vector<std::shared_ptr<Slot>> slots_;
  std::set<std::string> inputs_;
  std::set<std::string> bound_;
};

bool has_suffix(const std::string& file, std::string_view suffix) {
  return std::string_view(file).ends_with(suffix);
}

// "a.npy", or "a.safetensors:tensor"; without ":tensor" the tensor is called as `name`.
Array load_one(const std::string& name, const std::string& file) {
  if (has_suffix(file, ".npy")) return load_npy(file);
  if (has_suffix(file, ".safetensors")) return SafetensorsFile(file).read(name);
  constexpr std::string_view separator = ".safetensors:";
  const size_t split = file.find(separator);
  PLAIT_CHECK(split != std::string::npos, kOp,
              "'{}' for '{}' is neither a .npy nor a .safetensors file. hint: a tensor of a file "
              "of many is FILE.safetensors:TENSOR",
              file, name);
  const size_t end = split + separator.size();
  return SafetensorsFile(file.substr(0, end - 1)).read(file.substr(end));
}

}  // namespace

std::vector<std::shared_ptr<Slot>> slots_of(const Graph& graph) {
  std::vector<std::shared_ptr<Slot>> slots;
  std::set<const Slot*> seen;
  const auto live = live_nodes(graph);
  for (Value v = 0; v < graph.size(); ++v) {
    const auto& slot = graph.node(v).attributes.slot;
    if (live[v] && slot && seen.insert(slot.get()).second) slots.push_back(slot);
  }
  return slots;
}

std::map<std::string, Array> bind(const Graph& graph, const std::vector<std::string>& arguments) {
  Binder binder(graph);
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    if (equals != std::string::npos && !std::filesystem::exists(argument)) {
      const std::string name = argument.substr(0, equals);
      binder.bind(name, load_one(name, argument.substr(equals + 1)));
      continue;
    }
    PLAIT_CHECK(has_suffix(argument, ".safetensors"), kOp,
                "'{}' names no input. hint: NAME={}, or a .safetensors file", argument, argument);
    const SafetensorsFile file(argument);
    for (const auto& entry : file.entries()) binder.bind(entry.name, file.read(entry));
  }
  return std::move(binder.values);
}

}  // namespace plait::tool
