#include "ops/optim/optimizer.h"

#include <cmath>
#include <limits>
#include <unordered_set>

#include "core/error.h"
#include "ops/compose.h"
#include "ops/optim/clip.h"

namespace plait::optim {
namespace {

Array converted(const Array& array, DType dtype) {
  Array result = Array::empty(dtype, array.shape);
  const size_t size = dtype_size(dtype);
  for (int64_t i = 0, n = array.count(); i < n; ++i) {
    array.at(i).cast(dtype).store(result.data<std::byte>() + i * size);
  }
  return result;
}

std::string scalar_input(const std::string& name, size_t group, DType dtype) {
  std::string input = "optim." + name;
  if (group > 0) input += "." + std::to_string(group);
  if (dtype != DType::f32) input += std::string(".") + dtype_name(dtype);
  return input;
}

}  // namespace

Optimizer::Optimizer(std::vector<Group> groups, CommonOptions options)
    : options_(std::move(options)), groups_(std::move(groups)) {
  std::unordered_set<const Slot*> seen;
  PLAIT_CHECK(options_.lr >= 0, "optimizer", "lr must not be negative; got {}", options_.lr);
  PLAIT_CHECK(!options_.clip_norm || *options_.clip_norm >= 0, "optimizer",
              "clip_norm must not be negative; got {}", *options_.clip_norm);
  for (size_t g = 0; g < groups_.size(); ++g) {
    if (!groups_[g].lr) groups_[g].lr = options_.lr;
    if (!groups_[g].weight_decay) groups_[g].weight_decay = options_.weight_decay;
    PLAIT_CHECK(*groups_[g].weight_decay >= 0, "optimizer",
                "weight_decay must not be negative; got {}", *groups_[g].weight_decay);
    for (const std::shared_ptr<Slot>& parameter : groups_[g].parameters) {
      PLAIT_CHECK(parameter != nullptr, "optimizer", "group {} holds a null parameter", g);
      PLAIT_CHECK(is_float(parameter->type().dtype), "optimizer",
                  "parameters must be of a floating type; got '{}': {}", parameter->name(),
                  to_string(parameter->type()));
      PLAIT_CHECK(seen.insert(parameter.get()).second, "optimizer", "parameter '{}' is given twice",
                  parameter->name());
      parameters_.push_back(parameter);
      group_of_.push_back(g);
    }
  }
  PLAIT_CHECK(!parameters_.empty(), "optimizer", "needs at least one parameter");
  step_ = std::make_shared<Slot>("optim.step", Array::full(DType::i64, {}, {DType::i64, 0}), false);
  if (options_.clip_norm) {
    DType dtype = DType::f32;
    for (const auto& parameter : parameters_) dtype = promote(dtype, parameter->type().dtype);
    norm_ = std::make_shared<Slot>("optim.grad_norm", Array::full(dtype, {}, {dtype, 0}), false);
  }
  for (const std::shared_ptr<Slot>& parameter : parameters_) {
    const DType dtype = compute_type(parameter->type().dtype);
    Master& master = masters_.emplace_back();
    if (dtype == parameter->type().dtype) continue;
    master.slot = std::make_shared<Slot>("optim.master." + parameter->name(),
                                         converted(parameter->value(), dtype), false);
    master.parameter_version = parameter->version();
  }
}

void Optimizer::add_state(const std::string& kind) {
  std::vector<std::shared_ptr<Slot>>& slots = state_[kind];
  for (const std::shared_ptr<Slot>& parameter : parameters_) {
    const DType dtype = compute_type(parameter->type().dtype);
    slots.push_back(std::make_shared<Slot>(
        "optim." + kind + "." + parameter->name(),
        Array::full(dtype, parameter->value().shape, Scalar(dtype, 0)), false));
  }
}

Tensor Optimizer::state_value(const std::string& kind, size_t index) {
  return {graph_, meta::parameter(*graph_, state_.at(kind)[index])};
}

void Optimizer::set_state(const std::string& kind, size_t index, const Tensor& value) {
  assign_checked(state_.at(kind)[index], state_value(kind, index), value);
}

Tensor Optimizer::scalar(const std::string& name, size_t index) {
  const DType dtype = compute_type(parameters_[index]->type().dtype);
  const size_t group = group_of_[index];
  const std::string input = scalar_input(name, group, dtype);
  const auto [entry, added] = scalars_.try_emplace(input);
  if (added) {
    entry->second = Array::full(dtype, {}, Scalar(dtype, 0));
    scalar_inputs_.push_back({name, group, entry->second});
  }
  return {graph_, meta::input(*graph_, input, {dtype, {}})};
}

// A step whose gradients are not finite stores the old value.
void Optimizer::assign_checked(const std::shared_ptr<Slot>& slot, const Tensor& old,
                               const Tensor& value) {
  Tensor stored = value;
  if (finite_.defined()) {
    const Tensor finite = detail::broadcast_to_shape(finite_, value.shape());
    stored = {graph_, meta::select(*graph_, finite.value(), value.value(), old.value())};
  }
  assign(slot, stored);
}

void Optimizer::check_gradients(std::span<const Tensor> gradients) const {
  PLAIT_CHECK(gradients.size() == parameters_.size(), "optimizer",
              "needs one gradient for each parameter; got {} gradients for {} parameters",
              gradients.size(), parameters_.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    PLAIT_CHECK(gradients[i].type() == parameters_[i]->type(), "optimizer",
                "a gradient has its parameter's dtype and shape; got {} for '{}': {}",
                to_string(gradients[i].type()), parameters_[i]->name(),
                to_string(parameters_[i]->type()));
  }
}

void Optimizer::update(std::span<const Tensor> gradients) {
  check_gradients(gradients);
  Scope scope("optim");
  std::vector<Tensor> defined;
  for (const Tensor& gradient : gradients) {
    if (gradient.defined()) defined.push_back(gradient);
  }
  if (defined.empty()) return;
  graph_ = detail::graph_of(defined);
  for (Tensor& gradient : defined) gradient = {graph_, detail::value_in(*graph_, gradient)};

  Tensor factor;
  finite_ = {};
  if (options_.clip_norm) {
    const Tensor norm = detail::cast_to(global_norm(defined), norm_->type().dtype);
    factor = clip_factor(norm, *options_.clip_norm);
    finite_ = is_finite_norm(norm);
    assign(norm_, norm);
  }
  size_t next = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const std::shared_ptr<Slot>& slot = parameters_[i];
    const Group& group = groups_[group_of_[i]];
    Scope parameter_scope(slot->name());
    const DType dtype = compute_type(slot->type().dtype);
    const std::shared_ptr<Slot>& source = masters_[i].slot ? masters_[i].slot : slot;
    Update update{.index = i,
                  .value = {graph_, meta::parameter(*graph_, source)},
                  .gradient = detail::cast_to(defined[next++], dtype),
                  .decays = *group.weight_decay > 0 &&
                            static_cast<int64_t>(slot->type().rank()) >= options_.decay_min_rank,
                  .weight_decay = *group.weight_decay};
    if (factor.defined()) update.gradient = update.gradient * detail::cast_to(factor, dtype);
    const Tensor value = rule(update);
    assign_checked(source, update.value, value);
    if (source != slot) {
      const Tensor old(graph_, meta::parameter(*graph_, slot));
      assign_checked(slot, old, detail::cast_to(value, slot->type().dtype));
    }
  }
  graph_ = nullptr;
  finite_ = {};
}

