// Works of one or a few kernels: products, rows, losses, attention, convolutions, dispatch.
#include <string>

#include "jit/compile.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "passes/gradients.h"
#include "tools/bench/work.h"

namespace plait::bench {
namespace {

using Groups = std::vector<std::string>;
using Dims64 = std::vector<int64_t>;

constexpr double kTolerance = 1e-4;
// Sums that differ in their last bits may round to neighbours in bf16, up to 2^-7 of their size
// apart, and the largest of many normal values is five times their root mean square.
constexpr double kHalfTolerance = 5.0 / 128;

int64_t size_of(const std::string& text) { return std::stoll(text); }

Shape shape_of(const Array& array) { return {array.shape.begin(), array.shape.end()}; }

// Inputs declared as they are made, and compiled outputs.
class Builder {
 public:
  Tensor add(const std::string& name, Array array) {
    const Tensor tensor = input(name, array.dtype, shape_of(array));
    instance_.inputs.emplace(name, std::move(array));
    return tensor;
  }
  Tensor add_normal(const std::string& name, Dims64 shape, double scale = 1,
                    DType dtype = DType::f32) {
    const auto seed = static_cast<int64_t>(instance_.inputs.size()) + 1;
    return add(name, normal(std::move(shape), seed, scale, dtype));
  }
  // The gradients of sum(y * dy) by each of `wrt`; without dy of y itself, a scalar.
  static std::vector<Tensor> backward(const Tensor& y, const std::vector<Tensor>& wrt,
                                      const Tensor& dy = {}) {
    const std::shared_ptr<Graph>& graph = y.graph();
    std::vector<Value> values;
    for (const Tensor& x : wrt) values.push_back(detail::value_in(*graph, x));
    const Value seed = dy.defined() ? detail::value_in(*graph, dy) : kNoValue;
    std::vector<Tensor> result;
    for (Value v : gradients(*graph, y.value(), values, seed)) result.emplace_back(graph, v);
    return result;
  }
  Instance finish(std::vector<Tensor> outputs) {
    reset_current_graph();
    instance_.compile = [outputs = std::move(outputs)](const Options& options) {
      return compile(outputs, options);
    };
    return std::move(instance_);
  }
  static std::vector<Tensor> join(std::vector<Tensor> first, const std::vector<Tensor>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  }

