#include "ops/optim/optimizer.h"

#include <catch2/catch.hpp>
#include <limits>

#include "ops/optim/adamw.h"
#include "ops/optim/clip.h"
#include "ops/optim/sgd.h"
#include "tests/ops/step.h"
#include "tests/support/error_text.h"

using namespace plait;
using testing::array_of;
using testing::run_step;
using testing::values_of;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::shared_ptr<Slot> slot(const std::string& name, std::vector<int64_t> shape, double value) {
  return std::make_shared<Slot>(name,
                                Array::full(DType::f32, std::move(shape), {DType::f32, value}));
}

Array f32(std::vector<double> values) {
  const auto count = static_cast<int64_t>(values.size());
  return array_of(DType::f32, {count}, values);
}

}  // namespace

TEST_CASE("a non-finite norm changes nothing (D08)") {
  const auto a = slot("a", {2}, 1), b = slot("b", {1}, 1);
  const bool adam = GENERATE(true, false);
  std::shared_ptr<optim::Optimizer> optimizer;
  if (adam) {
    optimizer = std::make_shared<optim::AdamW>(std::vector{a, b},
                                               optim::AdamWOptions{.lr = 0.1, .clip_norm = 1});
  } else {
    optimizer = std::make_shared<optim::SGD>(
        std::vector{a, b}, optim::SGDOptions{.lr = 0.1, .momentum = 0.9, .clip_norm = 1});
  }
  reset_current_graph();
  const Tensor ga = input("ga", DType::f32, {2}), gb = input("gb", DType::f32, {1});
  optimizer->update(std::vector{ga, gb});
  const auto run = [&](double last) {
    run_step(*current_graph(), *optimizer, {{"ga", f32({1, 2})}, {"gb", f32({last})}});
    std::vector<std::vector<double>> all = {values_of(a->value()), values_of(b->value())};
    for (const NamedSlot& named : optimizer->state()) all.push_back(values_of(named.slot->value()));
    return all;
  };
  const auto first = run(2);
  CHECK(optimizer->step() == 1);
  CHECK(optimizer->grad_norm() == 3);
  for (double bad : {kNaN, kInfinity, -kInfinity, 1e30}) {  // 1e30 squared leaves f32
    CHECK(run(bad) == first);
    CHECK(optimizer->step() == 1);
    CHECK_FALSE(std::isfinite(optimizer->grad_norm()));
  }
  const auto second = run(2);
  CHECK(second != first);
  CHECK(optimizer->step() == 2);
}

TEST_CASE("clipping scales by min(1, max / (norm + 1e-6))") {
  const auto step_by = [](double clip) {
    const auto p = slot("p", {2}, 0);
    optim::SGD optimizer({p}, {.lr = 1, .clip_norm = clip});
    reset_current_graph();
    optimizer.update(std::vector{input("g", DType::f32, {2})});
    run_step(*current_graph(), optimizer, {{"g", f32({3, -4})}});
    return values_of(p->value());
  };
  CHECK(step_by(10) == std::vector<double>{-3, 4});
  CHECK(step_by(1)[0] == Approx(-3 / (5 + 1e-6)).epsilon(1e-6));
  CHECK(step_by(1)[1] == Approx(4 / (5 + 1e-6)).epsilon(1e-6));
  CHECK(step_by(0) == std::vector<double>{0, 0});
}

TEST_CASE("the global norm is taken over all tensors, of any rank and count") {
  reset_current_graph();
  std::vector<Tensor> gradients;
  std::map<std::string, Array> inputs;
  for (int k = 0; k < 5; ++k) {
    const std::string name = "g" + std::to_string(k);
    gradients.push_back(input(name, DType::f32, k == 0 ? Shape{} : Shape{k}));
    inputs[name] = Array::full(
        DType::f32, k == 0 ? std::vector<int64_t>{} : std::vector<int64_t>{k}, {DType::f32, k + 1});
  }
  const Tensor norm = optim::global_norm(gradients);
  current_graph()->add_output("norm", norm.value());
  // 1 + 1·4 + 2·9 + 3·16 + 4·25 = 171
  CHECK(evaluate(*current_graph(), inputs).outputs[0].item() == Approx(std::sqrt(171.0)));
  CHECK_THAT(error_text<UserError>([] { optim::global_norm({}); }),
             Catch::Contains("[global_norm] needs at least one gradient"));
}