double Optimizer::lr(size_t group) const { return *groups_[group].lr * options_.schedule(step()); }

void Optimizer::set_lr(double lr) {
  PLAIT_CHECK(lr >= 0, "optimizer", "lr must not be negative; got {}", lr);
  for (Group& group : groups_) group.lr = lr;
}

double Optimizer::grad_norm() const {
  PLAIT_CHECK(norm_ != nullptr, "optimizer",
              "the norm is computed only when gradients are clipped. hint: set clip_norm");
  return norm_->value().item();
}

// A master follows a parameter that somebody else wrote, unless the master was written too (by a
// checkpoint that holds both).
void Optimizer::follow_parameters() {
  for (size_t i = 0; i < masters_.size(); ++i) {
    Master& master = masters_[i];
    if (!master.slot) continue;
    const Slot& parameter = *parameters_[i];
    if (parameter.version() != master.parameter_version &&
        master.slot->version() == master.version) {
      master.slot->set(converted(parameter.value(), master.slot->type().dtype));
    }
    master.parameter_version = parameter.version();
    master.version = master.slot->version();
  }
}

const std::map<std::string, Array>& Optimizer::scalars() {
  follow_parameters();
  for (const ScalarInput& input : scalar_inputs_) {
    const double value =
        rule_scalar(input.name, lr(input.group), *groups_[input.group].weight_decay, step() + 1);
    Scalar(input.value.dtype, value).store(input.value.buffer->data());
  }
  return scalars_;
}

void Optimizer::advance() {
  for (size_t i = 0; i < masters_.size(); ++i) {
    if (!masters_[i].slot) continue;
    masters_[i].parameter_version = parameters_[i]->version();
    masters_[i].version = masters_[i].slot->version();
  }
  if (norm_ && !std::isfinite(norm_->value().item())) return;
  Array next = step_->value();
  if (next.buffer.use_count() > 2) next = next.clone();  // somebody beside the slot and us holds it
  ++next.data<int64_t>()[0];
  step_->set(std::move(next));
}

std::vector<NamedSlot> Optimizer::state() const {
  std::vector<NamedSlot> result = {{"optim.step", step_}};
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& path = parameters_[i]->name();
    for (const auto& [kind, slots] : state_) {
      result.push_back({"optim." + kind + "." + path, slots[i]});
    }
    if (masters_[i].slot) result.push_back({"optim.master." + path, masters_[i].slot});
  }
  return result;
}

}  // namespace plait::optim
