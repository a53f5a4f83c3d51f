// Programs on several host threads at once, and pools of several sizes.
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "jit/thread_pool.h"
#include "ops/functions.h"
#include "tests/support/programs.h"

namespace plait {
namespace {

Options with_threads(int64_t threads) {
  Options options;
  options.threads = threads;
  options.cache_dir = "off";
  return options;
}

// Rows whose exponentials wait in the scratch of a thread: 2 to 65 of them.
struct Work {
  explicit Work(int number) {
    std::mt19937 random(static_cast<unsigned>(number));
    reset_current_graph();
    const int64_t rows = 2 + 9 * number;
    const Array array = test::random_array(DType::f32, {rows, 700 + number}, random);
    const Tensor x = input("x", DType::f32, array.type().shape);
    program.emplace(
        compile({softmax(x, 1), layer_norm(x, {700 + number})}, with_threads(1 + number % 3)));
    inputs = {{"x", array}};
  }
  std::optional<Program> program;
  std::map<std::string, Array> inputs;
};

bool equal(const std::vector<Array>& a, const std::vector<Array>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(a[i].buffer->data(), b[i].buffer->data(), a[i].bytes()) != 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("programs that run at once on several host threads give the bits of one") {
  std::vector<Work> works;
  std::vector<std::vector<Array>> alone;
  for (int i = 0; i < 8; ++i) {
    works.emplace_back(i);
    alone.push_back(works.back().program->run(works.back().inputs));
    for (Array& array : alone.back()) array = array.clone();
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < 300; ++run) {
        wrong += !equal(works[i].program->run(works[i].inputs), alone[i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("one program on several host threads: its runs take turns") {
  Work work(5);
  std::vector<Array> alone = work.program->run(work.inputs);
  for (Array& array : alone) array = array.clone();
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int run = 0; run < 100; ++run) wrong += !equal(work.program->run(work.inputs), alone);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

}  // namespace plait
