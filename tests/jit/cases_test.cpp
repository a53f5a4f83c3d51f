// Reported faults of other systems, through the whole compiler: native code fused and unfused and
// the interpreter must agree bit by bit. The names are those of the list of cases.
#include <fmt/format.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <set>

#include "core/error.h"
#include "jit/compile.h"
#include "ops/functions.h"
#include "ops/random.h"
#include "passes/gradients.h"
#include "tests/support/error_text.h"
#include "tests/support/programs.h"
#include "tests/support/skip.h"
#include "tests/support/small_stack.h"
#include "tests/support/temporary_folder.h"

namespace plait {
namespace {

using Inputs = std::map<std::string, Array>;
using Numbers = std::vector<double>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Array array(DType dtype, std::vector<int64_t> shape, const Numbers& values) {
  Array result = Array::empty(dtype, std::move(shape));
  for (int64_t i = 0; i < result.count(); ++i) {
    Scalar(dtype, values[static_cast<size_t>(i)])
        .store(result.data<std::byte>() + static_cast<size_t>(i) * dtype_size(dtype));
  }
  return result;
}

Numbers numbers(const Array& array) {
  Numbers result;
  for (int64_t i = 0; i < array.count(); ++i) result.push_back(array.at(i).as_double());
  return result;
}

// Equal, NaN to NaN, and zeros of one sign.
bool same(const Numbers& a, const Numbers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return (std::isnan(x) && std::isnan(y)) || (x == y && std::signbit(x) == std::signbit(y));
  });
}

Options options(Engine engine, bool fuse, int64_t threads) {
  Options result;
  result.backend = engine;
  result.fuse = fuse;
  result.threads = threads;
  result.cache_dir = "off";
  return result;
}

// The graphs of one test and what they compute, in every way that must not matter.
class Cases {
 protected:
  Cases() { reset_current_graph(); }

  Tensor make(const std::string& name, const Array& array) {
    inputs[name] = array;
    return input(name, array.dtype, array.type().shape);
  }
  std::vector<Array> run(const std::vector<Tensor>& outputs, bool interpret = true) {
    const std::vector<Array> result = compile(outputs, options(Engine::llvm, true, 1)).run(inputs);
    auto agrees = [&](const Options& other) {
      const std::vector<Array> got = compile(outputs, other).run(inputs);
      for (size_t i = 0; i < got.size(); ++i) {
        INFO("output " << i << ", fuse " << other.fuse << ", threads " << other.threads);
        REQUIRE(got[i].shape == result[i].shape);
        REQUIRE(same(numbers(got[i]), numbers(result[i])));
      }
    };
    agrees(options(Engine::llvm, false, 2));
    agrees(options(Engine::llvm, true, 3));
    if (interpret) agrees(options(Engine::interp, true, 1));
    return result;
  }
  Numbers one(const Tensor& output) { return numbers(run({output})[0]); }

  Inputs inputs;
};

}  // namespace

TEST_CASE_METHOD(Cases, "A10: ties of argmax and argmin go to the first") {
  for (const DType dtype : {DType::f32, DType::i32}) {
    for (const int64_t n : {5, 8, 33, 1000, 100003}) {
      CAPTURE(n);
      reset_current_graph();
      Numbers values(static_cast<size_t>(n), 1);
      values[static_cast<size_t>(n / 2)] = values.back() = 7;
      const Tensor x = make("x", array(dtype, {n}, values));
      const std::vector<Array> got = run({argmax(x, 0), argmin(x * 0, 0)}, n < 10000);
      CHECK(got[0].item() == static_cast<double>(n / 2));
      CHECK(got[1].item() == 0);
    }
  }
}

TEST_CASE_METHOD(Cases, "A15: means of halves are summed and divided in f32") {
  const Tensor a = make("a", Array::full(DType::f16, {65520}, Scalar(DType::f16, 1.0)));
  const Tensor b = make("b", Array::full(DType::f16, {3}, Scalar(DType::f16, 40000.0)));
  const Tensor d = make("d", Array::full(DType::f16, {256, 512}, Scalar(DType::f16, 1.0)));
  const std::vector<Array> got = run({mean(a), mean(b), var(b), mean(d, 0)});
  CHECK(got[0].item() == 1);
  CHECK(got[1].item() == 40000);
  CHECK(got[2].item() == 0);
  CHECK(same(numbers(got[3]), Numbers(512, 1)));
}

