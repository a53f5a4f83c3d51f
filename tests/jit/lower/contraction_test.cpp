// Products have the bits of their definition (core/reduction_order.h) however they are cut: for
// machines with other vectors, registers and caches than this one, too.
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <regex>
#include <sstream>

#include "core/log.h"
#include "core/reduction_order.h"
#include "jit/lower/lower.h"
#include "jit/lower/tiling.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "tests/jit/lower/targets.h"
#include "tests/support/launch.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

enum class Layout { plain, left_transposed, right_transposed };

struct Product {
  int64_t batch, m, n, k;
  Layout layout;
};

float flushed(float a) { return std::fabs(a) < 0x1p-126f ? std::copysign(0.0f, a) : a; }

// A leaf of f32: one chain of fused multiply-adds.
float chain(const std::vector<float>& a, const std::vector<float>& b) {
  float sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum = std::fma(a[k], b[k], sum);
  return sum;
}

// A leaf of bf16: a chain of the even and one of the odd elements of each 32, without subnormals,
// padded with zeros.
float chain_of_pairs(const std::vector<float>& a, const std::vector<float>& b) {
  float sum = 0;
  for (size_t start = 0; start < a.size(); start += 32) {
    float halves[2] = {0, 0};
    for (size_t k = start; k < start + 32; ++k) {
      float& half = halves[(k - start) % 2];
      const float left = k < a.size() ? a[k] : 0, right = k < a.size() ? b[k] : 0;
      half = flushed(std::fma(flushed(left), flushed(right), half));
    }
    sum = flushed(sum + flushed(halves[0] + halves[1]));
  }
  return sum;
}

float element(const Array& x, int64_t at) {
  return x.type().dtype == DType::bf16 ? bf16_to_f32(x.data<uint16_t>()[at]) : x.data<float>()[at];
}

// Of bf16, also what makes sums fall below the least normal f32, or overflow.
enum class Content { usual, tiny, not_finite };

Array numbers(DType dtype, Content content, const std::vector<int64_t>& shape,
              std::mt19937& random) {
  Array x = test::random_array(dtype, shape, random);
  if (content == Content::usual) return x;
  std::uniform_int_distribution<int> exponent(-78, -48), rare(0, 49);
  for (int64_t i = 0; i < x.count(); ++i) {
    float value = element(x, i);
    if (content == Content::tiny) value = std::ldexp(value, exponent(random));
    if (content == Content::not_finite && rare(random) == 0) value /= 0.0f;
    x.data<uint16_t>()[i] = f32_to_bf16(value);
  }
  return x;
}

// Leaves are added in order.
std::vector<float> reference(const Product& p, const Array& a, const Array& b) {
  const bool pairs = a.type().dtype == DType::bf16;
  const auto order = pairs ? ContractionOrder::pairs : ContractionOrder::chain;
  const int64_t leaf = *contraction_leaf(p.k, order).constant();
  std::vector<float> result(p.batch * p.m * p.n);
  for (int64_t i = 0; i < static_cast<int64_t>(result.size()); ++i) {
    const int64_t column = i % p.n, row = i / p.n % p.m, batch = i / (p.n * p.m);
    float sum = 0;
    for (int64_t start = 0; start < p.k; start += leaf) {
      std::vector<float> lefts, rights;
      for (int64_t k = start; k < std::min(start + leaf, p.k); ++k) {
        const int64_t left = p.layout == Layout::left_transposed ? k * p.m + row : row * p.k + k;
        const int64_t right =
            p.layout == Layout::right_transposed ? column * p.k + k : k * p.n + column;
        lefts.push_back(element(a, batch * p.m * p.k + left));
        rights.push_back(element(b, batch * p.k * p.n + right));
      }
      const float here = pairs ? chain_of_pairs(lefts, rights) : chain(lefts, rights);
      sum = start == 0 ? here : sum + here;
    }
    result[i] = sum;
  }
  return result;
}

