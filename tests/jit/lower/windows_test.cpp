// Convolutions and their gradients by the weights have the bits of their definition, for strides,
// dilations, paddings, groups and odd sizes, however windows are packed and on every target.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "core/graph/text.h"
#include "core/reduction_order.h"
#include "jit/lower/lower.h"
#include "jit/pipeline.h"
#include "ops/functions.h"
#include "passes/gradients.h"
#include "tests/jit/lower/targets.h"
#include "tests/support/launch.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

struct Convolution {
  int64_t batch, groups, channels, outputs;  // channels and outputs of a group
  int64_t height, width, taps_down, taps_across, stride, padding, dilation;

  int64_t down() const {
    return (height + 2 * padding - dilation * (taps_down - 1) - 1) / stride + 1;
  }
  int64_t across() const {
    return (width + 2 * padding - dilation * (taps_across - 1) - 1) / stride + 1;
  }
};

// Sums products in the order of a contraction.
class Chain {
 public:
  explicit Chain(int64_t k) : leaf_(*contraction_leaf(k).constant()) {}
  void add(float a, float b) {
    if (steps_ > 0 && steps_ % leaf_ == 0) end_leaf();
    chain_ = std::fma(a, b, chain_);
    ++steps_;
  }
  float sum() {
    end_leaf();
    return sum_;
  }

 private:
  void end_leaf() {
    sum_ = has_sum_ ? sum_ + chain_ : chain_;
    has_sum_ = true;
    chain_ = 0;
  }
  int64_t leaf_, steps_ = 0;
  float chain_ = 0, sum_ = 0;
  bool has_sum_ = false;
};

float image_at(const Convolution& c, const Array& x, int64_t b, int64_t channel, int64_t row,
               int64_t column) {
  if (row < 0 || row >= c.height || column < 0 || column >= c.width) return 0;
  const int64_t plane = b * c.groups * c.channels + channel;
  return x.data<float>()[(plane * c.height + row) * c.width + column];
}

std::vector<float> forward(const Convolution& c, const Array& x, const Array& w) {
  std::vector<float> result;
  for (int64_t b = 0; b < c.batch; ++b) {
    for (int64_t o = 0; o < c.groups * c.outputs; ++o) {
      for (int64_t p = 0; p < c.down() * c.across(); ++p) {
        Chain chain(c.channels * c.taps_down * c.taps_across);
        const float* weight = w.data<float>() + o * c.channels * c.taps_down * c.taps_across;
        for (int64_t k = 0; k < c.channels * c.taps_down * c.taps_across; ++k) {
          const int64_t channel = k / (c.taps_down * c.taps_across);
          const int64_t ky = k / c.taps_across % c.taps_down, kx = k % c.taps_across;
          chain.add(image_at(c, x, b, o / c.outputs * c.channels + channel,
                             p / c.across() * c.stride + ky * c.dilation - c.padding,
                             p % c.across() * c.stride + kx * c.dilation - c.padding),
                    weight[k]);
        }
        result.push_back(chain.sum());
      }
    }
  }
  return result;
}

std::vector<float> weight_gradient(const Convolution& c, const Array& x, const Array& dy) {
  std::vector<float> result;
  const int64_t positions = c.down() * c.across();
  for (int64_t o = 0; o < c.groups * c.outputs; ++o) {
    for (int64_t k = 0; k < c.channels * c.taps_down * c.taps_across; ++k) {
      const int64_t channel = o / c.outputs * c.channels + k / (c.taps_down * c.taps_across);
      const int64_t ky = k / c.taps_across % c.taps_down, kx = k % c.taps_across;
      Chain chain(c.batch * positions);
      for (int64_t b = 0; b < c.batch; ++b) {
        for (int64_t p = 0; p < positions; ++p) {
          const float cotangent = dy.data<float>()[(b * c.groups * c.outputs + o) * positions + p];
          chain.add(cotangent, image_at(c, x, b, channel,
                                        p / c.across() * c.stride + ky * c.dilation - c.padding,
                                        p % c.across() * c.stride + kx * c.dilation - c.padding));
        }
      }
      result.push_back(chain.sum());
    }
  }
  return result;
}

