// Values and gradients that the random samples of the records do not reach: ties, infinities,
// halves, integers. Numbers in the names are those of the cases in the design documents.
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/ops/evaluate_tensor.h"

namespace plait {
namespace {

using testing::gradient;
using testing::Numbers;
using testing::tensor;
using testing::values;
using testing::vector;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("ties share a gradient evenly (A01, A02)") {
  const Tensor x = tensor({2, 3}, {2, 2, 1, 3, 3, 3});
  const Numbers g = gradient(amax(x, 1), x);
  CHECK(g[0] == 0.5);
  CHECK(g[2] == 0);
  CHECK(g[3] + g[4] + g[5] == Approx(1));
  const Tensor a = vector({1, 0});
  const Tensor b = mul(vector({1, 0}), 1.0);
  CHECK(gradient(maximum(a, b), b) == Numbers{0.5, 0.5});
  CHECK(gradient(logaddexp(a, b), b) == Numbers{0.5, 0.5});
}

TEST_CASE("gradients at the kinks are the documented ones") {
  const Tensor zero = vector({0});
  CHECK(gradient(relu(zero), zero) == Numbers{0});
  CHECK(gradient(abs(zero), zero) == Numbers{0});
  CHECK(gradient(leaky_relu(zero, 0.25), zero) == Numbers{0.25});
  CHECK(gradient(elu(zero), zero) == Numbers{1});
  CHECK(gradient(softplus(zero), zero) == Numbers{0.5});
  CHECK(gradient(sigmoid(zero), zero) == Numbers{0.25});
  CHECK(gradient(clamp(zero, 0.0, 1.0), zero) == Numbers{1});
  CHECK(gradient(norm(zero), zero) == Numbers{0});
  CHECK(gradient(norm(zero, 0.5), zero) == Numbers{0});
  const Tensor same = vector({4, 4, 4});
  CHECK(gradient(std(same), same) == Numbers{0, 0, 0});
}

TEST_CASE("a product's gradient is right at zeros (A03)") {
  const Tensor one = vector({2, 0, 3, 4});
  CHECK(gradient(prod(one), one) == Numbers{0, 24, 0, 0});
  const Tensor two = vector({0, 0, 3});
  CHECK(gradient(prod(two), two) == Numbers{0, 0, 0});
  const Tensor rows = tensor({2, 3}, {2, 0, 4, 1, 2, 3});
  CHECK(gradient(prod(rows, 1), rows) == Numbers{0, 8, 0, 6, 3, 2});
}

TEST_CASE("argmax takes the first of equal elements (A10)") {
  for (int64_t n : {5, 8, 33, 1000}) {
    Numbers x(n, 1);
    x[n / 2] = x[n - 1] = 7;
    for (DType dtype : {DType::f32, DType::i32}) {
      CHECK(values(argmax(vector(x, dtype)))[0] == static_cast<double>(n / 2));
    }
    CHECK(values(argmin(vector(Numbers(n, 0))))[0] == 0);
  }
}

TEST_CASE("a fully masked row is 0 and lets no NaN through (A11)") {
  const Tensor s = tensor({2, 2}, {-kInf, -kInf, 0, -kInf});
  CHECK(values(softmax(s, -1)) == Numbers{0, 0, 1, 0});
  CHECK(gradient(mul(softmax(s, -1), vector({1, 2})), s) == Numbers{0, 0, 0, 0});
  const Tensor v = tensor({2, 1}, {1, 2});
  const Tensor w = tensor({1, 1}, {3});
  const Tensor y = matmul(softmax(s, -1), matmul(v, w));
  CHECK(gradient(select(y, 0, 1), w) == Numbers{1});
  CHECK(gradient(y, w) == Numbers{1});
  const Tensor q = tensor({2, 1}, {1, 1});
  const Tensor mask = tensor({2, 2}, {0, 0, 1, 0}, DType::boolean);
  const Tensor out = scaled_dot_product_attention(q, q, v, mask);
  CHECK(values(out) == Numbers{0, 1});
  CHECK(gradient(out, v) == Numbers{1, 0});
}

TEST_CASE("logsumexp of infinities (A12)") {
  const Tensor none = vector({-kInf, -kInf});
  CHECK(values(logsumexp(none, 0)) == Numbers{-kInf});
  CHECK(gradient(logsumexp(none, 0), none) == Numbers{0, 0});
  CHECK(values(logsumexp(vector({kInf, 1}), 0)) == Numbers{kInf});
  const Tensor x = vector({-kInf, -kInf, 0});
  CHECK(values(logcumsumexp(x, 0)) == Numbers{-kInf, -kInf, 0});
  for (double g : gradient(logcumsumexp(x, 0), x)) CHECK(std::isfinite(g));
}

TEST_CASE("halves are summed and divided in f32 and rounded once (A15)") {
  const Tensor ones16 = ones({65520}, DType::f16);
  CHECK(values(mean(ones16)) == Numbers{1});
  CHECK(values(mean(full({3}, 40000, DType::f16))) == Numbers{40000});
  CHECK(values(var(full({3}, 40000, DType::f16))) == Numbers{0});
  CHECK(values(mean(ones({256, 3}, DType::f16), 0)) == Numbers{1, 1, 1});
  CHECK(values(softmax(full({3}, 60000, DType::f16), 0))[0] == Approx(1.0 / 3).epsilon(1e-3));
  // Σ 1/256 · 1 over 512: the products fit bf16, their running sum would not.
  const Tensor row = full({1, 512}, 1.0 / 256, DType::bf16);
  CHECK(values(matmul(row, ones({512, 1}, DType::bf16))) == Numbers{2});
}

TEST_CASE("integer arithmetic is exact (A20, A21)") {
  const Tensor y = mul(arange(0, 9, 1, DType::i64), int64_t{1500000000});
  CHECK(values(y)[8] == 12000000000.0);
  const Tensor a = vector({-7, 7, -8, 110}, DType::i32);
  const Tensor b = vector({2, -2, 3, 55}, DType::i32);
  CHECK(values(floor_divide(a, b)) == Numbers{-4, -4, -3, 2});
  CHECK(values(remainder(a, b)) == Numbers{1, -1, 1, 0});
  CHECK(values(div(a, b, "trunc")) == Numbers{-3, -3, -2, 2});
  CHECK(values(fmod(a, b)) == Numbers{-1, 1, -2, 0});
  CHECK(values(pow(vector({-3, 2}, DType::i64), 5)) == Numbers{-243, 32});
}

TEST_CASE("repeated indices add up; the last write wins (A24)") {
  const Tensor index = vector({0, 0, 2}, DType::i64);
  CHECK(values(scatter_add(zeros({3}), 0, index, vector({1, 2, 3}))) == Numbers{3, 0, 3});
  const Tensor t = vector({0, 0, 0});
  CHECK(gradient(take(t, vector({1, 1, 0}, DType::i64)), t) == Numbers{1, 2, 0});
  const Tensor s = vector({1, 2});
  const Tensor y = scatter(zeros({1}), 0, vector({0, 0}, DType::i64), s);
  CHECK(values(y) == Numbers{2});
  CHECK(gradient(y, s) == Numbers{0, 1});
}

TEST_CASE("sorting is stable and puts NaN last (A26)") {
  const auto [sorted, order] = sort(vector({1, kNaN, 2, 0}));
  CHECK(values(order) == Numbers{3, 0, 2, 1});
  const Numbers x = values(sorted);
  CHECK(Numbers(x.begin(), x.end() - 1) == Numbers{0, 1, 2});
  CHECK(std::isnan(x.back()));
  CHECK(values(argsort(vector({0, -0.0, 0}))) == Numbers{0, 1, 2});
  CHECK(values(argsort(vector({2, 3, 2}), 0, true)) == Numbers{1, 0, 2});
}

TEST_CASE("empty dims (B01)") {
  CHECK(to_string(amax(zeros({2, 0}), 0).type()) == "f32[0]");
  CHECK(values(sum(zeros({2, 0}), 1)) == Numbers{0, 0});
  CHECK(values(prod(zeros({0}))) == Numbers{1});
  CHECK(std::isnan(values(mean(zeros({0})))[0]));
  CHECK(to_string(softmax(zeros({3, 0}), 1).type()) == "f32[3, 0]");
  CHECK(values(matmul(zeros({2, 0}), zeros({0, 2}))) == Numbers{0, 0, 0, 0});
}

TEST_CASE("a transposed convolution is the adjoint of the convolution (B07)") {
  const Tensor x = tensor({1, 1, 4, 4}, Numbers(16, 1));
  Numbers kernel;
  for (int i = 0; i < 9; ++i) kernel.push_back(i);
  const Tensor w = tensor({1, 1, 3, 3}, kernel);
  const Tensor y = conv_transpose2d(x, w, std::nullopt, 2, 1, 1);
  CHECK(to_string(y.type()) == "f32[1, 1, 8, 8]");
  const Tensor big = tensor({1, 1, 8, 8}, Numbers(64, 1));
  CHECK(values(y) == gradient(conv2d(big, w, std::nullopt, 2, 1), big));
  double last_row = 0;
  for (double v : values(select(y, 2, 7))) last_row += v;
  CHECK(last_row > 0);
}

TEST_CASE("max pooling pads with the lowest value and loses no gradient (B10)") {
  for (DType dtype : {DType::f32, DType::i32, DType::i64, DType::i8}) {
    CHECK(values(max_pool2d(full({1, 1, 3, 3}, -5, dtype), 3, 1, 1)) == Numbers(9, -5));
  }
  CHECK(values(max_pool2d(zeros({1, 1, 2, 2}, DType::u8), 2, 1, 1)) == Numbers(9, 0));
  Numbers mixed;
  for (int i = 0; i < 169; ++i) mixed.push_back((i * 37) % 169);
  const Tensor x = tensor({1, 1, 13, 13}, mixed);
  double total = 0;
  for (double g : gradient(max_pool2d(x, 3, 1, 1), x)) total += g;
  CHECK(total == Approx(169));
}

TEST_CASE("cross-entropy is right far from 0, and its gradient is softmax less a one") {
  const Tensor x = tensor({2, 3}, {1000, 1001, 999, -1000, -1000, -1000});
  const Tensor t = vector({1, 2}, DType::i32);
  const Numbers loss = values(cross_entropy(x, t, std::nullopt, -100, "none"));
  CHECK(loss[0] == Approx(std::log(1 + std::exp(-1.0) + std::exp(-2.0))).epsilon(1e-6));
  CHECK(loss[1] == Approx(std::log(3.0)));
  const Numbers g = gradient(cross_entropy(x, t), x);
  CHECK(g[3] == Approx(1.0 / 6));
  CHECK(g[5] == Approx(-1.0 / 3));
  const Tensor ignored = vector({-100, 2}, DType::i64);
  CHECK(values(cross_entropy(x, ignored))[0] == Approx(std::log(3.0)));
  CHECK(values(mse_loss(zeros({4}), vector({0, 1, 2, 3}))) == Numbers{3.5});
}

TEST_CASE("dtypes of results") {
  const Tensor i = vector({1, 2}, DType::i32);
  const Tensor h = vector({1, 2}, DType::bf16);
  CHECK(sum(i).dtype() == DType::i64);
  CHECK(mean(i).dtype() == DType::f32);
  CHECK(exp(i).dtype() == DType::f32);
  CHECK(div(i, i).dtype() == DType::f32);
  CHECK(add(i, 1).dtype() == DType::i32);
  CHECK(add(i, 1.5).dtype() == DType::f32);
  CHECK(add(h, 1.5).dtype() == DType::bf16);
  CHECK(add(h, vector({1, 2}, DType::f16)).dtype() == DType::f32);
  CHECK(gelu(h).dtype() == DType::bf16);
  CHECK(layer_norm(h, {2}, vector({1, 2}), vector({1, 2})).dtype() == DType::bf16);
  CHECK(cross_entropy(tensor({1, 2}, {1, 2}, DType::f16), vector({1}, DType::i64)).dtype() ==
        DType::f16);
  CHECK(argmax(h).dtype() == DType::i64);
  CHECK(mul(vector({1, 0}, DType::boolean), vector({1, 1}, DType::boolean)).dtype() ==
        DType::boolean);
  CHECK(full({2}, 3).dtype() == DType::i64);
  CHECK(full({2}, 3.0).dtype() == DType::f32);
}

}  // namespace
}  // namespace plait
