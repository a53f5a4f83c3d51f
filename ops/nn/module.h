// What models are made of: named parameters, buffers and child modules, in registration order.
//
//   struct Block : nn::Module {
//     nn::LayerNorm ln;
//     nn::Linear fc1, fc2;
//     explicit Block(int64_t width) : ln(width), fc1(width, 4 * width), fc2(4 * width, width) {
//       add("ln", ln), add("fc1", fc1), add("fc2", fc2);
//     }
//     Tensor forward(const Tensor& x) override { return x + fc2(gelu(fc1(ln(x)))); }
//   };
//
// Calling a module opens a scope of its name, so the nodes and kernels of a call are named by the
// path through the model: `gpt/h.3/attn/softmax`. Parameters have PyTorch's dotted paths
// (`h.3.attn.qkv.weight`), which are also the names of their slots.
// Children are members of their parent and are registered by address: a module neither copies nor
// moves.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/slot.h"
#include "ops/tensor.h"

namespace plait::nn {

template <class M>
class ModuleList;

class Module {
 public:
  // `name` is the scope of a root; a parent gives its children their names.
  explicit Module(std::string name = {}) : name_(std::move(name)) {}
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // What the module computes from one tensor. Modules of other arguments define their own and open
  // `Scope scope(name())` there; for them this one is a UserError.
  virtual Tensor forward(const Tensor& input);
  Tensor operator()(const Tensor& input) {
    Scope scope(name_);
    return forward(input);
  }

  const std::string& name() const { return name_; }  // of this module in its parent
  bool training() const { return training_; }
  void train(bool on = true);  // this module and all below it
  void eval() { train(false); }

  // All slots of this module and those below it, each once (the first of its paths if it is
  // shared): a module's own before those of its children, both in registration order.
  std::vector<NamedSlot> named_parameters() const { return collect(Kinds::parameters); }
  std::vector<NamedSlot> named_buffers() const { return collect(Kinds::buffers); }
  std::vector<NamedSlot> state() const { return collect(Kinds::all); }  // what a checkpoint holds
  std::vector<std::shared_ptr<Slot>> parameters() const;
  int64_t parameter_count() const;  // elements

 protected:
  // UserError if `name` is empty, holds an empty part, or is taken.
  std::shared_ptr<Slot> add_parameter(const std::string& name, Array value);
  std::shared_ptr<Slot> add_buffer(const std::string& name, Array value);
  // A slot that another module made: weights tied to its.
  void share(const std::string& name, std::shared_ptr<Slot> slot);
  void add(const std::string& name, Module& child);
  template <class M>
  void add(const std::string& name, ModuleList<M>& children);

 private:
  enum class Kinds { parameters, buffers, all };
  std::vector<NamedSlot> collect(Kinds kinds) const;
  void check_name(const std::string& name) const;
  void name_slots();

  std::string name_;
  bool training_ = true;
  std::vector<NamedSlot> slots_;
  std::vector<std::pair<std::string, Module*>> children_;
};

// Modules of one type in a row; the parent registers them as `name.0`, `name.1`, ….
template <class M>
class ModuleList {
 public:
  template <class... Arguments>
  M& emplace_back(Arguments&&... arguments) {
    return modules_.emplace_back(std::forward<Arguments>(arguments)...);
  }
  size_t size() const { return modules_.size(); }
  M& operator[](size_t i) { return modules_[i]; }
  auto begin() { return modules_.begin(); }
  auto end() { return modules_.end(); }

 private:
  std::deque<M> modules_;  // keeps addresses
};

template <class M>
void Module::add(const std::string& name, ModuleList<M>& children) {
  for (size_t i = 0; i < children.size(); ++i) add(name + "." + std::to_string(i), children[i]);
}

}  // namespace plait::nn
