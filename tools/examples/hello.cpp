// The whole road in a few lines: build a graph, compile it, run it, read its kernel.
#include <fmt/format.h>

#include "jit/compile.h"
#include "ops/functions.h"

int main() {
  using namespace plait;
  const Tensor x = input("x", DType::f32, {2, 3});
  Program program = compile({softmax(x * 2.0, -1)});

  Array values = Array::empty(DType::f32, {2, 3});
  for (int i = 0; i < 6; ++i) values.data<float>()[i] = static_cast<float>(i % 4);
  const Array result = program.run({{"x", values}})[0];

  for (int64_t row = 0; row < 2; ++row) {
    const float* p = result.data<float>() + row * 3;
    fmt::print("{:.4f} {:.4f} {:.4f}\n", p[0], p[1], p[2]);
  }
  const auto& kernel = program.kernels()[0];
  fmt::print("\n{} kernel of {} launch(es), {}:\n{}", program.kernels().size(), program.launches(),
             kernel->name(), kernel->print(Stage::kernel_ir));
}
