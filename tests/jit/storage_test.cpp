// Slots and outputs over runs: what may be written over, what may not, and what is allocated.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "jit/program_impl.h"
#include "ops/functions.h"
#include "ops/optim/sgd.h"
#include "ops/random.h"
#include "tests/support/error_text.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

using Catch::Matchers::Contains;

Array filled(std::vector<int64_t> shape, double value) {
  return Array::full(DType::f32, std::move(shape), Scalar(DType::f32, value));
}

std::shared_ptr<Slot> slot_of(const std::string& name, std::vector<int64_t> shape, double value) {
  return std::make_shared<Slot>(name, filled(std::move(shape), value));
}

bool all_are(const Array& array, double value) {
  for (int64_t i = 0; i < array.count(); ++i) {
    if (array.at(i).as_double() != value) return false;
  }
  return true;
}

// A number of threads that no other test uses: its pool has no scratch from before.
Options options(int64_t threads = 0) {
  Options result;
  result.cache_dir = "off";
  result.threads = threads;
  return result;
}

class Storing {
 protected:
  Storing() { reset_current_graph(); }
};

bool streams(const Program& program) {
  return program.kernels().front()->print(Stage::kernel_ir).find(" stream\n") != std::string::npos;
}

}  // namespace

TEST_CASE_METHOD(Storing, "results larger than the caches pass them, but for those of slots") {
  const auto large = static_cast<int64_t>(host_target().l3_bytes / 4 / 2) + 64;
  const std::map<std::string, Array> inputs = {{"x", filled({large}, 2)}};
  const Tensor x = input("x", DType::f32, {large});
  Program program = compile({x + 1.0}, options());
  CHECK(streams(program));
  for (int run = 0; run < 2; ++run) CHECK(all_are(program.run(inputs).front(), 3));

  reset_current_graph();
  const auto w = slot_of("w", {large}, 0);
  const Tensor y = input("x", DType::f32, {large});
  assign(w, y + 1.0);
  CHECK(!streams(compile({y}, options())));

  reset_current_graph();
  CHECK(!streams(compile({input("x", DType::f32, {1000}) + 1.0}, options())));
}

TEST_CASE_METHOD(Storing, "an elementwise update of a slot goes over its old value") {
  const auto w = slot_of("w", {1000}, 1);
  const Tensor x = input("x", DType::f32, {1000});
  assign(w, parameter(w) * 2.0 + x);
  Program program = compile({sum(x)}, options());
  const std::map<std::string, Array> inputs = {{"x", filled({1000}, 1)}};
  const void* memory = w->value().buffer->data();
  for (const double expected : {3.0, 7.0, 15.0}) {
    program.run(inputs);
    CHECK(w->value().buffer->data() == memory);
    CHECK(all_are(w->value(), expected));
  }
  SECTION("unless somebody holds that value") {
    const Array held = w->value();
    program.run(inputs);
    CHECK(all_are(held, 15));
    CHECK(all_are(w->value(), 31));
    CHECK(w->value().buffer != held.buffer);
  }
}

TEST_CASE_METHOD(Storing,
                 "an update waits for the readers of the old value that it does not need") {
  const auto w = slot_of("w", {64, 64}, 0.5), b = slot_of("b", {64}, 0.25);
  const Tensor x = input("x", DType::f32, {8, 64});
  const Tensor y = matmul(x, parameter(w)) + parameter(b);
  // As a layer's backward does: the update is known before w is read for what is under the layer.
  assign(w, parameter(w) - matmul(transpose(x, 0, 1), y));
  assign(b, parameter(b) - sum(y, {0}));
  const Tensor under = matmul(y, transpose(parameter(w), 0, 1));
  Program program = compile({under}, options());
  const void *of_w = w->value().buffer->data(), *of_b = b->value().buffer->data();
  for (int i = 0; i < 3; ++i) {
    program.run({{"x", filled({8, 64}, 0.125)}});
    CHECK(w->value().buffer->data() == of_w);
    CHECK(b->value().buffer->data() == of_b);
  }
}