// The one kernel that is left @ right, widened to f32; verified.
lower::LoweredGroup lower_product(const Target& target, Layout layout, DType dtype,
                                  Shape left_shape, Shape right_shape) {
  reset_current_graph();
  Tensor left = detail::cast_to(input("a", dtype, left_shape), DType::f32);
  Tensor right = detail::cast_to(input("b", dtype, right_shape), DType::f32);
  const int last = static_cast<int>(left_shape.size()) - 1;
  if (layout == Layout::left_transposed) left = transpose(left, last - 1, last);
  if (layout == Layout::right_transposed) right = transpose(right, last - 1, last);
  Graph& graph = *current_graph();
  graph.add_output("y", matmul(left, right).value());
  const fusion::FusionPlan plan = fusion::plan_fusion(graph);
  REQUIRE(plan.groups.size() == 1);
  lower::LoweredGroup lowered = lower::lower_group(graph, plan, plan.groups[0], target);
  lowered.kernel.name = "product";
  kernel::verify(lowered.kernel);
  return lowered;
}

struct Result {
  std::vector<float> values;
  std::string schedule;
};

Result run(const Product& p, const Target& target, const Array& a, const Array& b) {
  const lower::LoweredGroup lowered =
      lower_product(target, p.layout, a.type().dtype, a.type().shape, b.type().shape);
  const Graph& graph = *current_graph();
  std::vector<float> result(p.batch * p.m * p.n, -7);
  std::vector<void*> parameters;
  for (size_t i = 0; i < lowered.buffers.size(); ++i) {
    const Value v = lowered.buffers[i].value;
    if (v == kNoValue) continue;
    const Node& node = graph.node(v);
    if (node.op == MetaOp::input) {
      parameters.push_back((node.attributes.name == "a" ? a : b).buffer->data());
    } else {
      parameters.push_back(result.data());
    }
  }
  testing::interpret(lowered.kernel, parameters, {});
  return {std::move(result), fmt::format("{}", fmt::join(lowered.kernel.schedule, "\n"))};
}

int64_t different(const std::vector<float>& got, const std::vector<float>& expected) {
  int64_t wrong = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const bool both_nan = std::isnan(got[i]) && std::isnan(expected[i]);
    if (!both_nan && std::memcmp(&got[i], &expected[i], sizeof(float)) != 0) ++wrong;
  }
  return wrong;
}

}  // namespace

TEST_CASE("products have the bits of their definition on every target") {
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  const Content content = GENERATE(Content::usual, Content::tiny, Content::not_finite);
  if (dtype == DType::f32 && content != Content::usual) return;
  std::mt19937 random(5);
  const Product shapes[] = {
      {1, 1, 1, 1, {}},     {1, 1, 70, 40, {}},   {1, 5, 33, 7, {}}, {2, 17, 35, 20, {}},
      {1, 31, 9, 1025, {}}, {1, 3, 20, 2050, {}}, {3, 8, 8, 64, {}}, {1, 100, 1, 33, {}},
      {1, 40, 70, 130, {}}, {1, 2, 3, 0, {}},     {1, 0, 5, 4, {}},  {1, 12, 50, 100, {}},
      {2, 5, 18, 1100, {}},
  };
  for (const Product& shape : shapes) {
    // One product alone may be a plain sum, which keeps subnormals.
    if (content == Content::tiny && shape.m * shape.n * shape.k == 1) continue;
    for (const Layout layout : {Layout::plain, Layout::left_transposed, Layout::right_transposed}) {
      Product p = shape;
      p.layout = layout;
      std::vector<int64_t> a_shape = {p.batch, p.m, p.k}, b_shape = {p.batch, p.k, p.n};
      if (layout == Layout::left_transposed) std::swap(a_shape[1], a_shape[2]);
      if (layout == Layout::right_transposed) std::swap(b_shape[1], b_shape[2]);
      const Array a = numbers(dtype, content, a_shape, random);
      const Array b = numbers(dtype, content, b_shape, random);
      const std::vector<float> expected = reference(p, a, b);
      for (const Target& target : kTargets) {
        CAPTURE(target.name, p.batch, p.m, p.n, p.k, static_cast<int>(layout));
        CHECK(different(run(p, target, a, b).values, expected) == 0);
      }
    }
  }
}

