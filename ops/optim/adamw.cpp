#include "ops/optim/adamw.h"

#include <cmath>

#include "core/error.h"
#include "ops/compose.h"

namespace plait::optim {
namespace {

AdamWOptions adamw_options(const AdamOptions& o) {
  return {.lr = o.lr,
          .beta1 = o.beta1,
          .beta2 = o.beta2,
          .eps = o.eps,
          .weight_decay = o.weight_decay,
          .decay_min_rank = o.decay_min_rank,
          .clip_norm = o.clip_norm,
          .schedule = o.schedule};
}

}  // namespace

AdamW::AdamW(std::vector<std::shared_ptr<Slot>> parameters, const AdamWOptions& options)
    : AdamW(std::vector<Group>{{.parameters = std::move(parameters)}}, options) {}

AdamW::AdamW(std::vector<Group> groups, const AdamWOptions& options)
    : Optimizer(std::move(groups), {.lr = options.lr,
                                    .weight_decay = options.weight_decay,
                                    .decay_min_rank = options.decay_min_rank,
                                    .clip_norm = options.clip_norm,
                                    .schedule = options.schedule}),
      beta1_(options.beta1),
      beta2_(options.beta2),
      eps_(options.eps) {
  PLAIT_CHECK(beta1_ >= 0 && beta1_ < 1 && beta2_ >= 0 && beta2_ < 1, "AdamW",
              "betas must lie in [0, 1); got beta1: {}, beta2: {}", beta1_, beta2_);
  PLAIT_CHECK(eps_ >= 0, "AdamW", "eps must not be negative; got {}", eps_);
  add_state("exp_avg");
  add_state("exp_avg_sq");
}

Tensor AdamW::rule(const Update& update) {
  const Tensor value = update.decays ? update.value * scalar("decay", update.index) : update.value;
  return step_from(update, value, update.gradient);
}

Tensor AdamW::step_from(const Update& update, const Tensor& value, const Tensor& gradient) {
  const size_t i = update.index;
  const Tensor m_old = state_value("exp_avg", i);
  const Tensor v_old = state_value("exp_avg_sq", i);
  const Tensor m = m_old + (gradient - m_old) * (1 - beta1_);
  const Tensor v = v_old * beta2_ + gradient * (1 - beta2_) * gradient;
  set_state("exp_avg", i, m);
  set_state("exp_avg_sq", i, v);
  const Tensor denominator =
      detail::unary(UnaryOp::sqrt, v) / scalar("bias_correction2_sqrt", i) + eps_;
  return value - scalar("step_size", i) * (m / denominator);
}

double AdamW::rule_scalar(std::string_view name, double lr, double weight_decay,
                          int64_t step) const {
  const auto t = static_cast<double>(step);
  if (name == "decay") return 1 - lr * weight_decay;
  if (name == "step_size") return lr / (1 - std::pow(beta1_, t));
  PLAIT_INTERNAL_CHECK(name == "bias_correction2_sqrt", "AdamW has no scalar '{}'", name);
  return std::sqrt(1 - std::pow(beta2_, t));
}

Adam::Adam(std::vector<std::shared_ptr<Slot>> parameters, const AdamOptions& options)
    : AdamW(std::move(parameters), adamw_options(options)) {}

Adam::Adam(std::vector<Group> groups, const AdamOptions& options)
    : AdamW(std::move(groups), adamw_options(options)) {}

Tensor Adam::rule(const Update& update) {
  const Tensor gradient =
      update.decays ? update.gradient + update.value * update.weight_decay : update.gradient;
  return step_from(update, update.value, gradient);
}

}  // namespace plait::optim