TEST_CASE_METHOD(Cases, "A16: long sums do not drift") {
  const Tensor tenth = make("x", Array::full(DType::f32, {1000000}, Scalar(DType::f32, 0.1)));
  const std::vector<Array> got = run({sum(tenth), sum(full({1000000}, 0.1)),
                                      sum(tenth * 2.0 - tenth), mean(ones({1, 3, 321, 481}))},
                                     false);
  for (int i = 0; i < 3; ++i) CHECK(std::abs(got[i].item() - 100000) < 0.5);
  CHECK(std::abs(got[3].item() - 1) < 1e-6);
}

TEST_CASE_METHOD(Cases, "A20: values of i64 are not narrowed with the index") {
  const Tensor x = make("x", array(DType::i64, {1}, {1500000000}));
  Numbers expected;
  for (int i = 0; i < 9; ++i) expected.push_back(1500000000.0 * i);
  CHECK(one(arange(0, 9, 1, DType::i64) * x) == expected);
}

TEST_CASE_METHOD(Cases, "A21: division and remainder of integers floor") {
  const Tensor a = make("a", array(DType::i32, {4}, {-7, 7, -8, 110}));
  const Tensor b = make("b", array(DType::i32, {4}, {2, -2, 3, 55}));
  const Tensor c = make("c", array(DType::i32, {3}, {-4, 0, 5}));
  const Tensor q = floor_divide(a, b), r = remainder(a, b);
  const std::vector<Array> got = run(
      {q, r, q * b + r, floor_divide((c + 5) * -3, 6), floor_divide((c - 73) * (67 * 120), -69)});
  CHECK(numbers(got[0]) == Numbers{-4, -4, -3, 2});
  CHECK(numbers(got[1]) == Numbers{1, -1, 1, 0});
  CHECK(numbers(got[2]) == Numbers{-7, 7, -8, 110});
  Numbers u, v;
  for (const double x : {-4, 0, 5}) {
    u.push_back(std::floor(-3 * (x + 5) / 6));
    v.push_back(std::floor(67 * 120 * (x - 73) / -69));
  }
  CHECK(numbers(got[3]) == u);
  CHECK(numbers(got[4]) == v);
}

TEST_CASE_METHOD(Cases, "A27: NaN and infinity show through x*0, x-x and x/x") {
  const Tensor x = make("x", array(DType::f32, {4}, {kNan, kInf, 0, 2}));
  const std::vector<Array> got = run({x * 0.0, x - x, x / x});
  CHECK(same(numbers(got[0]), {kNan, kNan, 0, 0}));
  CHECK(same(numbers(got[1]), {kNan, kNan, 0, 0}));
  CHECK(same(numbers(got[2]), {kNan, kNan, kNan, 1}));
}

TEST_CASE_METHOD(Cases, "A28: signs of zeros") {
  const Tensor half = make("half", array(DType::f32, {1}, {-0.5}));
  const Tensor minus = make("minus", array(DType::f32, {1}, {-0.0}));
  const Tensor plus = make("plus", array(DType::f32, {1}, {0.0}));
  const Tensor three = make("three", array(DType::f32, {1}, {3}));
  const std::vector<Array> got =
      run({div(1.0, ceil(half) + 0.0), minimum(minus, plus), minimum(plus, minus),
           maximum(minus, plus), maximum(plus, minus), three * -0.0});
  const Numbers expected = {kInf, -0.0, -0.0, 0.0, 0.0, -0.0};
  for (size_t i = 0; i < expected.size(); ++i) CHECK(same(numbers(got[i]), {expected[i]}));
}

TEST_CASE_METHOD(Cases, "A29: IEEE by default: NaN, infinity and subnormals") {
  const Tensor x = make("x", array(DType::f32, {4}, {0, 100, kNan, 1e-10}));
  const std::vector<Array> got = run({isnan(x / x), exp(x), tanh(x), x * 1e-30});
  CHECK(numbers(got[0]) == Numbers{1, 0, 1, 0});
  CHECK(numbers(got[1])[1] == kInf);
  CHECK(std::isnan(numbers(got[2])[2]));
  CHECK(numbers(got[3])[3] == static_cast<double>(1e-10f * 1e-30f));
  CHECK(numbers(got[3])[3] > 0);
}