TEST_CASE("sums of pairs below 2^-126 are zeros, and zeros past the end of k are steps") {
  std::vector<std::array<float, 3>> products;  // step, left, right
  // A block whose sum is tiny; two blocks whose sum is a flushed -0, and two steps that are -0
  // each.
  const bool one_block = GENERATE(true, false);
  if (one_block) {
    products = {{0, -0x1.8p-63f, 0x1p-63f}, {1, 0x1p-63f, 0x1p-63f}};
  } else {
    products = {{0, -0x1.8p-63f, 0x1p-63f},
                {32, 0x1p-63f, 0x1p-63f},
                {64, -0x1p-65f, 0x1p-65f},
                {65, -0x1p-65f, 0x1p-65f}};
  }
  const int64_t k = one_block ? 32 : 66;
  const Array a = Array::full(DType::bf16, {1, 16, k}, Scalar(DType::bf16, 0.0));
  const Array b = Array::full(DType::bf16, {1, k, 16}, Scalar(DType::bf16, 0.0));
  for (const auto& [step, left, right] : products) {
    for (int64_t i = 0; i < 16; ++i) {
      a.data<uint16_t>()[i * k + static_cast<int64_t>(step)] = f32_to_bf16(left);
      b.data<uint16_t>()[static_cast<int64_t>(step) * 16 + i] = f32_to_bf16(right);
    }
  }
  const Product p = {1, 16, 16, k, Layout::plain};
  const std::vector<float> expected = reference(p, a, b);
  for (const float sum : expected) {
    CHECK(sum == 0);
    CHECK_FALSE(std::signbit(sum));
  }
  for (const Target& target : kTargets) {
    CAPTURE(target.name);
    CHECK(different(run(p, target, a, b).values, expected) == 0);
  }
  reset_current_graph();
  const Tensor left = detail::cast_to(input("a", DType::bf16, {1, 16, k}), DType::f32);
  const Tensor right = detail::cast_to(input("b", DType::bf16, {1, k, 16}), DType::f32);
  const Array native = compile({matmul(left, right)}).run({{"a", a}, {"b", b}})[0];
  CHECK(different({native.data<float>(), native.data<float>() + 256}, expected) == 0);
}

TEST_CASE("leaves of k are tasks where rows and columns alone keep few CPUs busy") {
  auto splits = [](double m, double n, double k, int64_t cpus) {
    Target target = kTargets[0];
    target.cpus = cpus;
    const double leaf = k <= 1024 ? k : 1024;
    return lower::choose_tiling(target, DType::f32, {1, m, n, k, leaf, true, true}).split_leaves;
  };
  CHECK(splits(16, 16, 1 << 20, 2));
  CHECK(splits(64, 64, 1 << 16, 16));
  CHECK_FALSE(splits(16, 16, 1 << 20, 1));
  CHECK_FALSE(splits(16, 16, 1024, 16));        // one leaf
  CHECK_FALSE(splits(2048, 2048, 4096, 16));    // tasks enough
  CHECK_FALSE(splits(1 << 15, 8192, 2048, 2));  // sums of leaves would take more than the factors
  reset_current_graph();
  const Tensor product =
      matmul(input("a", DType::f32, {16, 1 << 20}), input("b", DType::f32, {1 << 20, 16}));
  const std::string text = compile({product}).kernels().front()->print(Stage::kernel_ir);
  CAPTURE(text);
  CHECK((host_target().cpus == 1) ==
        (text.find("parallel over m, n and leaves") == std::string::npos));
}

