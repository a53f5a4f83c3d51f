// Stochastic gradient descent with momentum.
#pragma once

#include "ops/optim/optimizer.h"

namespace plait::optim {

struct SGDOptions {
  double lr = 1e-3;
  double momentum = 0;
  bool nesterov = false;  // needs momentum
  double weight_decay = 0;
  int64_t decay_min_rank = 0;  // as in CommonOptions
  std::optional<double> clip_norm = {};
  Schedule schedule = constant();
};

// In the order of torch.optim.SGD (without dampening):
//   g <- g + weight_decay · p
//   b <- momentum · b + g                    (state `momentum`; only if momentum > 0)
//   g <- g + momentum · b if nesterov, else b
//   p <- p - lr · g
class SGD : public Optimizer {
 public:
  explicit SGD(std::vector<std::shared_ptr<Slot>> parameters, const SGDOptions& options = {});
  explicit SGD(std::vector<Group> groups, const SGDOptions& options = {});

 protected:
  Tensor rule(const Update& update) override;
  double rule_scalar(std::string_view name, double lr, double weight_decay,
                     int64_t step) const override;

 private:
  double momentum_;
  bool nesterov_;
};

}  // namespace plait::optim