TEST_CASE_METHOD(Cases, "B01: reductions with axes of no elements") {
  const Tensor x = make("x", array(DType::f32, {2, 0}, {}));
  const Tensor y = make("y", array(DType::f32, {0}, {}));
  const std::vector<Array> got = run({amax(x, 0), sum(x, 1), prod(y, 0), mean(y), x * 2.0});
  CHECK(got[0].shape == std::vector<int64_t>{0});
  CHECK(same(numbers(got[1]), {0, 0}));
  CHECK(same(numbers(got[2]), {1}));
  CHECK(same(numbers(got[3]), {kNan}));
  CHECK(got[4].shape == std::vector<int64_t>{2, 0});
  CHECK(error_text<UserError>([&] { amax(y, 0); }).find("[amax]") == 0);
}

TEST_CASE_METHOD(Cases, "B04: offsets beyond 2^31") {
  const int64_t n = (int64_t{1} << 31) + 16;
  void* memory = mmap(nullptr, static_cast<size_t>(n), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) PLAIT_SKIP("B04: no room for 2 GiB of address space");
  const std::shared_ptr<void> owner(memory, [n](void* p) { munmap(p, static_cast<size_t>(n)); });
  const Array big{DType::u8, {n}, Buffer::foreign(memory, static_cast<size_t>(n), owner)};
  std::memset(big.data<uint8_t>() + n - 8, 1, 8);
  const Tensor x = make("x", big);
  const Tensor tail = slice(x, 0, int64_t{1} << 31);
  const std::vector<Array> got =
      compile({tail + 1, slice(flip(x, {0}), 0, 0, 9)}, options(Engine::llvm, true, 1)).run(inputs);
  CHECK(numbers(got[0]) == Numbers{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2});
  CHECK(numbers(got[1]) == Numbers{1, 1, 1, 1, 1, 1, 1, 1, 0});
  CHECK(element_count({65536, 65537}).is_constant(4295032832));
}

TEST_CASE_METHOD(Cases, "B12: a product and sum of high rank") {
  const Tensor o = make("o", Array::full(DType::f32, {10, 4, 6}, Scalar(DType::f32, 1.0)));
  const Tensor a =
      make("a", Array::full(DType::f32, {10, 4, 6, 3, 3, 3, 3, 3}, Scalar(DType::f32, 1.0)));
  const Tensor y = log(sum(reshape(o, {10, 4, 6, 1, 1, 1, 1, 1}) * a, 2));
  const std::vector<Array> got = run({y}, false);
  CHECK(got[0].shape == std::vector<int64_t>{10, 4, 3, 3, 3, 3, 3});
  for (const double v : numbers(got[0])) REQUIRE(std::abs(v - std::log(6.0)) < 1e-6);
}

TEST_CASE_METHOD(Cases, "C02: a thin product, squared and summed, of many rows") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {16384, 16385, 32768, 32769}) {
      CAPTURE(n);
      reset_current_graph();
      const Tensor i = arange(0, n, 1, dtype);
      const Tensor x = stack({i, i * 0, i * 0}, 1);
      const Numbers got = numbers(run({sum(square(matmul(x, eye(3, {}, dtype))), 1)}, false)[0]);
      const double last = static_cast<double>(n - 1);
      const double squared = last * last;
      CHECK(got.back() == (dtype == DType::f64 ? squared : static_cast<float>(squared)));
      if (n == 32769) CHECK(got.back() == 1073741824);
    }
  }
}

TEST_CASE_METHOD(Cases, "C04: an identity transpose before a product") {
  const Tensor a = make("a", array(DType::f32, {2, 2}, {1, 2, 3, 4}));
  const Tensor b = make("b", array(DType::f32, {2, 2}, {1, 0, 0, 10}));
  const std::vector<Array> got =
      run({matmul(permute(a, {0, 1}), b) + 0, matmul(permute(a, {1, 0}), b) + 0});
  CHECK(numbers(got[0]) == Numbers{1, 20, 3, 40});
  CHECK(numbers(got[1]) == Numbers{1, 30, 2, 40});
}

