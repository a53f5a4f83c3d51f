// ResNet-18 (He et al., 2016) on 224 x 224 images, in training mode.
#include <cmath>
#include <memory>
#include <string>

#include "jit/compile.h"
#include "ops/functions.h"
#include "ops/nn/init.h"
#include "ops/nn/linear.h"
#include "ops/optim/sgd.h"
#include "tools/bench/work.h"

namespace plait::bench {
namespace {

using Groups = std::vector<std::string>;

// A loss after one update: batch norm over 8 images divides by small deviations.
constexpr double kTolerance = 1e-3;
constexpr int64_t kClasses = 1000, kSide = 224;
// Multiplications of one image's forward pass.
constexpr double kProducts = 1.82e9;

// Without bias; the padding keeps the size at stride 1.
class Convolution : public nn::Module {
 public:
  Convolution(int64_t from, int64_t to, int64_t side, int64_t stride)
      : stride_(stride), padding_(side / 2) {
    const double deviation = std::sqrt(2.0 / static_cast<double>(to * side * side));
    weight_ = add_parameter("weight", nn::init::normal({to, from, side, side}, 0, deviation));
  }
  Tensor forward(const Tensor& x) override {
    return conv2d(x, parameter(weight_), {}, stride_, padding_);
  }

 private:
  int64_t stride_, padding_;
  std::shared_ptr<Slot> weight_;
};

// By the statistics of the batch, which also move the running ones.
class BatchNorm : public nn::Module {
 public:
  explicit BatchNorm(int64_t channels)
      : weight_(add_parameter("weight", nn::init::ones({channels}))),
        bias_(add_parameter("bias", nn::init::zeros({channels}))),
        mean_(add_buffer("running_mean", nn::init::zeros({channels}))),
        variance_(add_buffer("running_var", nn::init::ones({channels}))) {}
  Tensor forward(const Tensor& x) override {
    const auto [mean, variance] = batch_norm_update(x, parameter(mean_), parameter(variance_));
    assign(mean_, mean);
    assign(variance_, variance);
    return batch_norm(x, {}, {}, parameter(weight_), parameter(bias_), /*training=*/true);
  }

 private:
  std::shared_ptr<Slot> weight_, bias_, mean_, variance_;
};

class BasicBlock : public nn::Module {
 public:
  BasicBlock(int64_t from, int64_t to, int64_t stride)
      : conv1_(from, to, 3, stride), bn1_(to), conv2_(to, to, 3, 1), bn2_(to) {
    add("conv1", conv1_), add("bn1", bn1_), add("conv2", conv2_), add("bn2", bn2_);
    if (stride == 1 && from == to) return;
    projection_ = std::make_unique<Convolution>(from, to, 1, stride);
    projection_bn_ = std::make_unique<BatchNorm>(to);
    add("downsample.0", *projection_), add("downsample.1", *projection_bn_);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = bn2_(conv2_(relu(bn1_(conv1_(x)))));
    return relu(y + (projection_ ? (*projection_bn_)((*projection_)(x)) : x));
  }

 private:
  Convolution conv1_;
  BatchNorm bn1_;
  Convolution conv2_;
  BatchNorm bn2_;
  std::unique_ptr<Convolution> projection_;
  std::unique_ptr<BatchNorm> projection_bn_;
};

class ResNet18 : public nn::Module {
 public:
  ResNet18() : Module("resnet"), conv1_(3, 64, 7, 2), bn1_(64), fc_(512, kClasses) {
    add("conv1", conv1_), add("bn1", bn1_);
    int64_t from = 64;
    for (const int64_t to : {64, 128, 256, 512}) {
      blocks_.emplace_back(from, to, to == from ? 1 : 2);
      blocks_.emplace_back(to, to, 1);
      from = to;
    }
    add("blocks", blocks_), add("fc", fc_);
  }
  Tensor forward(const Tensor& images) override {
    Tensor x = max_pool2d(relu(bn1_(conv1_(images))), 3, 2, 1);
    for (BasicBlock& block : blocks_) x = block(x);
    return fc_(mean(x, {2, 3}));
  }

 private:
  Convolution conv1_;
  BatchNorm bn1_;
  nn::ModuleList<BasicBlock> blocks_;
  nn::Linear fc_;
};

Work resnet18_step(const Groups& g) {
  const int64_t batch = std::stoll(g[0]);
  Work work;
  work.cost.flops = 3 * 2 * kProducts * static_cast<double>(batch);
  work.tolerance = kTolerance;
  work.build = [=] {
    Instance instance;
    instance.inputs = {{"x", normal({batch, 3, kSide, kSide}, 1)},
                       {"targets", integers({batch}, 2, kClasses)}};
    const auto model = std::make_shared<ResNet18>();
    reset_current_graph();
    const Tensor loss = cross_entropy((*model)(input("x", DType::f32, {batch, 3, kSide, kSide})),
                                      input("targets", DType::i64, {batch}));
    reset_current_graph();
    instance.slots = model->state();
    const auto optimizer = std::make_shared<optim::SGD>(
        model->parameters(), optim::SGDOptions{.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-4});
    instance.compile = [model, optimizer, loss](const Options& options) {
      return compile({loss}, optimizer, options);
    };
    return instance;
  };
  return work;
}

}  // namespace

std::vector<Family> vision_families() { return {{R"(resnet18_step_b(\d+))", resnet18_step}}; }

}  // namespace plait::bench
