// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019).
#pragma once

#include "ops/optim/optimizer.h"

namespace plait::optim {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
  int64_t decay_min_rank = 0;  // as in CommonOptions
  std::optional<double> clip_norm = {};
  Schedule schedule = constant();
};

// In the order of torch.optim.AdamW's single-tensor form, t = 1, 2, … the update's number:
//   p  <- p · (1 - lr · weight_decay)
//   m  <- m + (1 - beta1) · (g - m)
//   v  <- v · beta2 + (1 - beta2) · g · g
//   p  <- p - lr / (1 - beta1^t) · (m / (sqrt(v) / sqrt(1 - beta2^t) + eps))
// The factors that hold lr or t are computed on the host in double. State: `exp_avg` (m),
// `exp_avg_sq` (v).
class AdamW : public Optimizer {
 public:
  explicit AdamW(std::vector<std::shared_ptr<Slot>> parameters, const AdamWOptions& options = {});
  explicit AdamW(std::vector<Group> groups, const AdamWOptions& options = {});

 protected:
  Tensor rule(const Update& update) override;
  double rule_scalar(std::string_view name, double lr, double weight_decay,
                     int64_t step) const override;
  Tensor step_from(const Update& update, const Tensor& value, const Tensor& gradient);

 private:
  double beta1_, beta2_, eps_;
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  int64_t decay_min_rank = 0;
  std::optional<double> clip_norm = {};
  Schedule schedule = constant();
};

// AdamW, but decay is an L2 penalty: g <- g + weight_decay · p instead of the first line.
class Adam : public AdamW {
 public:
  explicit Adam(std::vector<std::shared_ptr<Slot>> parameters, const AdamOptions& options = {});
  explicit Adam(std::vector<Group> groups, const AdamOptions& options = {});

 protected:
  Tensor rule(const Update& update) override;
};

}  // namespace plait::optim