// The output, of kernels for `target`, interpreted on the inputs by name.
std::vector<float> run(const Graph& graph, const Target& target,
                       const std::map<std::string, const Array*>& inputs) {
  const fusion::FusionPlan plan = fusion::plan_fusion(graph);
  std::map<Value, std::vector<float>> results;
  for (const fusion::Group& group : plan.groups) {
    lower::LoweredGroup lowered = lower::lower_group(graph, plan, group, target);
    lowered.kernel.name = "convolution";
    kernel::verify(lowered.kernel);
    std::vector<void*> parameters;
    for (const lower::Binding& buffer : lowered.buffers) {
      if (buffer.value == kNoValue) continue;
      const Node& node = graph.node(buffer.value);
      if (node.op == MetaOp::input) {
        parameters.push_back(inputs.at(node.attributes.name)->buffer->data());
        continue;
      }
      std::vector<float>& result = results[buffer.value];
      result.resize(static_cast<size_t>(*element_count(node.type.shape).constant()), -7);
      parameters.push_back(result.data());
    }
    testing::interpret(lowered.kernel, parameters, {});
  }
  return results.at(graph.outputs()[0].value);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("convolutions have the bits of their definition on every target") {
  std::mt19937 random(11);
  const Convolution shapes[] = {
      {2, 1, 3, 5, 7, 9, 3, 3, 1, 1, 1},   {1, 1, 2, 17, 12, 33, 3, 3, 2, 1, 1},
      {2, 1, 4, 6, 16, 16, 1, 1, 1, 0, 1}, {3, 1, 5, 4, 9, 8, 1, 1, 2, 0, 1},
      {1, 2, 3, 4, 11, 6, 3, 2, 1, 2, 2},  {1, 1, 3, 5, 15, 21, 7, 7, 2, 3, 1},
      {1, 1, 70, 3, 3, 5, 4, 4, 1, 2, 1},  {5, 1, 2, 20, 7, 7, 3, 3, 1, 1, 1},
      {2, 3, 1, 1, 6, 40, 1, 5, 1, 2, 1},  {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1},
      {4, 1, 2, 33, 1, 19, 1, 3, 3, 1, 2},
  };
  for (const Convolution& c : shapes) {
    const int64_t channels = c.groups * c.channels, outputs = c.groups * c.outputs;
    const Array x = test::random_array(DType::f32, {c.batch, channels, c.height, c.width}, random);
    const Array w =
        test::random_array(DType::f32, {outputs, c.channels, c.taps_down, c.taps_across}, random);
    const Array dy =
        test::random_array(DType::f32, {c.batch, outputs, c.down(), c.across()}, random);
    reset_current_graph();
    const Tensor weight = input("w", DType::f32, w.type().shape);
    const Tensor y = conv2d(input("x", DType::f32, x.type().shape), weight, {}, c.stride, c.padding,
                            c.dilation, c.groups);
    const Tensor loss = sum(y * input("dy", DType::f32, dy.type().shape));
    const auto graph = current_graph();
    const Value dw = gradients(*graph, loss.value(), std::vector{weight.value()})[0];
    const auto alone = [&](Value result) {
      Graph one = *graph;
      one.add_output("result", result);
      return run_graph_passes(one);
    };
    const Graph product = alone(y.value()), gradient = alone(dw);
    for (const Target& target : kTargets) {
      CAPTURE(target.name, c.batch, c.groups, c.channels, c.outputs, c.height, c.width, c.taps_down,
              c.taps_across, c.stride, c.padding, c.dilation);
      // Sums without an axis of each factor's own are plain reductions, in another order.
      if (c.outputs == 1) continue;
      CHECK(same_bits(run(product, target, {{"x", &x}, {"w", &w}}), forward(c, x, w)));
      if (c.channels * c.taps_down * c.taps_across == 1) continue;
      CHECK(same_bits(run(gradient, target, {{"x", &x}, {"dy", &dy}}), weight_gradient(c, x, dy)));
    }
  }
}

TEST_CASE("vectors that are longer than all runs of a window together") {
  const Graph graph = parse_graph(R"(graph
    %0 = input "x" : i8[2, 1, 13, 3, 4]
    %1 = input "w" : i8[1, 1, 4, 2, 2]
    %2 = reindex [i0, i1, 2*i2 + 2*i5, 2*i3 + 2*i6 - 1, i4] fill 0 %0 : i8[2, 1, 6, 2, 4, 2, 2]
    %3 = broadcast [1, 2, 5, 6, 7] %1 : i8[2, 1, 1, 6, 2, 4, 2, 2]
    %4 = broadcast [0, 1, 3, 4, 5, 6, 7] %2 : i8[2, 1, 1, 6, 2, 4, 2, 2]
    %5 = binary mul %4 %3 : i8[2, 1, 1, 6, 2, 4, 2, 2]
    %6 = reduce sum [5, 6, 7] %5 : i8[2, 1, 1, 6, 2]
    output "y" %6
  )");
  const fusion::FusionPlan plan = fusion::plan_fusion(graph);
  for (const Target& target : kTargets) {
    CAPTURE(target.name);
    for (const fusion::Group& group : plan.groups) {
      lower::LoweredGroup lowered = lower::lower_group(graph, plan, group, target);
      lowered.kernel.name = "windows";
      CHECK_NOTHROW(kernel::verify(lowered.kernel));
    }
  }
}

}  // namespace plait
