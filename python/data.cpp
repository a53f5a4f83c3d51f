// Initial values, texts to learn, and files of tensors.
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/io/idx.h"
#include "ops/checkpoint.h"
#include "ops/models/shuffle.h"
#include "ops/models/text.h"
#include "ops/nn/init.h"
#include "python/bindings.h"
#include "python/lazy/evaluate.h"

namespace plait::python {
namespace {

using NamedTensors = std::vector<std::pair<std::string, LazyTensor>>;

bool has_slot(const LazyTensor& tensor) { return tensor.cell()->slot() && !tensor.is_view(); }

// The tensors' slots; of those that have none, slots that hold their values for now.
std::vector<NamedSlot> slots_of(const NamedTensors& tensors) {
  std::vector<NamedSlot> slots;
  for (const auto& [name, tensor] : tensors) {
    slots.push_back({name, has_slot(tensor) ? tensor.cell()->slot()
                                            : std::make_shared<Slot>(
                                                  name, lazy::array_of(tensor.value()), false)});
  }
  return slots;
}

// Writes to tensors whatever gradients they have.
void overwrite(const LazyTensor& tensor, const Array& array) {
  const bool on = std::exchange(lazy::grad_enabled(), false);
  try {
    LazyTensor(tensor).write(lazy::array_node(array));
  } catch (...) {
    lazy::grad_enabled() = on;
    throw;
  }
  lazy::grad_enabled() = on;
}

void save(const std::filesystem::path& path, const NamedTensors& tensors,
          const Metadata& metadata) {
  const std::vector<NamedSlot> slots = slots_of(tensors);
  const py::gil_scoped_release release;
  save_checkpoint(path, slots, metadata);
}

std::map<std::string, LazyTensor> load(const std::filesystem::path& path) {
  std::vector<NamedSlot> slots;
  {
    const py::gil_scoped_release release;
    const SafetensorsFile file(path);
    for (const SafetensorsFile::Entry& entry : file.entries()) {
      slots.push_back({entry.name, std::make_shared<Slot>(entry.name, file.read(entry), false)});
    }
    load_checkpoint(path, slots);  // compares checksums
  }
  std::map<std::string, LazyTensor> tensors;
  for (const NamedSlot& named : slots) {
    tensors.emplace(named.name, LazyTensor(lazy::array_node(named.slot->value())));
  }
  return tensors;
}

Metadata load_into(const std::filesystem::path& path, const NamedTensors& tensors,
                   bool ignore_unexpected) {
  const std::vector<NamedSlot> slots = slots_of(tensors);
  Metadata metadata;
  {
    const py::gil_scoped_release release;
    metadata = load_checkpoint(path, slots, {.ignore_unexpected = ignore_unexpected});
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const LazyTensor& tensor = tensors[i].second;
    if (!has_slot(tensor)) overwrite(tensor, slots[i].slot->value());
  }
  return metadata;
}

// Sets all tensors, or none if a name, a dtype or a shape differs.
void write_all(const std::string& op, const NamedTensors& tensors,
               const std::map<std::string, py::object>& values) {
  std::vector<Array> arrays;
  for (const auto& [name, tensor] : tensors) {
    const auto found = values.find(name);
    PLAIT_CHECK(found != values.end(), op, "'{}' is missing; got {} names for {} tensors", name,
                values.size(), tensors.size());
    arrays.push_back(lazy::array_of(to_tensor(found->second).value()));
    PLAIT_CHECK(arrays.back().type() == tensor.type(), op,
                "'{}' has another type; got {}, needs {}", name, to_string(arrays.back().type()),
                to_string(tensor.type()));
  }
  for (const auto& [name, value] : values) {
    const bool known = std::any_of(tensors.begin(), tensors.end(),
                                   [&](const auto& tensor) { return tensor.first == name; });
    PLAIT_CHECK(known, op, "there is no '{}' to set", name);
  }
  for (size_t i = 0; i < tensors.size(); ++i) overwrite(tensors[i].second, arrays[i]);
}

void bind_files(py::module_& module) {
  module.def("save", &save, py::arg("path"), py::arg("tensors"), py::arg("metadata"));
  module.def("load", &load, py::arg("path"));
  module.def("load_into", &load_into, py::arg("path"), py::arg("tensors"),
             py::arg("ignore_unexpected"));
  module.def("write_all", &write_all);
}

}  // namespace

void bind_data(py::module_& module) {
  bind_files(module);
  module.def("load_idx",
             [](const std::filesystem::path& path) { return view_numpy(load_idx(path)); });
  module.def(
      "shuffled",
      [](int64_t count, int64_t seed, int64_t epoch) -> py::array {
        const std::vector<int64_t> order = models::shuffled(count, seed, epoch);
        return py::array_t<int64_t>(static_cast<py::ssize_t>(order.size()), order.data());
      },
      py::arg("count"), py::arg("seed"), py::arg("epoch"));
  module.def("init_uniform", [](std::vector<int64_t> shape, double low, double high) {
    return LazyTensor(lazy::array_node(nn::init::uniform(std::move(shape), low, high)));
  });
  module.def("init_normal", [](std::vector<int64_t> shape, double mean, double deviation) {
    return LazyTensor(lazy::array_node(nn::init::normal(std::move(shape), mean, deviation)));
  });
  py::class_<models::TextData>(module, "TextData")
      .def_static("load",
                  [](const std::filesystem::path& path) { return models::TextData::load(path); })
      .def_property_readonly("size", &models::TextData::size)
      .def_property_readonly("training_size", &models::TextData::training_size)
      .def(
          "training_batch",
          [](const models::TextData& text, int64_t seed, int64_t step, int64_t rows,
             int64_t length) {
            const models::TextBatch batch = text.training_batch(seed, step, rows, length);
            return std::pair(view_numpy(batch.tokens), view_numpy(batch.targets));
          },
          py::arg("seed"), py::arg("step"), py::arg("rows"), py::arg("length"))
      .def("held_out_batches", &models::TextData::held_out_batches, py::arg("rows"),
           py::arg("length"))
      .def(
          "held_out_batch",
          [](const models::TextData& text, int64_t index, int64_t rows, int64_t length) {
            const models::TextBatch batch = text.held_out_batch(index, rows, length);
            return std::pair(view_numpy(batch.tokens), view_numpy(batch.targets));
          },
          py::arg("index"), py::arg("rows"), py::arg("length"));
}

}  // namespace plait::python