TEST_CASE("leaves that are tasks have the bits of the definition, in blocks of several tiles") {
  const auto [dtype, machine] = GENERATE(std::pair{DType::f32, 0}, std::pair{DType::bf16, 1},
                                         std::pair{DType::f32, 2}, std::pair{DType::bf16, 7});
  Target target = kTargets[machine];
  target.cpus = 5;
  CAPTURE(target.name);
  std::mt19937 random(6);
  const Product p = {2, 16, 70, 4100, Layout::plain};
  const Array a = numbers(dtype, Content::usual, {p.batch, p.m, p.k}, random);
  const Array b = numbers(dtype, Content::usual, {p.batch, p.k, p.n}, random);
  const Result result = run(p, target, a, b);
  CHECK(different(result.values, reference(p, a, b)) == 0);
  CAPTURE(result.schedule);
  CHECK_THAT(result.schedule, Catch::Contains("parallel over m, n and leaves"));
  std::smatch block, tile;
  REQUIRE(std::regex_search(result.schedule, block, std::regex("split m by (\\d+), n by (\\d+)")));
  REQUIRE(std::regex_search(result.schedule, tile, std::regex("tile of (\\d+) x (\\d+)")));
  CHECK(std::stoi(block[1]) * std::stoi(block[2]) > std::stoi(tile[1]) * std::stoi(tile[2]));
}

TEST_CASE("leaves that are tasks: sizes known late, results that are cut, an end with results") {
  if (host_target().cpus == 1) WARN("one CPU: leaves are no tasks here");
  std::mt19937 random(7);
  auto program = [](Expr k) {
    reset_current_graph();
    const Tensor product = matmul(input("a", DType::f32, {16, k}), input("b", DType::f32, {k, 20}));
    const Tensor turned = permute(reshape(product, {16, 4, 5}), {0, 2, 1});
    return compile({product, tanh(turned) * turned});
  };
  const Expr s = Expr::symbol("leaves_s", 1, 1 << 10);
  Program late = program(2000 * s);
  const std::string text = late.kernels().front()->print(Stage::kernel_ir);
  CAPTURE(text);
  CHECK((host_target().cpus > 1) == (text.find("and leaves") != std::string::npos));
  for (const int64_t size : {1, 2, 5}) {
    const Product p = {1, 16, 20, 2000 * size, Layout::plain};
    const Array a = numbers(DType::f32, Content::usual, {p.m, p.k}, random);
    const Array b = numbers(DType::f32, Content::usual, {p.k, p.n}, random);
    const std::vector<float> expected = reference(p, a, b);
    Program fixed = program(p.k);
    for (Program* each : {&late, &fixed}) {
      const std::vector<Array> results = each->run({{"a", a}, {"b", b}});
      const float* product = results[0].data<float>();
      CHECK(different({product, product + p.m * p.n}, expected) == 0);
      for (int64_t i = 0; i < p.m * p.n; ++i) {
        const float x = expected[i / 20 * 20 + i % 4 * 5 + i / 4 % 5];
        CHECK(results[1].data<float>()[i] == Approx(std::tanh(x) * x).epsilon(1e-6));
      }
    }
  }
  // Where k may be a single leaf, a second phase would be for nothing.
  const Program maybe = program(Expr::symbol("leaves_k", 0, 1 << 20));
  CHECK(maybe.kernels().front()->print(Stage::kernel_ir).find("and leaves") == std::string::npos);
}

TEST_CASE("that a product of late sizes stays in its buffers is proven, not tried out") {
  std::vector<std::string> tried;
  set_log_filter(LogFilter::parse("warn,jit/kernel/verify=info"));
  set_log_sink([&](std::string_view line) { tried.emplace_back(line); });
  int number = 0;
  for (const Target& target : kTargets) {
    for (const auto& [times, m] : {std::pair{1, 4}, {64, 400}, {2000, 40}}) {
      for (const DType dtype : {DType::f32, DType::bf16}) {
        const Expr k = times * Expr::symbol(fmt::format("proof_k{}", number++), 0, 1 << 16);
        lower_product(target, Layout::right_transposed, dtype, {m, k}, {20, k});
      }
    }
  }
  set_log_sink(nullptr);
  set_log_filter({});
  CAPTURE(tried);
  CHECK(tried.empty());
}

