// Losses.
#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "ops/softmax_terms.h"

namespace plait {
namespace {

using detail::axis_variable;
using detail::op_name;

void check_reduction(const std::string& reduction) {
  PLAIT_CHECK(reduction == "mean" || reduction == "sum" || reduction == "none", op_name(),
              "reduction must be 'mean', 'sum' or 'none'; got '{}'", reduction);
}

// `losses` in the compute type; the mean divides by the count.
Tensor reduced(const Tensor& losses, const std::string& reduction, DType dtype) {
  check_reduction(reduction);
  if (reduction == "none") return detail::cast_to(losses, dtype);
  return detail::cast_to(reduction == "sum" ? sum(losses) : mean(losses), dtype);
}

// A loss never broadcasts: (n, 1) beside (n) is a mistake.
detail::Pair same_shapes(const Tensor& input, const Tensor& target) {
  detail::graph_of({&input, &target});
  bool equal = input.rank() == target.rank();
  for (int64_t i = 0; equal && i < input.rank(); ++i) {
    equal = prove_equal(input.shape()[i], target.shape()[i], {}) != false;
  }
  PLAIT_CHECK(equal, op_name(),
              "input and target must have one shape; got input: {}, target: {}. hint: squeeze or "
              "expand one of them",
              to_string(input.type()), to_string(target.type()));
  detail::Pair pair = detail::promote_and_broadcast(input, target);
  return {detail::wide(pair.a), detail::wide(pair.b)};
}

DType loss_dtype(const Tensor& input, const Tensor& target) {
  const DType dtype = promote(input.dtype(), target.dtype());
  return is_float(dtype) ? dtype : DType::f32;
}

int64_t class_axis(const Tensor& input) {
  PLAIT_CHECK(input.rank() >= 1, op_name(), "input needs a class dim; got {}",
              to_string(input.type()));
  return input.rank() == 1 ? 0 : 1;
}

// Integer targets: the shape of input without its class axis.
void check_targets(const Tensor& input, const Tensor& target, int64_t axis) {
  PLAIT_CHECK(is_integer(target.dtype()), op_name(),
              "target must hold integers; got input: {}, target: {}", to_string(input.type()),
              to_string(target.type()));
  Shape shape = input.shape();
  shape.erase(shape.begin() + axis);
  bool equal = shape.size() == target.shape().size();
  for (size_t i = 0; equal && i < shape.size(); ++i) {
    equal = prove_equal(shape[i], target.shape()[i], {}) != false;
  }
  PLAIT_CHECK(equal, op_name(),
              "target must have the shape of input without the class dim {}; got input: {}, "
              "target: {}; {} != {}. hint: classes are dim 1, flatten the others",
              axis, to_string(input.type()), to_string(target.type()), to_string(target.shape()),
              to_string(shape));
}

// Integer targets: which count, and the class to read for each (0 where ignored).
struct Targets {
  Tensor ignored, classes;
};

Targets targets_of(const Tensor& target, int64_t ignore_index) {
  if (!is_signed(target.dtype()) && ignore_index < 0) {
    return {zeros_like(target, DType::boolean), target};
  }
  const Tensor ignored = eq(target, ignore_index);
  return {ignored, where(ignored, 0, target)};
}

// The element of x at each target's class; x keeps its other axes.
Tensor pick(const Tensor& x, int64_t axis, const Tensor& classes) {
  std::vector<Expr> map;
  for (int64_t i = 0; i < x.rank(); ++i) {
    map.push_back(i == axis ? detail::element_at(0, classes.rank())
                            : axis_variable(i < axis ? i : i - 1));
  }
  return detail::reindex(x, classes.shape(), std::move(map), {}, {classes}, OutOfRange::error);
}

void check_weight(const std::optional<Tensor>& weight, const Tensor& input, int64_t axis) {
  if (!weight) return;
  PLAIT_CHECK(
      weight->rank() == 1 && prove_equal(weight->shape()[0], input.shape()[axis], {}) != false,
      op_name(), "weight must have one number per class; got weight: {}, input: {}",
      to_string(weight->type()), to_string(input.type()));
}

// The losses of rows with weights, ignored ones as 0, reduced; the mean divides by the sum of the
// weights that count.
Tensor reduce_rows(const Tensor& losses, const std::optional<Tensor>& weights,
                   const Tensor& ignored, const std::string& reduction) {
  check_reduction(reduction);
  const Tensor kept = where(ignored, 0.0, losses);
  if (reduction == "none") return kept;
  const Tensor total = sum(kept);
  if (reduction == "sum") return total;
  const Tensor count = weights ? sum(where(ignored, 0.0, *weights))
                               : to(sum(to(logical_not(ignored), DType::i64)), losses.dtype());
  return div(total, count);
}

Tensor along_axis(const Tensor& weight, const Tensor& x, int64_t axis) {
  return detail::broadcast(detail::tensor_in(x.graph(), to(weight, x.dtype())), x.shape(), {axis});
}

// The loss against class probabilities.
Tensor soft_cross_entropy(const Tensor& input, const Tensor& target,
                          const std::optional<Tensor>& weight, const std::string& reduction,
                          double label_smoothing, int64_t axis) {
  detail::Pair pair = same_shapes(input, target);
  check_reduction(reduction);
  Tensor wanted = pair.b;
  if (label_smoothing != 0.0) {
    const Tensor count = detail::count(pair.a, {axis}, pair.a.dtype());
    wanted = add(mul(wanted, 1.0 - label_smoothing), div(label_smoothing, count));
  }
  Tensor terms = mul(log_softmax(pair.a, axis), wanted);
  if (weight) terms = mul(terms, along_axis(*weight, terms, axis));
  const Tensor losses = neg(sum(terms, axis));
  if (reduction == "none") return losses;
  const Tensor total = sum(losses);
  if (reduction == "sum") return total;
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < losses.rank(); ++i) axes.push_back(i);
  return div(total, detail::count(losses, axes, losses.dtype()));
}

}  // namespace