TEST_CASE_METHOD(Storing, "a table is updated in place by indices that were looked at before") {
  const auto table = slot_of("table", {300, 16}, 1);
  const Tensor ids = input("ids", DType::i64, {40});
  const Tensor rows = embedding(ids, parameter(table));
  assign(table, index_add(parameter(table), 0, ids, rows));
  Program program = compile({rows}, options());
  Array good = Array::full(DType::i64, {40}, Scalar(DType::i64, int64_t{7}));
  const void* memory = table->value().buffer->data();
  program.run({{"ids", good}});
  CHECK(table->value().buffer->data() == memory);
  CHECK(table->value().at(7 * 16).as_double() == 41);
  good.data<int64_t>()[33] = 300;
  const std::string text = error_text<UserError>([&] { program.run({{"ids", good}}); });
  CHECK(text.find("got index 300 for axis 0 of size 300 at position [33, 0]") != text.npos);
  CHECK(table->value().at(7 * 16).as_double() == 41);
}

TEST_CASE_METHOD(Storing, "readers of a slot see the value at entry, before and after its update") {
  const auto w = slot_of("w", {4096}, 2);
  const Tensor old = parameter(w);
  // Launches before, at and behind the update: a scan and a product stand between them.
  const Tensor before = cumsum(old, 0);
  const Tensor next = old * 3.0 + slice(before, 0, 0, 1) * 0.0;
  assign(w, next);
  const Tensor later = cumsum(flip(old, {0}) + next * 0.0, 0);
  Program program = compile({before, later, old}, options());
  for (const double value : {2.0, 6.0, 18.0}) {
    const std::vector<Array> got = program.run();
    CHECK(got[0].at(4095).as_double() == 4096 * value);
    CHECK(got[1].at(4095).as_double() == 4096 * value);
    CHECK(all_are(got[2], value));
    CHECK(all_are(w->value(), 3 * value));
  }
}

TEST_CASE_METHOD(Storing, "memory that somebody else owns is never written to") {
  const auto owner = std::make_shared<std::vector<float>>(4096, 2.0f);
  Array shared{DType::f32, {4096}, Buffer::foreign(owner->data(), 4096 * 4, owner)};
  const auto w = std::make_shared<Slot>("w", std::move(shared));
  const Tensor old = parameter(w);
  assign(w, old * 3.0);
  Program program = compile({sum(old)}, options());
  for (const double value : {6.0, 18.0, 54.0, 162.0}) {
    program.run();
    CHECK(all_are(w->value(), value));
  }
  CHECK(std::ranges::count(*owner, 2.0f) == 4096);
}

TEST_CASE_METHOD(Storing, "a kernel that reads a slot and what is assigned to it sees both") {
  const auto w = slot_of("w", {4096}, 2);
  const Tensor old = parameter(w);
  const Tensor next = old * 3.0;
  assign(w, next);
  Options unfused = options();
  unfused.fuse = false;
  Program program = compile({old - next}, unfused);
  CHECK(program.launches() == 2);
  for (const double value : {2.0, 6.0, 18.0}) {
    CHECK(all_are(program.run()[0], -2 * value));
    CHECK(all_are(w->value(), 3 * value));
  }
}

TEST_CASE_METHOD(Storing, "two slots trade their values in one step") {
  const auto a = slot_of("a", {777}, 1), b = slot_of("b", {777}, 2);
  SECTION("as they are") {
    const Tensor old_a = parameter(a), old_b = parameter(b);
    assign(a, old_b);
    assign(b, old_a);
    Program program = compile({sum(old_a)}, options());
    program.run();
    CHECK((all_are(a->value(), 2) && all_are(b->value(), 1)));
    program.run();
    CHECK((all_are(a->value(), 1) && all_are(b->value(), 2)));
    CHECK(a->value().buffer != b->value().buffer);
  }
  SECTION("changed on the way") {
    const Tensor old_a = parameter(a), old_b = parameter(b);
    assign(a, old_b + 10.0);
    assign(b, old_a * 5.0);
    Program program = compile({sum(old_a)}, options());
    program.run();
    CHECK((all_are(a->value(), 12) && all_are(b->value(), 5)));
    program.run();
    CHECK((all_are(a->value(), 15) && all_are(b->value(), 60)));
  }
  SECTION("in one kernel") {
    const Tensor old_a = parameter(a), old_b = parameter(b);
    const Tensor x = input("x", DType::f32, {777});
    assign(a, old_b + x);
    assign(b, old_a * 5.0 - x);
    Program program = compile({exp(x)}, options());
    CHECK(program.launches() == 1);
    program.run({{"x", filled({777}, 1)}});
    CHECK((all_are(a->value(), 3) && all_are(b->value(), 4)));
    program.run({{"x", filled({777}, 1)}});
    CHECK((all_are(a->value(), 5) && all_are(b->value(), 14)));
  }
  SECTION("one value for both, and an output") {
    const Tensor next = parameter(a) + parameter(b);
    assign(a, next);
    assign(b, next);
    Program program = compile({next}, options());
    const Array first = program.run()[0], second = program.run()[0];
    CHECK((all_are(first, 3) && all_are(second, 6)));
    CHECK((all_are(a->value(), 6) && all_are(b->value(), 6)));
    CHECK(a->value().buffer != b->value().buffer);
    CHECK(a->value().buffer != second.buffer);
  }
}

