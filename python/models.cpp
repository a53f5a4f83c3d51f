// Slots of modules, their initial values, models written in C++, and data for them.
#include "ops/models/gpt.h"
#include "ops/models/text.h"
#include "ops/nn/init.h"
#include "python/bindings.h"

namespace plait::python {
namespace {

std::vector<std::pair<std::string, LazyTensor>> named_parameters(const nn::Module& module) {
  std::vector<std::pair<std::string, LazyTensor>> result;
  for (const NamedSlot& named : module.named_parameters()) {
    result.emplace_back(named.name, LazyTensor(named.slot));
  }
  return result;
}

}  // namespace

void bind_models(py::module_& module) {
  module.def("parameter", [](const std::string& name, const py::array& value) {
    return LazyTensor(std::make_shared<Slot>(name, to_array(value), true));
  });
  module.def("init_uniform", [](std::vector<int64_t> shape, double low, double high) {
    return to_numpy(nn::init::uniform(std::move(shape), low, high));
  });
  module.def("init_normal", [](std::vector<int64_t> shape, double mean, double deviation) {
    return to_numpy(nn::init::normal(std::move(shape), mean, deviation));
  });
  py::class_<models::GPT>(module, "GPT")
      .def(py::init([](int64_t layers, int64_t width, int64_t heads, int64_t context, int64_t vocab,
                       int64_t seed) {
             return std::make_unique<models::GPT>(
                 models::GPTConfig{layers, width, heads, context, vocab}, seed);
           }),
           py::arg("layers") = 4, py::arg("width") = 128, py::arg("heads") = 4,
           py::arg("context") = 128, py::arg("vocab") = 256, py::arg("seed") = 0)
      .def("__call__",
           [](models::GPT& gpt, const py::object& tokens) {
             return LazyTensor(gpt(to_tensor(tokens).in_graph()));
           })
      .def("named_parameters", [](const models::GPT& gpt) { return named_parameters(gpt); });
  py::class_<models::TextData>(module, "TextData")
      .def_static("load", [](const std::string& path) { return models::TextData::load(path); })
      .def("training_batch",
           [](const models::TextData& text, int64_t seed, int64_t step, int64_t rows,
              int64_t length) {
             const models::TextBatch batch = text.training_batch(seed, step, rows, length);
             return std::pair(to_numpy(batch.tokens), to_numpy(batch.targets));
           })
      .def("held_out_batch",
           [](const models::TextData& text, int64_t index, int64_t rows, int64_t length) {
             const models::TextBatch batch = text.held_out_batch(index, rows, length);
             return std::pair(to_numpy(batch.tokens), to_numpy(batch.targets));
           });
}

}  // namespace plait::python
