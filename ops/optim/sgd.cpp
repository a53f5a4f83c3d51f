#include "ops/optim/sgd.h"

#include "core/error.h"

namespace plait::optim {

SGD::SGD(std::vector<std::shared_ptr<Slot>> parameters, const SGDOptions& options)
    : SGD(std::vector<Group>{{.parameters = std::move(parameters)}}, options) {}

SGD::SGD(std::vector<Group> groups, const SGDOptions& options)
    : Optimizer(std::move(groups), {.lr = options.lr,
                                    .weight_decay = options.weight_decay,
                                    .decay_min_rank = options.decay_min_rank,
                                    .clip_norm = options.clip_norm,
                                    .schedule = options.schedule}),
      momentum_(options.momentum),
      nesterov_(options.nesterov) {
  PLAIT_CHECK(momentum_ >= 0, "SGD", "momentum must not be negative; got {}", momentum_);
  PLAIT_CHECK(!nesterov_ || momentum_ > 0, "SGD", "nesterov needs momentum; got momentum: {}",
              momentum_);
  if (momentum_ > 0) add_state("momentum");
}

Tensor SGD::rule(const Update& update) {
  Tensor gradient = update.gradient;
  if (update.decays) gradient = gradient + update.value * update.weight_decay;
  if (momentum_ > 0) {
    const Tensor buffer = state_value("momentum", update.index) * momentum_ + gradient;
    set_state("momentum", update.index, buffer);
    gradient = nesterov_ ? gradient + buffer * momentum_ : buffer;
  }
  return update.value - scalar("lr", update.index) * gradient;
}

double SGD::rule_scalar(std::string_view name, double lr, double, int64_t) const {
  PLAIT_INTERNAL_CHECK(name == "lr", "SGD has no scalar '{}'", name);
  return lr;
}

}  // namespace plait::optim
