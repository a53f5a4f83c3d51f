// Operations through the whole compiler, on both backends, fused and unfused.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/functions.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

using test::check_program;
using test::random_array;
using Inputs = std::map<std::string, Array>;

class Programs {
 protected:
  Tensor make(const std::string& name, DType dtype, std::vector<int64_t> shape) {
    inputs[name] = random_array(dtype, shape, random);
    return input(name, dtype, inputs[name].type().shape);
  }
  Tensor indices(const std::string& name, std::vector<int64_t> shape, int64_t limit) {
    Array array = Array::empty(DType::i64, shape);
    std::uniform_int_distribution<int64_t> index(0, limit - 1);
    for (int64_t i = 0; i < array.count(); ++i) array.data<int64_t>()[i] = index(random);
    inputs[name] = array;
    return input(name, DType::i64, array.type().shape);
  }

  std::mt19937 random{7};
  Inputs inputs;
};

constexpr int64_t kSizes[] = {0, 1, 3, 31, 32, 33, 50, 783, 4096};

}  // namespace

TEST_CASE_METHOD(Programs, "elementwise chains of odd sizes") {
  for (const int64_t n : kSizes) {
    CAPTURE(n);
    reset_current_graph();
    const Tensor x = make("x", DType::f32, {n}), y = make("y", DType::f32, {n});
    check_program({tanh(x * y + 2.0) / (exp(y) + 1.0), where(lt(x, y), x, -y)}, inputs);
  }
}

TEST_CASE_METHOD(Programs, "elementwise operations of every dtype") {
  for (const DType dtype : kAllDTypes) {
    CAPTURE(dtype_name(dtype));
    reset_current_graph();
    const Tensor x = make("x", dtype, {3, 37}), y = make("y", dtype, {37});
    std::vector<Tensor> outputs = {maximum(x, y), eq(x, y), to(x, DType::f32), to(x, DType::i32)};
    if (dtype != DType::boolean) {
      outputs.push_back(x + y);
      outputs.push_back(x * y);
    }
    check_program(outputs, inputs);
  }
}

TEST_CASE_METHOD(Programs, "reductions over every subset of axes") {
  for (int mask = 1; mask < 16; ++mask) {
    CAPTURE(mask);
    reset_current_graph();
    const Tensor x = make("x", DType::f32, {3, 5, 2, 7});
    std::vector<int64_t> axes;
    for (int64_t axis = 0; axis < 4; ++axis) {
      if (mask >> axis & 1) axes.push_back(axis);
    }
    check_program({sum(x * 2.0, axes), amax(x, axes), mean(x, axes, true)}, inputs);
  }
}

TEST_CASE_METHOD(Programs, "long reductions") {
  for (const int64_t n : {1, 31, 33, 4097, 50257}) {
    CAPTURE(n);
    reset_current_graph();
    const Tensor x = make("x", DType::f32, {2, n});
    check_program({sum(x, 1), argmax(x, 1), sum(x * x)}, inputs, 20);
  }
  for (const int64_t n : {1, 127, 129, 5000, 40000}) {
    CAPTURE(n);
    reset_current_graph();
    const Tensor x = make("x", DType::f32, {n, 5});
    check_program({sum(x, 0), amin(x, 0), argmin(x, 0)}, inputs, 20);
  }
}

// NaN of either sign wins, and zeros are ordered; along rows, columns, and in a row by itself.
TEST_CASE("the largest and smallest of every pair of special floats") {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> special = {nan, -nan, inf,  -inf,  0.0f,   -0.0f,
                                      1,   -1,   3e38, -3e38, 1e-45f, -1e-45f};
  const auto count = static_cast<int64_t>(special.size());
  Array pairs = Array::empty(DType::f32, {count * count, 2});
  std::vector<float> largest, smallest;
  for (int64_t i = 0; i < count * count; ++i) {
    const float a = special[i / count], b = special[i % count];
    pairs.data<float>()[2 * i] = a;
    pairs.data<float>()[2 * i + 1] = b;
    const bool any_nan = std::isnan(a) || std::isnan(b);
    const bool a_first = a < b || (a == b && std::signbit(a));
    largest.push_back(any_nan ? nan : a_first ? b : a);
    smallest.push_back(any_nan ? nan : a_first ? a : b);
  }
  reset_current_graph();
  const Tensor x = input("x", DType::f32, pairs.type().shape);
  const Tensor y = transpose(x, 0, 1) * 1.0;
  const std::vector<Array> got =
      compile({amax(x, {1}), amin(x, {1}), amax(y, {0}), amin(y, {0})}).run({{"x", pairs}});
  for (size_t output = 0; output < got.size(); ++output) {
    const std::vector<float>& expected = output % 2 == 0 ? largest : smallest;
    for (int64_t i = 0; i < count * count; ++i) {
      CAPTURE(output, special[i / count], special[i % count]);
      const float value = got[output].data<float>()[i];
      if (std::isnan(expected[i])) {
        CHECK(std::isnan(value));
      } else {
        CHECK(value == expected[i]);
        CHECK(std::signbit(value) == std::signbit(expected[i]));
      }
    }
  }
}

