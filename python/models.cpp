// Initial values, models written in C++, data for them, and files of tensors.
#include <pybind11/stl/filesystem.h>

#include "core/error.h"
#include "ops/checkpoint.h"
#include "ops/models/gpt.h"
#include "ops/models/text.h"
#include "ops/nn/init.h"
#include "python/bindings.h"
#include "python/lazy/evaluate.h"

namespace plait::python {
namespace {

using NamedTensors = std::vector<std::pair<std::string, LazyTensor>>;

std::vector<NamedSlot> slots_of(const NamedTensors& tensors) {
  std::vector<NamedSlot> slots;
  for (const auto& [name, tensor] : tensors) {
    PLAIT_CHECK(tensor.cell()->slot() && !tensor.is_view(), "checkpoint",
                "'{}' is not a parameter or buffer", name);
    slots.push_back({name, tensor.cell()->slot()});
  }
  return slots;
}

void save(const std::filesystem::path& path, const NamedTensors& tensors,
          const Metadata& metadata) {
  std::vector<NamedArray> arrays;
  for (const auto& [name, tensor] : tensors) {
    arrays.push_back({name, lazy::array_of(tensor.value())});
  }
  const py::gil_scoped_release release;
  save_safetensors(path, arrays, metadata);
}

std::pair<std::map<std::string, LazyTensor>, Metadata> load(const std::filesystem::path& path) {
  std::map<std::string, LazyTensor> tensors;
  const SafetensorsFile file(path);
  for (const SafetensorsFile::Entry& entry : file.entries()) {
    tensors.emplace(entry.name, LazyTensor(lazy::array_node(file.read(entry))));
  }
  return {std::move(tensors), file.metadata()};
}

void bind_files(py::module_& module) {
  module.def("save", &save, py::arg("path"), py::arg("tensors"), py::arg("metadata"));
  module.def("load", &load, py::arg("path"));
  module.def("save_checkpoint", [](const std::filesystem::path& path, const NamedTensors& tensors,
                                   const Metadata& metadata) {
    const std::vector<NamedSlot> slots = slots_of(tensors);
    const py::gil_scoped_release release;
    save_checkpoint(path, slots, metadata);
  });
  module.def("load_checkpoint", [](const std::filesystem::path& path, const NamedTensors& tensors,
                                   bool ignore_unexpected) {
    const std::vector<NamedSlot> slots = slots_of(tensors);
    const py::gil_scoped_release release;
    return load_checkpoint(path, slots, {.ignore_unexpected = ignore_unexpected});
  });
}

}  // namespace

void bind_models(py::module_& module) {
  bind_files(module);
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
