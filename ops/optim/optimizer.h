// What optimizers share: groups, schedules, clipping, the step count, and slots of state.
//
// An optimizer adds its update to the graph of the gradients (assigns of parameters and state), so
// that it fuses and compiles with them. All that varies from step to step is an input of the graph
// (`optim.lr`, …): a schedule or a new learning rate compiles nothing. A training step is
//   update(gradients)                once, while the graph is built
//   run with scalars(); advance()    each step; compile(outputs, optimizer) makes run() do both
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/slot.h"
#include "ops/optim/schedule.h"
#include "ops/tensor.h"

namespace plait::optim {

// Parameters with settings of their own; what is absent comes from the optimizer's options.
struct Group {
  std::vector<std::shared_ptr<Slot>> parameters;
  std::optional<double> lr = {};
  std::optional<double> weight_decay = {};
};

// The options that every optimizer has.
struct CommonOptions {
  double lr;
  double weight_decay;
  int64_t decay_min_rank = 0;  // parameters of fewer axes do not decay: 2 spares biases and norms
  // Scales all gradients by min(1, clip_norm / (norm + 1e-6)), the norm taken over all parameters.
  // If the norm is infinite or NaN the step changes nothing: no parameter, no state, no count.
  std::optional<double> clip_norm = {};
  Schedule schedule = constant();
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // In the order of the groups; gradients come in this order.
  const std::vector<std::shared_ptr<Slot>>& parameters() const { return parameters_; }

  // Adds the update to the gradients' graph. A gradient has its parameter's dtype and shape, or is
  // an undefined Tensor: then its parameter stays. UserError names the parameter otherwise.
  // Half-precision parameters are updated through f32 master copies, so small steps add up.
  void update(std::span<const Tensor> gradients);

  // The values of the graph's scalar inputs for the coming step, by input name. The arrays belong
  // to the optimizer and change with its next call.
  const std::map<std::string, Array>& scalars();
  // After a step that ran: counts it, unless its gradients were not finite.
  void advance();

  int64_t step() const { return step_->value().data<int64_t>()[0]; }  // updates made
  double lr() const { return lr(0); }  // of the first group, for the coming step
  void set_lr(double lr);              // of all groups, before the schedule
  void set_schedule(Schedule schedule) { options_.schedule = std::move(schedule); }
  // The norm of the last step's gradients, before clipping. UserError without clip_norm.
  double grad_norm() const;

  // What a checkpoint of the optimizer holds: `optim.step` and, for each parameter, its slots of
  // state as `optim.KIND.PATH`. They must be part of a checkpoint that training resumes from.
  std::vector<NamedSlot> state() const;

 protected:
  Optimizer(std::vector<Group> groups, CommonOptions options);

  // One parameter in update(): what a rule computes with. All values are of the compute type.
  struct Update {
    size_t index;  // of the parameter
    Tensor value;
    Tensor gradient;  // clipped
    bool decays;      // whether weight decay applies
    double weight_decay;
  };
  // The new value of the parameter. State is read with state_value, written with set_state.
  virtual Tensor rule(const Update& update) = 0;
  // The value of scalar `name` for update number `step` (from 1) of a group at learning rate `lr`.
  virtual double rule_scalar(std::string_view name, double lr, double weight_decay,
                             int64_t step) const = 0;

  // Declares a slot of zeros, of the shape and compute type of each parameter, in constructors.
  void add_state(const std::string& kind);
  Tensor state_value(const std::string& kind, size_t index);
  void set_state(const std::string& kind, size_t index, const Tensor& value);
  // A scalar of the parameter's group, as a tensor of rank 0 and its compute type.
  Tensor scalar(const std::string& name, size_t index);

 private:
  double lr(size_t group) const;
  void check_gradients(std::span<const Tensor> gradients) const;
  void assign_checked(const std::shared_ptr<Slot>& slot, const Tensor& old, const Tensor& value);
  void follow_parameters();

  CommonOptions options_;
  std::vector<Group> groups_;
  std::vector<std::shared_ptr<Slot>> parameters_;
  std::vector<size_t> group_of_;                                     // by parameter
  std::map<std::string, std::vector<std::shared_ptr<Slot>>> state_;  // by kind, then parameter
  std::shared_ptr<Slot> step_, norm_;

  struct ScalarInput {
    std::string name;  // of the rule
    size_t group;
    Array value;  // the one in scalars_
  };
  std::vector<ScalarInput> scalar_inputs_;
  std::map<std::string, Array> scalars_;  // by input name

  // Of half-precision parameters: f32 copies (null for others), and the versions they agree at.
  struct Master {
    std::shared_ptr<Slot> slot;
    uint64_t parameter_version = 0;
    uint64_t version = 0;
  };
  std::vector<Master> masters_;

  // Only during update().
  std::shared_ptr<Graph> graph_;
  Tensor finite_;  // undefined without clipping
};

}  // namespace plait::optim