TEST_CASE("lanes of a product run along what is stored") {
  for (const bool turned : {false, true}) {
    CAPTURE(turned);
    reset_current_graph();
    Tensor product = matmul(input("a", DType::f32, {100, 90}), input("b", DType::f32, {90, 110}));
    if (turned) product = transpose(product, 0, 1);
    const Program program = compile({product * 2.0});
    REQUIRE(program.kernels().size() == 1);
    std::istringstream text(program.kernels().front()->print(Stage::kernel_ir));
    std::string result;
    int stores = 0;
    for (std::string line; std::getline(text, line);) {
      const size_t name = line.find_first_not_of(' '), store = line.find("] = ");
      if (line.ends_with(" write")) result = line.substr(9, line.find(':') - 9) + "[";
      if (result.empty() || line.find(result) != name || store == std::string::npos) continue;
      ++stores;
      CHECK(line.substr(0, store).find("*l") == std::string::npos);
    }
    CHECK(stores > 0);
  }
}

TEST_CASE("what few rows read once is packed into L1, from few streams if it is transposed") {
  for (const Target& target : {kTargets[0], kTargets[2], kTargets[3]}) {
    for (const double m : {1.0, 4.0, 10.0, 16.0}) {
      CAPTURE(target.name, m);
      const lower::Tiling t =
          lower::choose_tiling(target, DType::f32, {1, m, 3072, 4096, 1024, true, false, true});
      const int64_t columns = t.block_panels * t.columns();
      CHECK(t.right == lower::RightOperand::task);
      CHECK(columns <= 48);
      CHECK(t.block_k % t.vector == 0);
      CHECK(static_cast<uint64_t>(t.block_k * columns * 4) <= target.l1_bytes / 4);
    }
  }
}

TEST_CASE("tilings fit the registers and caches they are for") {
  for (const Target& target : kTargets) {
    for (const double m : {1.0, 4.0, 100.0, 1000.0, 50257.0}) {
      for (const double n : {1.0, 17.0, 768.0, 50257.0}) {
        for (const double k : {1.0, 64.0, 1000.0}) {
          for (const bool readable : {false, true}) {
            CAPTURE(target.name, m, n, k, readable);
            const lower::Tiling t = lower::choose_tiling(
                target, DType::f32, {1, m, n, k, k, readable, readable, !readable});
            CHECK(t.rows * t.vectors + std::min(t.rows, t.vectors) + 1 <=
                  static_cast<int64_t>(target.vector_registers));
            const lower::Tiling pairs = lower::choose_tiling(
                target, DType::f32, {1, m, n, k, k, readable, readable, !readable, true});
            CHECK(pairs.dots == (target.pair_dots && std::min(m, n) > 8));
            if (pairs.dots) {
              CHECK(3 * pairs.rows * pairs.vectors + std::min(pairs.rows, pairs.vectors) + 1 <= 32);
              CHECK(pairs.block_rows() % kernel::kTileRows == 0);
            }
            CHECK(t.vector * 4 == target.vector_bytes);
            CHECK(t.vectors <= 8);
            CHECK((t.block_k >= 1 && static_cast<double>(t.block_k) <= k));
            CHECK((!t.left_direct || readable));
            CHECK((t.right != lower::RightOperand::direct || readable));
            if (target.l2_bytes < 512 << 10) continue;
            const auto block = static_cast<double>(t.block_rows() * t.block_k * 4);
            CHECK(block <= static_cast<double>(target.l2_bytes));
          }
        }
      }
    }
  }
}

}  // namespace plait
