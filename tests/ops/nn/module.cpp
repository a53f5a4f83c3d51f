#include "ops/nn/module.h"

#include <catch2/catch.hpp>
#include <set>

#include "ops/functions.h"
#include "ops/nn/attention.h"
#include "ops/nn/dropout.h"
#include "ops/nn/embedding.h"
#include "ops/nn/init.h"
#include "ops/nn/linear.h"
#include "ops/nn/norm.h"
#include "tests/ops/step.h"
#include "tests/support/error_text.h"

using namespace plait;
using Catch::Contains;
using testing::array_of;
using testing::values_of;

namespace {

struct Block : nn::Module {
  nn::LayerNorm ln;
  nn::Linear fc1, fc2;
  std::shared_ptr<Slot> scale;
  explicit Block(int64_t width) : ln(width), fc1(width, 4 * width), fc2(4 * width, width, false) {
    add("ln", ln);
    add("fc1", fc1);
    add("fc2", fc2);
    scale = add_buffer("scale", nn::init::ones({1}));
  }
  Tensor forward(const Tensor& x) override { return x + fc2(gelu(fc1(ln(x)))); }
};

struct Net : nn::Module {
  nn::ModuleList<Block> h;
  nn::Linear head;
  explicit Net(std::shared_ptr<Slot> tied = nullptr) : Module("net"), head(2, 3) {
    h.emplace_back(2);
    h.emplace_back(2);
    add("h", h);
    add("head", head);
    if (tied) share("tied", std::move(tied));
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (Block& block : h) y = block(y);
    return head(y);
  }
};

std::vector<std::string> names(const std::vector<NamedSlot>& slots) {
  std::vector<std::string> result;
  for (const NamedSlot& named : slots) result.push_back(named.name);
  return result;
}

}  // namespace

TEST_CASE("slots have dotted paths in registration order") {
  Net net;
  CHECK(names(net.named_parameters()) ==
        std::vector<std::string>{"h.0.ln.weight", "h.0.ln.bias", "h.0.fc1.weight", "h.0.fc1.bias",
                                 "h.0.fc2.weight", "h.1.ln.weight", "h.1.ln.bias", "h.1.fc1.weight",
                                 "h.1.fc1.bias", "h.1.fc2.weight", "head.weight", "head.bias"});
  CHECK(names(net.named_buffers()) == std::vector<std::string>{"h.0.scale", "h.1.scale"});
  CHECK(net.state().size() == 14);
  CHECK(net.parameters().size() == 12);
  CHECK(net.parameter_count() == 2 * (2 + 2 + 16 + 8 + 16) + 9);
  for (const NamedSlot& named : net.state()) CHECK(named.slot->name() == named.name);
}

TEST_CASE("a shared slot counts once, under its first path") {
  nn::Linear outside(2, 3);
  Net net(outside.weight());
  REQUIRE(net.named_parameters().front().name == "tied");
  CHECK(net.parameters().size() == 13);
}

TEST_CASE("nodes of a call carry the path through the model") {
  Net net;
  reset_current_graph();
  const Tensor y = net(input("x", DType::f32, {5, 2}));
  CHECK(to_string(y.type()) == "f32[5, 3]");
  std::set<std::string> scopes;
  const Graph& graph = *y.graph();
  for (Value v = 0; v < graph.size(); ++v) {
    for (const Origin& origin : graph.origins(v)) scopes.insert(origin.scope);
  }
  CHECK(scopes.contains("net/h.0/fc1/linear"));
  CHECK(scopes.contains("net/h.1/ln/layer_norm"));
  CHECK(scopes.contains("net/h.1/gelu"));
  CHECK(scopes.contains("net/head/linear"));
}

TEST_CASE("train and eval reach all modules") {
  Net net;
  CHECK(net.h[1].fc2.training());
  net.eval();
  CHECK_FALSE(net.training());
  CHECK_FALSE(net.h[1].fc2.training());
  net.train();
  CHECK(net.h[1].fc2.training());
}