 private:
  Instance instance_;
};

Work deterministic(Cost cost, std::function<Instance()> build, double tolerance = kTolerance) {
  Work work;
  work.cost = cost;
  work.tolerance = tolerance;
  work.build = std::move(build);
  return work;
}

Work gemm(const Groups& g) {
  const int64_t m = size_of(g[0]), n = size_of(g[1]), k = size_of(g[2]);
  const bool left = g[3] == "_ta", right = g[3] == "_tb";
  const DType dtype = g[4].empty() ? DType::f32 : DType::bf16;
  const double elements = static_cast<double>(m * k + k * n + m * n);
  Cost cost = {.bytes = dtype_size(dtype) * elements};
  (dtype == DType::f32 ? cost.flops : cost.bf16_flops) = 2.0 * m * n * k;
  return deterministic(
      cost,
      [=] {
        Builder b;
        Tensor x = b.add_normal("a", left ? Dims64{k, m} : Dims64{m, k}, 1, dtype);
        Tensor y = b.add_normal("b", right ? Dims64{n, k} : Dims64{k, n}, 1, dtype);
        if (left) x = transpose(x, 0, 1);
        if (right) y = transpose(y, 0, 1);
        return b.finish({matmul(x, y)});
      },
      dtype == DType::f32 ? kTolerance : kHalfTolerance);
}

Work gemm_bias_gelu(const Groups& g) {
  const int64_t m = size_of(g[0]), n = size_of(g[1]), k = size_of(g[2]);
  const Cost cost = {
      .flops = 2.0 * m * n * k, .bytes = 4.0 * (m * k + k * n + m * n + n), .erfs = 1.0 * m * n};
  return deterministic(cost, [=] {
    Builder b;
    const Tensor x = b.add_normal("a", {m, k});
    const Tensor y = b.add_normal("b", {k, n}, 1 / std::sqrt(k));
    const Tensor bias = b.add_normal("bias", {n});
    return b.finish({gelu(matmul(x, y) + bias)});
  });
}

Work softmax_rows(const Groups& g) {
  const int64_t rows = size_of(g[0]), columns = size_of(g[1]);
  const double n = 1.0 * rows * columns;
  return deterministic({.bytes = 8 * n, .exps = n}, [=] {
    Builder b;
    return b.finish({softmax(b.add_normal("x", {rows, columns}), -1)});
  });
}

Work layernorm(const Groups& g) {
  const bool backward = !g[0].empty();
  const int64_t rows = size_of(g[1]), columns = size_of(g[2]);
  const double n = 1.0 * rows * columns;
  // Backward reads x again.
  const Cost cost = {.bytes = (backward ? 20 : 8) * n, .footprint = (backward ? 16 : 8) * n};
  return deterministic(cost, [=] {
    Builder b;
    const Tensor x = b.add_normal("x", {rows, columns});
    const Tensor weight = b.add_normal("weight", {columns});
    const Tensor bias = b.add_normal("bias", {columns});
    const Tensor y = layer_norm(x, {columns}, weight, bias);
    if (!backward) return b.finish({y});
    const Tensor dy = b.add_normal("dy", {rows, columns});
    return b.finish(b.join({y}, b.backward(y, {x, weight, bias}, dy)));
  });
}

Work bias_dropout_residual_ln(const Groups& g) {
  const bool backward = !g[0].empty();
  const int64_t rows = size_of(g[1]), columns = size_of(g[2]);
  const double n = 1.0 * rows * columns;
  // Backward reads dy, and writes dx and dr besides.
  Work work = deterministic({.bytes = (backward ? 28 : 16) * n, .random_words = n}, [=] {
    Builder b;
    const Tensor x = b.add_normal("x", {rows, columns});
    const Tensor residual = b.add_normal("r", {rows, columns});
    const Tensor bias = b.add_normal("bias", {columns});
    const Tensor weight = b.add_normal("weight", {columns});
    const Tensor shift = b.add_normal("shift", {columns});
    const Tensor sum = residual + dropout(x + bias, 0.1);
    const Tensor y = layer_norm(sum, {columns}, weight, shift);
    if (!backward) return b.finish({sum, y});
    const Tensor dy = b.add_normal("dy", {rows, columns});
    return b.finish(b.join({sum, y}, b.backward(y, {x, residual, bias, weight, shift}, dy)));
  });
  work.tolerance = 0;
  return work;
}

Work cross_entropy_rows(const Groups& g) {
  const int64_t rows = size_of(g[0]), classes = size_of(g[1]);
  const double n = 1.0 * rows * classes;
  return deterministic({.bytes = 12 * n, .footprint = 8 * n, .exps = n}, [=] {
    Builder b;
    const Tensor logits = b.add_normal("logits", {rows, classes});
    const Tensor targets = b.add("targets", integers({rows}, 2, classes));
    const Tensor loss = cross_entropy(logits, targets);
    return b.finish(b.join({loss}, b.backward(loss, {logits})));
  });
}

Work linear_cross_entropy(const Groups& g) {
  const int64_t rows = size_of(g[0]), classes = size_of(g[1]), width = size_of(g[2]);
  const double n = 1.0 * rows * classes;
  return deterministic(
      {.flops = 6 * n * width, .bytes = 8.0 * (rows * width + classes * width), .exps = n}, [=] {
        Builder b;
        const Tensor x = b.add_normal("x", {rows, width});
        const Tensor weight = b.add_normal("weight", {classes, width}, 1 / std::sqrt(width));
        const Tensor targets = b.add("targets", integers({rows}, 2, classes));
        const Tensor loss = cross_entropy(linear(x, weight), targets);
        return b.finish(b.join({loss}, b.backward(loss, {x, weight})));
      });
}

Work gelu_backward(const Groups& g) {
  const int64_t n = size_of(g[0]) * 1'000'000;
  return deterministic({.bytes = 12.0 * n, .exps = 1.0 * n, .erfs = 1.0 * n}, [=] {
    Builder b;
    const Tensor x = b.add_normal("x", {n});
    const Tensor dy = b.add_normal("dy", {n});
    return b.finish(b.backward(gelu(x), {x}, dy));
  });
}

Work attention(const Groups& g) {
  constexpr int64_t kHeads = 12, kWidth = 64;
  const bool backward = g[0] == "fwdbwd";
  const int64_t length = size_of(g[1]);
  const double pairs = 0.5 * kHeads * length * length;
  const double elements = 1.0 * kHeads * length * kWidth;
  return deterministic({.flops = 4 * kWidth * pairs * (backward ? 3.5 : 1),
                        .bytes = 4 * elements * (backward ? 8 : 4),
                        .exps = pairs},
                       [=] {
                         Builder b;
                         const Dims64 shape = {1, kHeads, length, kWidth};
                         const Tensor q = b.add_normal("q", shape);
                         const Tensor k = b.add_normal("k", shape);
                         const Tensor v = b.add_normal("v", shape);
                         const Tensor y =
                             scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true);
                         if (!backward) return b.finish({y});
                         const Tensor dy = b.add_normal("dy", shape);
                         return b.finish(b.join({y}, b.backward(y, {q, k, v}, dy)));
                       });
}

Work conv3x3(const Groups& g) {
  const bool backward = !g[0].empty();
  const int64_t batch = size_of(g[1]), channels = size_of(g[2]);
  const int64_t height = size_of(g[3]), width = size_of(g[4]);
  const double pixels = 1.0 * batch * channels * height * width;
  return deterministic({.flops = 2 * pixels * channels * 9 * (backward ? 3 : 1),
                        .bytes = 4 * pixels * (backward ? 4 : 2)},
                       [=] {
                         Builder b;
                         const Dims64 shape = {batch, channels, height, width};
                         const Tensor x = b.add_normal("x", shape);
                         const Tensor weight = b.add_normal("weight", {channels, channels, 3, 3},
                                                            1 / std::sqrt(9.0 * channels));
                         const Tensor y = conv2d(x, weight, {}, 1, 1);
                         if (!backward) return b.finish({y});
                         const Tensor dy = b.add_normal("dy", shape);
                         return b.finish(b.join({y}, b.backward(y, {x, weight}, dy)));
                       });
}

// A chain of tiny kernels; each op is a kernel of its own with fusion off.
Work dispatch(const Groups& g) {
  const int64_t count = size_of(g[0]);
  Work work = deterministic({}, [=] {
    Builder b;
    Tensor x = b.add_normal("x", {16});
    for (int64_t i = 0; i < count; ++i) x = sin(x);
    Instance instance = b.finish({x});
    instance.compile = [fused = instance.compile](Options options) {
      options.fuse = false;
      return fused(options);
    };
    return instance;
  });
  work.parts = count;
  for (const char* peer : {"compile", "jax"}) work.without[peer] = "it would fuse the chain";
  return work;
}

}  // namespace

std::vector<Family> kernel_families() {
  return {
      {R"(gemm_(\d+)x(\d+)x(\d+)(_ta|_tb)?(_bf16)?)", gemm},
      {R"(gemm_bias_gelu_(\d+)x(\d+)x(\d+))", gemm_bias_gelu},
      {R"(softmax_(\d+)x(\d+))", softmax_rows},
      {R"(layernorm(_fwdbwd)?_(\d+)x(\d+))", layernorm},
      {R"(bias_dropout_residual_ln(_fwdbwd)?_(\d+)x(\d+))", bias_dropout_residual_ln},
      {R"(cross_entropy_fwdbwd_(\d+)x(\d+))", cross_entropy_rows},
      {R"(linear_cross_entropy_fwdbwd_(\d+)x(\d+)x(\d+))", linear_cross_entropy},
      {R"(gelu_fwdbwd_(\d+)M)", gelu_backward},
      {R"(attention_(fwd|fwdbwd)_L(\d+))", attention},
      {R"(conv3x3(_fwdbwd)?_(\d+)x(\d+)x(\d+)x(\d+))", conv3x3},
      {R"(dispatch_(\d+))", dispatch},
  };
}

}  // namespace plait::bench