TEST_CASE("weight decay spares tensors of fewer axes, and groups have their own settings") {
  const auto w = slot("w", {1, 1}, 1), b = slot("b", {1}, 1), e = slot("e", {1, 1}, 1);
  optim::SGD optimizer({{.parameters = {w, b}}, {.parameters = {e}, .lr = 2, .weight_decay = 0.25}},
                       {.lr = 1, .weight_decay = 0.5, .decay_min_rank = 2});
  reset_current_graph();
  const Tensor zero = input("zero", DType::f32, {1, 1}), one_axis = input("flat", DType::f32, {1});
  optimizer.update(std::vector{zero, one_axis, zero});
  run_step(*current_graph(), optimizer,
           {{"zero", array_of(DType::f32, {1, 1}, {0})}, {"flat", f32({0})}});
  CHECK(w->value().item() == 0.5);
  CHECK(b->value().item() == 1);
  CHECK(e->value().item() == 0.5);
}

TEST_CASE("a parameter without a gradient stays, one with another shape is an error") {
  const auto a = slot("a", {2}, 1), b = slot("b", {2}, 1);
  optim::AdamW optimizer(std::vector{a, b});
  reset_current_graph();
  optimizer.update(std::vector{Tensor(), input("g", DType::f32, {2})});
  run_step(*current_graph(), optimizer, {{"g", f32({1, 1})}});
  CHECK(values_of(a->value()) == std::vector<double>{1, 1});
  CHECK(b->value().at(0).as_double() < 1);
  CHECK_THAT(error_text<UserError>(
                 [&] { optimizer.update(std::vector{Tensor(), input("h", DType::f32, {3})}); }),
             Catch::Contains("got f32[3] for 'b': f32[2]"));
  CHECK_THAT(error_text<UserError>([&] { optimizer.update(std::vector<Tensor>(1)); }),
             Catch::Contains("got 1 gradients for 2 parameters"));
}

TEST_CASE("schedules change inputs, never the graph") {
  const auto p = slot("p", {1}, 0);
  optim::SGD optimizer({p}, {.lr = 0.5, .schedule = optim::warmup(4)});
  reset_current_graph();
  optimizer.update(std::vector{input("g", DType::f32, {1})});
  const size_t nodes = current_graph()->size();
  const auto lr = [&] { return optimizer.scalars().at("optim.lr").item(); };
  const auto run = [&] { run_step(*current_graph(), optimizer, {{"g", f32({1})}}); };
  CHECK(lr() == 0.125);
  run();
  CHECK(lr() == 0.25);
  CHECK(p->value().item() == -0.125);
  optimizer.set_schedule(optim::constant());
  optimizer.set_lr(2);
  run();
  CHECK(p->value().item() == -2.125);
  CHECK(optimizer.lr() == 2);
  CHECK(current_graph()->size() == nodes);
}

TEST_CASE("schedule formulas") {
  const optim::Schedule s = optim::warmup_cosine(100, 1000, 0.1);
  CHECK(s(0) == 0.01);
  CHECK(s(99) == 1);
  CHECK(s(100) == 1);
  CHECK(s(550) == Approx(0.55));
  CHECK(s(1000) == 0.1);
  CHECK(s(5000) == 0.1);
  CHECK(optim::warmup_cosine(0, 0, 0.1)(0) == 0.1);
  CHECK_THAT(error_text<UserError>([] { optim::warmup_cosine(5, 4, 0); }),
             Catch::Contains("total_steps: 4"));
}

TEST_CASE("optimizers refuse what cannot work") {
  const auto p = slot("p", {1}, 0);
  const auto i = std::make_shared<Slot>("i", array_of(DType::i32, {1}, {0}));
  const auto text = [](auto parameters, optim::AdamWOptions options = {}) {
    return error_text<UserError>([&] { optim::AdamW(parameters, options); });
  };
  CHECK_THAT(text(std::vector{p, p}), Catch::Contains("parameter 'p' is given twice"));
  CHECK_THAT(text(std::vector{i}), Catch::Contains("got 'i': i32[1]"));
  CHECK_THAT(text(std::vector<std::shared_ptr<Slot>>{}), Catch::Contains("at least one parameter"));
  CHECK_THAT(text(std::vector{p}, {.lr = -1}), Catch::Contains("lr must not be negative; got -1"));
  CHECK_THAT(text(std::vector{p}, {.beta1 = 1}), Catch::Contains("got beta1: 1"));
  CHECK_THAT(text(std::vector{p}, {.clip_norm = -1}), Catch::Contains("clip_norm"));
  CHECK_THAT(error_text<UserError>([&] { optim::SGD({p}, {.nesterov = true}); }),
             Catch::Contains("nesterov needs momentum"));
  optim::SGD sgd({p});
  CHECK_THAT(error_text<UserError>([&] { sgd.grad_norm(); }),
             Catch::Contains("hint: set clip_norm"));
}