TEST_CASE_METHOD(Storing, "an output that is held keeps its values") {
  const Tensor x = input("x", DType::f32, {500});
  Program program = compile({x + 1.0, x}, options());
  std::vector<std::vector<Array>> held;
  for (int i = 0; i < 5; ++i) held.push_back(program.run({{"x", filled({500}, i)}}));
  for (int i = 0; i < 5; ++i) {
    CHECK(all_are(held[i][0], i + 1));
    CHECK(all_are(held[i][1], i));
  }
  const void* memory = held[3][0].buffer->data();
  held.clear();
  // The last outputs are used again once they are let go of.
  const std::vector<Array> again = program.run({{"x", filled({500}, 7)}});
  CHECK(again[0].buffer->data() != memory);
  CHECK(all_are(again[0], 8));
}

TEST_CASE_METHOD(Storing, "inputs are borrowed: never written, never part of an output") {
  const Tensor x = input("x", DType::f32, {300});
  Program program = compile({x * 2.0, x, reshape(x, {30, 10})}, options());
  const Array given = filled({300}, 4);
  const std::vector<Array> got = program.run({{"x", given}});
  CHECK(all_are(given, 4));
  for (const Array& output : got) CHECK(output.buffer != given.buffer);
}

TEST_CASE_METHOD(Storing, "a run that meets a bad index changes no slot and no held output") {
  const auto early = slot_of("early", {400}, 1), late = slot_of("late", {8, 5}, 1);
  const Tensor ids = input("ids", DType::i64, {8});
  const Tensor table = input("table", DType::f32, {10, 5});
  const Tensor rows = embedding(ids, table);
  assign(early, parameter(early) + 1.0);
  assign(late, parameter(late) + rows);
  const Tensor noise = dropout(parameter(early), 0.5);
  Program program = compile({sum(rows), noise}, options());
  Array good = Array::full(DType::i64, {8}, Scalar(DType::i64, int64_t{3}));
  Array bad = good.clone();
  bad.data<int64_t>()[6] = 10;
  const Array ones = filled({10, 5}, 1);
  const std::vector<Array> held = program.run({{"ids", good}, {"table", ones}});
  const Array noise_before = held[1].clone();
  const Array random_before = random_state()->value().clone();
  const uint64_t version = early->version();
  for (int i = 0; i < 2; ++i) {
    const std::string text =
        error_text<UserError>([&] { program.run({{"ids", bad}, {"table", ones}}); });
    CHECK(text.find("index out of range; got index 10 for axis 0 of size 10 at position [6, ") !=
          std::string::npos);
    CHECK((all_are(early->value(), 2) && all_are(late->value(), 2)));
    CHECK(early->version() == version);
    CHECK(all_are(held[0], 40));
    for (int64_t k = 0; k < 400; ++k) REQUIRE(held[1].at(k) == noise_before.at(k));
    CHECK(random_state()->value().at(1) == random_before.at(1));
  }
  program.run({{"ids", good}, {"table", ones}});
  CHECK((all_are(early->value(), 3) && all_are(late->value(), 3)));
}

TEST_CASE_METHOD(Storing, "peak_bytes is what a program allocates; later runs allocate nothing") {
  const size_t before = Buffer::live_bytes();
  {
    const Tensor x = input("x", DType::f32, {64, 1500});
    const Tensor w = input("w", DType::f32, {1500, 30});
    const Tensor y = softmax(x, 1), z = cumsum(tanh(x), 1);
    Program program = compile({matmul(y, w), sum(z * z, 0), matmul(z, w)}, options(3));
    std::mt19937 random(1);
    const std::map<std::string, Array> inputs = {
        {"x", test::random_array(DType::f32, {64, 1500}, random)},
        {"w", test::random_array(DType::f32, {1500, 30}, random)}};
    const size_t given = inputs.at("x").bytes() + inputs.at("w").bytes();
    program.run(inputs);
    CHECK(program.peak_bytes() == Buffer::live_bytes() - before - given);
    CHECK(program.peak_bytes() > 64 * 1500 * 4);
    const uint64_t allocations = Buffer::allocations();
    for (int i = 0; i < 3; ++i) program.run(inputs);
    CHECK(Buffer::allocations() == allocations);
    CHECK(program.peak_bytes() == Buffer::live_bytes() - before - given);
    // Outputs that are held are replaced, and only these.
    const std::vector<Array> held = program.run(inputs);
    const std::vector<Array> next = program.run(inputs);
    CHECK(Buffer::allocations() == allocations + 3);
  }
}