TEST_CASE("modules refuse bad names and missing forwards") {
  struct Bad : nn::Module {
    nn::Linear a{1, 1}, b{1, 1};
    void twice() { add("x", a), add("x", b); }
    void renamed() { add("p", a), add("q", a); }
    void named(const std::string& name) { add(name, b); }
  };
  const auto text = [](auto f) {
    Bad bad;
    return error_text<UserError>([&] { f(bad); });
  };
  CHECK_THAT(text([](Bad& b) { b.twice(); }), Contains("'x' is registered twice"));
  CHECK_THAT(text([](Bad& b) { b.renamed(); }), Contains("got 'p' and 'q'"));
  for (const std::string name : {"", ".a", "a.", "a..b", "a/b"}) {
    CHECK_THAT(text([&](Bad& b) { b.named(name); }), Contains("got '" + name + "'"));
  }
  CHECK_THAT(text([](Bad& b) { b(input("x", DType::f32, {1})); }),
             Contains("has no forward of one tensor"));
  CHECK_THAT(error_text<UserError>([] { nn::SelfAttention(6, 4); }),
             Contains("[SelfAttention]") && Contains("got width: 6, heads: 4"));
  CHECK_THAT(error_text<UserError>([] { nn::Linear(-1, 4); }), Contains("in_features: -1"));
}

TEST_CASE("layers compute what their doc says") {
  reset_current_graph();
  nn::Embedding table(4, 2);
  nn::LayerNorm norm(std::vector<int64_t>{2}, 0.0, false);
  nn::Linear linear(2, 2);
  table.weight()->set(array_of(DType::f32, {4, 2}, {0, 2, 5, 1, -1, 3, 0, 8}));
  linear.weight()->set(array_of(DType::f32, {2, 2}, {1, 2, 3, 4}));
  linear.bias()->set(array_of(DType::f32, {2}, {10, 20}));
  const Tensor y = linear(norm(table(input("i", DType::i64, {3}))));
  current_graph()->add_output("y", y.value());
  const auto result = evaluate(*current_graph(), {{"i", array_of(DType::i64, {3}, {1, 0, 2})}});
  // Rows (5, 1), (0, 2), (-1, 3) normalise to (1, -1), (-1, 1), (-1, 1).
  CHECK(values_of(result.outputs[0]) == std::vector<double>{9, 19, 11, 21, 11, 21});
}

TEST_CASE("dropout draws only while training") {
  reset_current_graph();
  nn::Dropout dropout(0.5);
  const Tensor x = input("x", DType::f32, {100});
  dropout.eval();
  CHECK(dropout(x).value() == x.value());
  dropout.train();
  const Tensor y = dropout(x);
  current_graph()->add_output("y", y.value());
  const auto result =
      evaluate(*current_graph(), {{"x", Array::full(DType::f32, {100}, Scalar(DType::f32, 1))}});
  int kept = 0;
  for (double value : values_of(result.outputs[0])) {
    CHECK((value == 0 || value == 2));
    kept += value == 2;
  }
  CHECK(kept > 30);
  CHECK(kept < 70);
  CHECK_THAT(error_text<UserError>([] { nn::Dropout(1.5); }), Contains("got 1.5"));
}

TEST_CASE("RMSNorm divides by the root of the mean square") {
  reset_current_graph();
  nn::RMSNorm norm(std::vector<int64_t>{2}, 0.0);
  norm.weight()->set(array_of(DType::f32, {2}, {1, 2}));
  const Tensor y = norm(input("x", DType::f32, {1, 2}));
  current_graph()->add_output("y", y.value());
  const auto result = evaluate(*current_graph(), {{"x", array_of(DType::f32, {1, 2}, {7, 1})}});
  CHECK(result.outputs[0].at(0).as_double() == Approx(1.4));
  CHECK(result.outputs[0].at(1).as_double() == Approx(0.4));
}