TEST_CASE_METHOD(Programs, "softmax, norms and losses with gradients") {
  for (const int64_t n : {1, 7, 32, 100}) {
    CAPTURE(n);
    reset_current_graph();
    const Tensor x = make("x", DType::f32, {6, n}), w = make("w", DType::f32, {n});
    const Tensor b = make("b", DType::f32, {n});
    const Tensor targets = indices("targets", {6}, n);
    check_program({softmax(x, 1), log_softmax(x, 0), layer_norm(x, {n}, w, b), rms_norm(x, {n}, w),
                   cross_entropy(x, targets), gelu(x), logsumexp(x, 1)},
                  inputs);
  }
}

TEST_CASE_METHOD(Programs, "outputs that share a draw") {
  reset_current_graph();
  const Tensor dropped = dropout(make("x", DType::f32, {50}), 0.5);
  const std::vector<Array> results = compile({dropped, dropped + dropped}).run(inputs);
  int64_t zeros = 0;
  for (int64_t i = 0; i < 50; ++i) {
    const double once = results[0].at(i).as_double();
    CHECK(results[1].at(i).as_double() == 2 * once);
    zeros += once == 0;
  }
  CHECK((zeros > 10 && zeros < 40));
}

TEST_CASE_METHOD(Programs, "products of odd sizes, layouts and dtypes") {
  for (const int64_t m : {1, 7, 33}) {
    for (const int64_t n : {1, 50}) {
      for (const int64_t k : {0, 1, 37}) {
        CAPTURE(m, n, k);
        reset_current_graph();
        const Tensor a = make("a", DType::f32, {m, k}), at = make("at", DType::f32, {k, m});
        const Tensor b = make("b", DType::f32, {k, n}), bt = make("bt", DType::f32, {n, k});
        check_program({matmul(a, b), matmul(transpose(at, 0, 1), b), linear(a, bt),
                       matmul(transpose(at, 0, 1), transpose(bt, 0, 1))},
                      inputs, 5);
      }
    }
  }
}

TEST_CASE_METHOD(Programs, "products whose sum has several leaves and blocks") {
  for (const int64_t k : {513, 1025, 2500}) {
    CAPTURE(k);
    reset_current_graph();
    const Tensor a = make("a", DType::f32, {19, k}), b = make("b", DType::f32, {k, 70});
    check_program({relu(matmul(a, b) + 1.0)}, inputs, 20);
  }
}

TEST_CASE_METHOD(Programs, "batched, broadcast and mixed products") {
  const Tensor a = make("a", DType::f32, {2, 3, 9, 11}), b = make("b", DType::f32, {3, 11, 5});
  const Tensor v = make("v", DType::f32, {11});
  const Tensor half = make("half", DType::bf16, {9, 17}),
               other = make("other", DType::bf16, {17, 6});
  const Tensor i = make("i", DType::i32, {4, 6}), j = make("j", DType::i32, {6, 5});
  check_program({matmul(a, b), matmul(a, v), matmul(half, other), matmul(i, j),
                 einsum("bhmk,hkn->bhnm", {a, b})},
                inputs, 5);
}

TEST_CASE_METHOD(Programs, "products of bf16 on both backends, in every layout") {
  const Tensor a = make("a", DType::bf16, {2, 37, 70}), b = make("b", DType::bf16, {70, 45});
  const Tensor image = make("image", DType::bf16, {2, 3, 9, 8});
  const Tensor taps = make("taps", DType::bf16, {10, 3, 3, 3});
  check_program({matmul(a, b), einsum("bmk,kn->bnm", {a, b}), einsum("bkm,bkn->bmn", {a, a}),
                 linear(a, transpose(b, 0, 1)), conv2d(image, taps, {}, 2, 1)},
                inputs, 5);
}