Tensor cross_entropy(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                     int64_t ignore_index, const std::string& reduction, double label_smoothing) {
  OpScope op("cross_entropy");
  detail::graph_of({&input, &target});
  const int64_t axis = class_axis(input);
  check_weight(weight, input, axis);
  PLAIT_CHECK(label_smoothing >= 0.0 && label_smoothing <= 1.0, op_name(),
              "label_smoothing must lie in [0, 1]; got {}", label_smoothing);
  const DType dtype = detail::float_dtype(input);
  if (is_float(target.dtype())) {
    return detail::cast_to(
        soft_cross_entropy(input, target, weight, reduction, label_smoothing, axis), dtype);
  }
  check_targets(input, target, axis);
  const Tensor x = detail::wide(input);
  const detail::SoftmaxTerms terms = detail::softmax_terms(x, {axis});
  const Targets targets = targets_of(detail::tensor_in(x.graph(), target), ignore_index);
  // log s - (x[t] - shift): its gradient is softmax less a one in each row, without a logged row.
  const Tensor log_total = squeeze(log(terms.total), axis);
  Tensor losses = sub(log_total, pick(terms.shifted, axis, targets.classes));
  std::optional<Tensor> weights;
  if (weight) {
    weights = pick(to(*weight, x.dtype()), 0, targets.classes);
    losses = mul(losses, *weights);
  }
  if (label_smoothing != 0.0) {
    const Tensor count = detail::count(x, {axis}, x.dtype());
    Tensor all = sub(log(terms.total), terms.shifted);
    if (weight) all = mul(all, along_axis(*weight, all, axis));
    const Tensor smooth = div(sum(all, axis), count);
    losses = add(mul(losses, 1.0 - label_smoothing), mul(smooth, label_smoothing));
  }
  return detail::cast_to(reduce_rows(losses, weights, targets.ignored, reduction), dtype);
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                int64_t ignore_index, const std::string& reduction) {
  OpScope op("nll_loss");
  detail::graph_of({&input, &target});
  const int64_t axis = class_axis(input);
  check_weight(weight, input, axis);
  check_targets(input, target, axis);
  const Tensor x = detail::wide(input);
  const Targets targets = targets_of(detail::tensor_in(x.graph(), target), ignore_index);
  Tensor losses = neg(pick(x, axis, targets.classes));
  std::optional<Tensor> weights;
  if (weight) {
    weights = pick(to(*weight, x.dtype()), 0, targets.classes);
    losses = mul(losses, *weights);
  }
  return detail::cast_to(reduce_rows(losses, weights, targets.ignored, reduction),
                         detail::float_dtype(input));
}