TEST_CASE_METHOD(Cases, "C12: dropout masks after a change of layout") {
  const Tensor x = make("x", Array::full(DType::f32, {8, 64, 512}, Scalar(DType::f32, 1.0)));
  manual_seed(11);
  const Tensor mask = to(ne(dropout(transpose(x, 1, 2), 0.5), 0.0), DType::f32);
  auto drawn = [&](int64_t threads) {
    manual_seed(11);
    return numbers(compile({mask}, options(Engine::llvm, true, threads)).run(inputs)[0]);
  };
  const Numbers m = drawn(1);
  CHECK(m == drawn(2));
  CHECK(m == drawn(3));
  const double n = static_cast<double>(m.size());
  double kept = 0;
  for (const double v : m) kept += v;
  CHECK(std::abs(kept / n - 0.5) < 4 * 0.5 / std::sqrt(n));
  // Neighbours along the axes of [8, 512, 64].
  for (const size_t stride : {size_t{1}, size_t{64}, size_t{64 * 512}}) {
    for (const size_t lag : {1, 2, 4, 8}) {
      const size_t shift = lag * stride;
      if (shift >= m.size()) continue;
      double together = 0;
      for (size_t i = 0; i + shift < m.size(); ++i) together += (m[i] - 0.5) * (m[i + shift] - 0.5);
      const double correlation = together / (0.25 * static_cast<double>(m.size() - shift));
      CAPTURE(stride, lag);
      CHECK(std::abs(correlation) < 0.02);
    }
  }
}

TEST_CASE_METHOD(Cases, "C28: halves round at every step, fused or not") {
  const Tensor x = make("x", array(DType::bf16, {4}, {.1, .2002, .3, .4}));
  const Tensor p = make("p", array(DType::f32, {3}, {8, 1024, 0x1p-10}));
  const std::vector<Array> got = run({gt(x, 0.2), ceil(log2(p))});
  CHECK(numbers(got[0]) == Numbers{0, 0, 1, 1});
  CHECK(numbers(got[1]) == Numbers{3, 10, -10});
  inputs.clear();
  std::mt19937 random(5);
  const Tensor q = make("q", test::random_array(DType::bf16, {2, 3, 40, 16}, random));
  const Tensor angle = make("angle", test::random_array(DType::bf16, {40, 8}, random));
  run({rotary_embedding(q, cos(angle), sin(angle)),
       rotary_embedding(q, cos(angle), sin(angle), true)});
}

TEST_CASE_METHOD(Cases, "C29: constants that meet infinity and NaN") {
  const Tensor x = make("x", array(DType::f32, {1}, {1}));
  const Tensor nothing = to(logical_xor(gt(x, 0.0), gt(x, 0.0)), DType::f32);
  const std::vector<Array> got = run({layer_norm(log2(zeros({2, 1})), {1}), atan2(nothing, 0.0)});
  CHECK(got[0].shape == std::vector<int64_t>{2, 1});
  CHECK(same(numbers(got[0]), {kNan, kNan}));
  CHECK(same(numbers(got[1]), {0}));
}

TEST_CASE_METHOD(Cases, "C15: thousands of small products, summed") {
  std::vector<double> expected(16);
  Tensor total;
  const int count = 2000;
  for (int i = 0; i < count; ++i) {
    Numbers a(16), b(16);
    for (int k = 0; k < 16; ++k) {
      a[static_cast<size_t>(k)] = (i + k) % 5 - 2;
      b[static_cast<size_t>(k)] = (i * 3 + k) % 7 - 3;
    }
    for (size_t k = 0; k < 64; ++k)
      expected[k / 4 / 4 * 4 + k % 4] += a[k / 16 * 4 + k / 4 % 4] * b[k / 4 % 4 * 4 + k % 4];
    const Tensor product = matmul(make("a" + std::to_string(i), array(DType::f32, {4, 4}, a)),
                                  make("b" + std::to_string(i), array(DType::f32, {4, 4}, b)));
    total = total.defined() ? total + product : product;
  }
  Program program = compile({total}, options(Engine::llvm, true, 1));
  CHECK(numbers(program.run(inputs)[0]) == expected);
  // Equal products share a kernel, and no launch takes them all.
  CHECK(program.launches() < 20);
  CHECK(program.kernels().size() <= 8);
}

TEST_CASE_METHOD(Cases, "C15: a stack of hundreds of constants") {
  std::vector<Tensor> parts;
  for (int i = 0; i < 300; ++i) parts.push_back(full({28, 28}, static_cast<double>(i)));
  const Numbers got = numbers(compile({stack(parts)}, options(Engine::llvm, true, 1)).run()[0]);
  for (size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == static_cast<double>(i / 784));
}