TEST_CASE_METHOD(Programs, "autocast gives the bits of casts by hand, gradients too") {
  auto outputs = [&](bool by_hand) {
    reset_current_graph();
    const Tensor x = input("x", DType::f32, {20, 33}), w = input("w", DType::f32, {18, 33});
    auto rounded = [&](const Tensor& t) {
      return by_hand ? to(to(t, DType::bf16), DType::f32) : t;
    };
    const Tensor y = linear(rounded(gelu(x)), rounded(w));
    // The gradient of the sum of squares by w.
    const Tensor gradient = matmul(transpose(rounded(y * 2.0), 0, 1), rounded(gelu(x)));
    return std::vector<Tensor>{softmax(y, 1), gradient, sum(x, 0)};
  };
  make("x", DType::f32, {20, 33});
  make("w", DType::f32, {18, 33});
  Options options;
  options.check = true;
  const std::vector<Array> by_hand = compile(outputs(true), options).run(inputs);
  const std::vector<Array> plain = compile(outputs(false), options).run(inputs);
  options.autocast = Autocast::bf16;
  const std::vector<Array> cast = compile(outputs(false), options).run(inputs);
  for (size_t i = 0; i < cast.size(); ++i) {
    const size_t bytes = static_cast<size_t>(cast[i].count()) * sizeof(float);
    CHECK(std::memcmp(cast[i].buffer->data(), by_hand[i].buffer->data(), bytes) == 0);
    CHECK((std::memcmp(cast[i].buffer->data(), plain[i].buffer->data(), bytes) == 0) == (i == 2));
  }
}

TEST_CASE_METHOD(Programs, "views, joins and masks") {
  const Tensor x = make("x", DType::f32, {4, 6, 5}), y = make("y", DType::f32, {4, 3, 5});
  check_program({cat({x, y}, 1), flip(x, {0, 2}) * 2.0, permute(x, {2, 0, 1}) + 1.0,
                 reshape(x, {24, 5}) - 1.0, pad(x, {1, 2, 0, 1}, "constant", 3.0),
                 tril(reshape(x, {4, 30})), cumsum(x, 1), sum(cat({x, y}, 1) * 2.0, 1)},
                inputs);
}

TEST_CASE_METHOD(Programs, "gathers and scatters") {
  const Tensor table = make("table", DType::f32, {10, 33});
  const Tensor ids = indices("ids", {4, 6}, 10);
  const Tensor updates = make("updates", DType::f32, {24, 33});
  check_program({embedding(ids, table) * 2.0, index_add(table, 0, reshape(ids, {24}), updates),
                 one_hot(ids, 10), argsort(table, 1)},
                inputs);
}

TEST_CASE_METHOD(Programs, "convolutions") {
  const Tensor x = make("x", DType::f32, {2, 4, 9, 7}), w = make("w", DType::f32, {6, 2, 3, 2});
  check_program({conv2d(x, w, {}, {2, 1}, {1, 0}, {1, 2}, 2), max_pool2d(x, 3, 1, 1)}, inputs, 5);
}

TEST_CASE_METHOD(Programs, "outputs that share a random draw") {
  reset_current_graph();
  const Tensor x = make("x", DType::f32, {40, 33});
  const Tensor y = dropout(x, 0.5);
  check_program({y, y * 2.0, y + rand(y.shape())}, inputs);
  const std::vector<Array> drawn = compile({y, y * 2.0}).run(inputs);
  for (int64_t i = 0; i < drawn[0].count(); ++i) {
    REQUIRE(2 * drawn[0].data<float>()[i] == drawn[1].data<float>()[i]);
  }
  // Of two graphs: both are copied into a third.
  reset_current_graph();
  const Tensor other = input("x", DType::f32, x.shape()) * 3.0;
  reset_current_graph();
  CHECK(compile({y, other, y * 2.0}).run(inputs).size() == 3);
}

// The kernel of a flat nest serves every size, so it may not read one place of the nest's size.
TEST_CASE_METHOD(Programs, "elements of short tensors are joined") {
  const Tensor x = make("x", DType::f32, {2}), y = make("y", DType::f32, {2});
  check_program({stack({select(x, 0, 1), select(y, 0, 1)})}, inputs);
  check_program({stack({select(x, 0, 0), select(y, 0, 1)}) + x}, inputs);
}

}  // namespace plait