TEST_CASE_METHOD(Storing,
                 "the memory report lists what peak_bytes is, and the lines that made it") {
  const auto w = slot_of("w", {300, 40}, 1);
  const Expr n = dim("report_n", 1, 100);
  const Tensor x = input("x", DType::f32, {n, 300});
  set_source_line("model.py", 12);
  const Tensor y = cumsum(matmul(x, parameter(w)), 0);
  set_source_line("model.py", 13);
  const Tensor z = cumsum(flip(y, {0}), 1);
  assign(w, parameter(w) + sum(z));
  set_source_line({}, 0);
  Program program = compile({sum(z, 0)}, options());
  CHECK_THAT(error_text<UserError>([&] { program.memory_report(); }), Contains("run it once"));
  for (const int64_t size : {50, 7}) {
    for (int i = 0; i < 3; ++i) program.run({{"x", filled({size, 300}, 1)}});
    const MemoryReport report = program.memory_report();
    CHECK(report.peak_bytes == program.peak_bytes());
    size_t sum = 0, previous = SIZE_MAX;
    for (const BufferUse& use : report.at_peak()) {
      CHECK(use.bytes <= previous);
      CHECK((use.first <= report.launch && report.launch <= use.last));
      sum += previous = use.bytes;
    }
    CHECK(sum == report.peak_bytes);
    const std::string text = to_text(report);
    const std::string type = fmt::format("f32[{}, 40]", size);
    CHECK_THAT(text, Contains(type) && Contains("(model.py:12)") && Contains("(model.py:13)"));
    CHECK_THAT(text, Contains("output       0 f32[40]"));
  }
}

TEST_CASE_METHOD(Storing,
                 "the memory report names the launch at the peak, one of many of a kernel") {
  Tensor x = input("x", DType::f32, {64, 64});
  // Each of one kernel with the one before.
  for (int i = 0; i < 6; ++i) x = flip(cumsum(x, 0), {0, 1});
  const Tensor wide = cumsum(broadcast_to(x, {32, 64, 64}), 1);
  const Program program = compile({sum(cumsum(wide, 2))}, options());
  const MemoryReport report = program.memory_report();
  CHECK(report.launch >= 6);
  CHECK_THAT(report.kernel, Contains("32x64x64"));
}

TEST_CASE_METHOD(Storing, "a training step allocates nothing after the first two") {
  const auto w = slot_of("w", {300, 20}, 0.5), b = slot_of("b", {20}, 0);
  const Tensor x = input("x", DType::f32, {40, 300});
  const Tensor loss = mean(square(matmul(x, parameter(w)) + parameter(b)));
  auto optimizer = std::make_shared<optim::SGD>(std::vector{w, b},
                                                optim::SGDOptions{.lr = 1e-3, .momentum = 0.9});
  Program program = compile({loss}, optimizer, options());
  const std::map<std::string, Array> inputs = {{"x", filled({40, 300}, 0.1)}};
  double last = program.run(inputs)[0].item();
  program.run(inputs);
  const uint64_t allocations = Buffer::allocations();
  const size_t live = Buffer::live_bytes();
  for (int i = 0; i < 5; ++i) {
    const double now = program.run(inputs)[0].item();
    CHECK(now < last);
    last = now;
  }
  CHECK(Buffer::allocations() == allocations);
  CHECK(Buffer::live_bytes() == live);
}

TEST_CASE_METHOD(Storing, "sizes that change are bound anew, and old ones found right") {
  const Expr n = dim("storage_n", 0, 10000);
  const Tensor x = input("x", DType::f32, {n, 7});
  Program program = compile({sum(cumsum(x, 0), 0), x + 1.0}, options());
  for (const int64_t rows : {3, 1000, 0, 3, 999}) {
    const std::vector<Array> got = program.run({{"x", filled({rows, 7}, 1)}});
    CHECK(got[0].at(0).as_double() == 0.5 * static_cast<double>(rows * (rows + 1)));
    CHECK(got[1].shape == std::vector<int64_t>{rows, 7});
    CHECK(all_are(got[1], 2));
  }
}

}  // namespace plait