TEST_CASE_METHOD(Cases, "C15: a program of 2,107 kernels, made and then loaded on a small stack") {
  constexpr int64_t kKernels = 2107;
  std::vector<Tensor> outputs;
  for (int64_t i = 0; i < kKernels; ++i) {
    const Tensor x = make("x" + std::to_string(i), array(DType::f32, {300}, Numbers(300, i % 9)));
    outputs.push_back(x * static_cast<double>(i) + 0.5);
  }
  const std::shared_ptr<Graph> graph = current_graph();
  for (size_t i = 0; i < outputs.size(); ++i) {
    graph->add_output(std::to_string(i), outputs[i].value());
  }
  const TemporaryFolder folder;
  // Another name of the folder is another backend, which knows of nothing but what lies there.
  for (const char* name : {"", "."}) {
    Options here = options(Engine::llvm, true, 2);
    here.cache_dir = folder / name;
    const CompileCount before = compile_count();
    std::vector<Array> got;
    on_small_stack(512 << 10, [&] {
      Program program = compile(*graph, here);
      CHECK(program.kernels().size() == kKernels);
      CHECK(program.launches() == kKernels);
      got = program.run(inputs);
    });
    const bool first = *name == '\0';
    const CompileCount after = compile_count();
    CHECK(after.kernels - before.kernels == (first ? kKernels : 0));
    CHECK(after.kernels_cached - before.kernels_cached == (first ? 0 : kKernels));
    REQUIRE(got.size() == kKernels);
    for (int64_t i = 0; i < kKernels; ++i) {
      const float* y = got[static_cast<size_t>(i)].data<float>();
      REQUIRE(y[0] == static_cast<float>(i % 9 * i) + 0.5f);
      REQUIRE(y[299] == y[0]);
    }
  }
}

TEST_CASE_METHOD(Cases, "C23: blanks and other letters in the folders of the cache and of dumps") {
  TemporaryFolder folder;
  Options here = options(Engine::llvm, true, 1);
  here.cache_dir = folder / "a b/ü'x";
  here.dump = folder / "d é 'p";
  const Tensor x = make("x", array(DType::f32, {3}, {1, 2, 3}));
  for (int i = 0; i < 2; ++i) CHECK(numbers(compile({x * 2.5}, here).run(inputs)[0])[2] == 7.5);
  CHECK(!std::filesystem::is_empty(here.cache_dir));
  CHECK(!std::filesystem::is_empty(here.dump));
}

TEST_CASE_METHOD(Cases, "F01: compiled as a whole a training step needs no more than op by op") {
  std::mt19937 random(1);
  const Tensor x = make("x", test::random_array(DType::f32, {512, 32}, random));
  const Tensor w1 = make("w1", test::random_array(DType::f32, {32, 48}, random));
  const Tensor w2 = make("w2", test::random_array(DType::f32, {48, 50'000}, random));
  Numbers classes(512);
  for (size_t i = 0; i < 512; ++i) classes[i] = static_cast<double>(i * 37 % 50'000);
  const Tensor targets = make("targets", array(DType::i64, {512}, classes));
  const Tensor loss = cross_entropy(matmul(gelu(matmul(x, w1)), w2), targets);
  const std::shared_ptr<Graph> graph = current_graph();
  std::vector<Tensor> outputs = {loss};
  const std::vector<Value> weights = {w1.value(), w2.value()};
  for (Value v : gradients(*graph, loss.value(), weights)) outputs.emplace_back(graph, v);
  auto peak = [&](bool fuse) {
    Program program = compile(outputs, options(Engine::llvm, fuse, 1));
    program.run(inputs);
    return program.peak_bytes();
  };
  CHECK(peak(true) <= peak(false));
}

TEST_CASE_METHOD(Cases, "F04: a constant stretched over a batch of products stays small") {
  std::mt19937 random(1);
  const Tensor k = constant(test::random_array(DType::f32, {448, 448}, random));
  const Tensor x = make("x", Array::full(DType::f32, {1800, 1, 448}, Scalar(DType::f32, 1.0)));
  const size_t before = Buffer::live_bytes();
  Program program = compile({bmm(x, expand(k, {1800, 448, 448}))}, options(Engine::llvm, true, 1));
  CHECK(Buffer::live_bytes() - before < (size_t{50} << 20));
  const Array y = program.run(inputs)[0];
  CHECK(program.peak_bytes() < (size_t{50} << 20));
  CHECK(y.at(5).as_double() == y.at(448 * 1799 + 5).as_double());
}

}  // namespace plait