Tensor mse_loss(const Tensor& input, const Tensor& target, const std::string& reduction) {
  OpScope op("mse_loss");
  const detail::Pair pair = same_shapes(input, target);
  return reduced(square(sub(pair.a, pair.b)), reduction, loss_dtype(input, target));
}

Tensor l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction) {
  OpScope op("l1_loss");
  const detail::Pair pair = same_shapes(input, target);
  return reduced(abs(sub(pair.a, pair.b)), reduction, loss_dtype(input, target));
}

Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction,
                      double beta) {
  OpScope op("smooth_l1_loss");
  PLAIT_CHECK(beta >= 0, op_name(), "beta must not be negative; got {}", beta);
  const detail::Pair pair = same_shapes(input, target);
  const Tensor distance = abs(sub(pair.a, pair.b));
  const DType dtype = loss_dtype(input, target);
  if (beta == 0) return reduced(distance, reduction, dtype);
  const Tensor near = mul(square(distance), 0.5 / beta);
  return reduced(where(lt(distance, beta), near, sub(distance, 0.5 * beta)), reduction, dtype);
}

Tensor huber_loss(const Tensor& input, const Tensor& target, const std::string& reduction,
                  double delta) {
  OpScope op("huber_loss");
  PLAIT_CHECK(delta > 0, op_name(), "delta must be positive; got {}", delta);
  const detail::Pair pair = same_shapes(input, target);
  const Tensor distance = abs(sub(pair.a, pair.b));
  const Tensor near = mul(square(distance), 0.5);
  const Tensor far = mul(sub(distance, 0.5 * delta), delta);
  return reduced(where(lt(distance, delta), near, far), reduction, loss_dtype(input, target));
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target,
                                        const std::optional<Tensor>& weight,
                                        const std::string& reduction,
                                        const std::optional<Tensor>& pos_weight) {
  OpScope op("binary_cross_entropy_with_logits");
  const detail::Pair pair = same_shapes(input, target);
  const Tensor& x = pair.a;
  const Tensor& t = pair.b;
  // log(1 + e^-x) as max(-x, 0) + log1p(e^-|x|).
  const Tensor soft = add(maximum(neg(x), 0.0), log1p(exp(neg(abs(x)))));
  Tensor losses = mul(sub(1.0, t), x);
  if (pos_weight) {
    const Tensor scale = add(mul(sub(to(*pos_weight, x.dtype()), 1.0), t), 1.0);
    losses = add(losses, mul(scale, soft));
  } else {
    losses = add(losses, soft);
  }
  if (weight) losses = mul(losses, to(*weight, x.dtype()));
  return reduced(losses, reduction, loss_dtype(input, target));
}

Tensor kl_div(const Tensor& input, const Tensor& target, const std::string& reduction,
              bool log_target) {
  OpScope op("kl_div");
  const detail::Pair pair = same_shapes(input, target);
  Tensor losses;
  if (log_target) {
    losses = mul(exp(pair.b), sub(pair.b, pair.a));
  } else {
    const Tensor zero = eq(pair.b, 0.0);  // 0 log 0 = 0
    const Tensor entropy = where(zero, 0.0, mul(pair.b, log(where(zero, 1.0, pair.b))));
    losses = sub(entropy, mul(pair.b, pair.a));
  }
  const DType dtype = loss_dtype(input, target);
  if (reduction != "batchmean") return reduced(losses, reduction, dtype);
  PLAIT_CHECK(losses.rank() >= 1, op_name(), "'batchmean' needs a batch dim; got {}",
              to_string(input.type()));
  return detail::cast_to(div(sum(losses), detail::count(losses, {0}, losses.dtype())), dtype);
}

std::vector<OpRecord> loss_ops() {
  return {
      {
          .signature = "cross_entropy(Tensor input, Tensor target, Tensor? weight=None, *, int "
                       "ignore_index=-100, str reduction='mean', float label_smoothing=0.0) -> "
                       "Tensor",
          .doc = "-log softmax(input)[target] along the class dim: dim 1 of (N, C, …), or dim 0 of "
                 "(C). Targets are integers (N, …), where `ignore_index` does not count, or "
                 "probabilities of input's shape. 'mean' divides by the number (or `weight`, per "
                 "class) of targets that count; NaN if none does. A run fails for a class outside "
                 "[0, C). Halves are computed in f32.",
          .composition = compose<&cross_entropy>,
          .oracle = R"(
axis = min(input.ndim - 1, 1)
n = input.shape[axis]
logp = np.moveaxis(input - sp.logsumexp(input, axis=axis, keepdims=True), axis, -1)
logp = np.where(np.isnan(logp).any(-1, keepdims=True), np.nan, logp)  # inf - inf
w = np.ones(n) if weight is None else weight
if target.dtype.kind == 'f':
    p = np.moveaxis(target, axis, -1) * (1 - label_smoothing) + label_smoothing / n
    loss = -(logp * p * w).sum(-1)
    return {'none': loss, 'sum': loss.sum(), 'mean': loss.sum() / loss.size}[reduction]
keep = target != ignore_index
safe = np.where(keep, target, 0)
loss = -np.take_along_axis(logp, safe[..., None], -1)[..., 0] * w[safe]
if label_smoothing:
    loss = (1 - label_smoothing) * loss - label_smoothing * (logp * w).sum(-1) / n
loss = np.where(keep, loss, 0)
with np.errstate(all='ignore'):
    mean = loss.sum() / np.where(keep, w[safe], 0).sum()
return {'none': loss, 'sum': loss.sum(), 'mean': mean}[reduction]
)",
          .samples = {"(randn(3, 5), randint(0, 5, 3))", "(randn(5), array(2))",
                      "(randn(2, 5, 3), randint(0, 5, 2, 3))",
                      "(randn(4, 5), array([0, -100, 3, -100]))",
                      "(randn(4, 5), array([0, 1, 3, 1]), reduction='sum', ignore_index=1)",
                      "(randn(4, 5), randint(0, 5, 4), reduction='none')",
                      "(randn(4, 5), randint(0, 5, 4), label_smoothing=0.1)",
                      "(randn(4, 5), randint(0, 5, 4), rand(5) + 0.5, label_smoothing=0.1)",
                      "(randn(4, 5), randint(0, 5, 4), rand(5) + 0.5)",
                      "(randn(4, 5) * 100, randint(0, 5, 4))", "(randn(4, 5), rand(4, 5))",
                      "(randn(2, 3), array([-100, -100]))", "(randn(0, 3), randint(0, 3, 0))",
                      "(full((2, 7), 0.0), array([1, 6]))"},
      },
      {
          .signature = "nll_loss(Tensor input, Tensor target, Tensor? weight=None, *, int "
                       "ignore_index=-100, str reduction='mean') -> Tensor",
          .doc = "-input[target] along the class dim of log probabilities; otherwise as "
                 "`cross_entropy`.",
          .composition = compose<&nll_loss>,
          .oracle = R"(
logp = np.moveaxis(input, min(input.ndim - 1, 1), -1)
w = np.ones(logp.shape[-1]) if weight is None else weight
keep = target != ignore_index
safe = np.where(keep, target, 0)
loss = np.where(keep, -np.take_along_axis(logp, safe[..., None], -1)[..., 0] * w[safe], 0)
mean = loss.sum() / np.where(keep, w[safe], 0).sum()
return {'none': loss, 'sum': loss.sum(), 'mean': mean}[reduction]
)",
          .samples = {"(randn(3, 5), randint(0, 5, 3))", "(randn(2, 5, 3), randint(0, 5, 2, 3))",
                      "(randn(4, 5), array([0, -100, 3, -100]), rand(5) + 0.5)",
                      "(randn(4, 5), randint(0, 5, 4), reduction='none')"},
      },
      {
          .signature = "mse_loss(Tensor input, Tensor target, *, str reduction='mean') -> Tensor",
          .doc = "(input - target)^2. UserError if the shapes differ: nothing broadcasts.",
          .composition = compose<&mse_loss>,
          .oracle = "{'mean': np.mean, 'sum': np.sum, 'none': np.asarray}[reduction]((input - "
                    "target) ** 2)",
          .samples = {"(randn(3, 5), randn(3, 5))", "(randn(7), randn(7), reduction='sum')",
                      "(randn(7), randn(7), reduction='none')", "(randn(), randn())"},
      },
      {
          .signature = "l1_loss(Tensor input, Tensor target, *, str reduction='mean') -> Tensor",
          .doc = "|input - target|. UserError if the shapes differ: nothing broadcasts.",
          .composition = compose<&l1_loss>,
          .oracle =
              "{'mean': np.mean, 'sum': np.sum, 'none': np.asarray}[reduction](np.abs(input - "
              "target))",
          .samples = {"(randn(3, 5), randn(3, 5))", "(randn(7), randn(7), reduction='sum')",
                      "(randn(7), randn(7), reduction='none')"},
      },
      {
          .signature = "smooth_l1_loss(Tensor input, Tensor target, *, str reduction='mean', float "
                       "beta=1.0) -> Tensor",
          .doc = "d^2 / (2 beta) for d = |input - target| below beta, else d - beta / 2 (Girshick, "
                 "2015). UserError if the shapes differ.",
          .composition = compose<&smooth_l1_loss>,
          .oracle = R"(
d = np.abs(input - target)
loss = np.where(d < beta, d**2 / (2 * beta) if beta else d, d - beta / 2)
return {'mean': np.mean, 'sum': np.sum, 'none': np.asarray}[reduction](loss)
)",
          .samples = {"(randn(3, 5) * 2, randn(3, 5))",
                      "(randn(7), randn(7), reduction='sum', beta=0.5)",
                      "(randn(7), randn(7), beta=0.0)"},
      },
      {
          .signature = "huber_loss(Tensor input, Tensor target, str reduction='mean', float "
                       "delta=1.0) -> Tensor",
          .doc = "d^2 / 2 for d = |input - target| below delta, else delta * (d - delta / 2) "
                 "(Huber, 1964). UserError if the shapes differ.",
          .composition = compose<&huber_loss>,
          .oracle = R"(
d = np.abs(input - target)
loss = np.where(d < delta, d**2 / 2, delta * (d - delta / 2))
return {'mean': np.mean, 'sum': np.sum, 'none': np.asarray}[reduction](loss)
)",
          .samples = {"(randn(3, 5) * 2, randn(3, 5))", "(randn(7), randn(7), 'sum', 0.5)",
                      "(randn(), randn(), 'none')", "(randn(0), randn(0))",
                      "(array([1.0, 2.0, nan]), array([0.0, 2.0, 0.0]), reduction='none')"},
      },
      {
          .signature = "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? "
                       "weight=None, *, str reduction='mean', Tensor? pos_weight=None) -> Tensor",
          .doc = "-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), without overflow; `pos_weight` "
                 "multiplies the first term, `weight` the loss. UserError if the shapes of input "
                 "and target differ.",
          .composition = compose<&binary_cross_entropy_with_logits>,
          .oracle = R"(
w, p = (1 if a is None else a for a in (weight, pos_weight))
loss = w * (p * target * np.logaddexp(0, -input) + (1 - target) * np.logaddexp(0, input))
return {'mean': np.mean, 'sum': np.sum, 'none': np.asarray}[reduction](loss)
)",
          .samples =
              {"(randn(3, 5), rand(3, 5))", "(randn(7) * 100, rand(7), reduction='none')",
               "(randn(3, 5), rand(3, 5), rand(5), reduction='sum', pos_weight=rand(5) + 1.0)",
               "(full((3,), 0.0), full((3,), 1.0))"},
      },
      {
          .signature = "kl_div(Tensor input, Tensor target, *, str reduction='mean', bool "
                       "log_target=False) -> Tensor",
          .doc = "target * (log target - input), input being log probabilities; 0 where target is "
                 "0. 'batchmean' divides the sum by the first size.",
          .composition = compose<&kl_div>,
          .oracle = R"(
loss = sp.xlogy(target, target) - target * input
if log_target:
    loss = np.exp(target) * (target - input)
if reduction == 'batchmean':
    return loss.sum() / len(loss)
return {'mean': np.mean, 'sum': np.sum, 'none': np.asarray}[reduction](loss)
)",
          .samples = {"(randn(3, 5), rand(3, 5))",
                      "(randn(3, 5), rand(3, 5), reduction='batchmean')",
                      "(randn(3, 5), randn(3, 5), reduction='sum', log_target=True)",
                      "(randn(3), array([0.0, 0.5, 0.5]), reduction='none')"},
      },
  };
}

}  // namespace plait
