#include "tests/jit/llvm/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "jit/backend.h"
#include "jit/llvm/codegen.h"
#include "tests/support/launch.h"

namespace plait::testing {

namespace {

uint64_t next_random(uint64_t& state) {
  state += 0x9E3779B97F4A7C15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

constexpr size_t kMargin = 192;
constexpr unsigned char kGuard = 0xA5;

// A parameter with guarded margins; starts at an address that is a multiple of the element alone.
struct Memory {
  std::vector<unsigned char> bytes;
  size_t size;
  size_t offset;

  Memory(size_t size, size_t element) : bytes(size + 2 * kMargin, kGuard), size(size) {
    size_t address = reinterpret_cast<size_t>(bytes.data());
    offset = 64 + (64 - address % 64) + element;
  }
  Memory(const Memory&) = delete;
  unsigned char* data() { return bytes.data() + offset; }
  bool guards_hold() const {
    for (size_t i = 0; i < bytes.size(); ++i)
      if ((i < offset || i >= offset + size) && bytes[i] != kGuard) return false;
    return true;
  }
};

bool is_nan(DType dtype, const void* element) {
  return is_float(dtype) && std::isnan(Scalar::load(dtype, element).as_double());
}

using Memories = std::vector<std::unique_ptr<Memory>>;

Memories fill(const kernel::Kernel& kernel, const std::vector<int64_t>& sizes,
              const CompareOptions& options) {
  SymbolValues symbols;
  for (size_t i = 0; i < sizes.size(); ++i) symbols[kernel.symbols[i]] = sizes[i];
  uint64_t state = options.seed;
  Memories memories;
  for (const kernel::Buffer& buffer : kernel.buffers) {
    if (buffer.scope != kernel::BufferScope::parameter) continue;
    int64_t count = evaluate(buffer.size, [](uint32_t) -> int64_t { return 0; }, symbols);
    size_t element = dtype_size(buffer.dtype);
    memories.push_back(std::make_unique<Memory>(static_cast<size_t>(count) * element, element));
    for (int64_t i = 0; i < count; ++i) {
      void* at = memories.back()->data() + static_cast<size_t>(i) * element;
      random_element(buffer.dtype, state, at);
      for (const auto& [name, limit] : options.index_limits)
        if (name == buffer.name) {
          auto value =
              static_cast<int64_t>(next_random(state) % static_cast<uint64_t>(limit + 2)) - 2;
          Scalar(buffer.dtype, value).store(at);
        }
    }
  }
  return memories;
}

std::vector<void*> pointers(const Memories& memories) {
  std::vector<void*> pointers;
  for (const auto& memory : memories) pointers.push_back(memory->data());
  return pointers;
}

std::string compare(const kernel::Kernel& kernel, Memories& expected, Memories& got) {
  for (size_t b = 0; b < expected.size(); ++b) {
    const kernel::Buffer& buffer = kernel.buffers[b];
    if (!got[b]->guards_hold()) return fmt::format("{} is written outside", buffer.name);
    size_t element = dtype_size(buffer.dtype);
    for (size_t i = 0; i < expected[b]->size; i += element) {
      const void *want = expected[b]->data() + i, *have = got[b]->data() + i;
      if (std::memcmp(want, have, element) == 0) continue;
      if (is_nan(buffer.dtype, want) && is_nan(buffer.dtype, have)) continue;
      return fmt::format("{}[{}] is {}, not {}", buffer.name, i / element,
                         Scalar::load(buffer.dtype, have).to_string(),
                         Scalar::load(buffer.dtype, want).to_string());
    }
  }
  return "";
}

}  // namespace

void random_element(DType dtype, uint64_t& state, void* element) {
  static const double kSpecial[] = {0.0,
                                    -0.0,
                                    1.0,
                                    -1.0,
                                    0.5,
                                    -2.5,
                                    3.5,
                                    65520.0,
                                    1e-7,
                                    1e-40,
                                    6e4,
                                    -7e4,
                                    3.5e38,
                                    1e39,
                                    -1e300,
                                    4294967296.0,
                                    2147483648.0,
                                    -2147483648.0,
                                    -2147483649.0,
                                    255.5,
                                    -128.5,
                                    127.0,
                                    9223372036854775808.0,
                                    18446744073709551616.0,
                                    0x1p-149,
                                    0x1p-24,
                                    0x1p-25,
                                    0x1.8p-25,
                                    1.0000000001,
                                    0x1.00800001p0,
                                    INFINITY,
                                    -INFINITY,
                                    NAN};
  uint64_t random = next_random(state);
  if (dtype == DType::boolean) {
    Scalar(dtype, static_cast<int64_t>(random & 1)).store(element);
  } else if (is_float(dtype)) {
    double value = kSpecial[(random >> 8) % std::size(kSpecial)];
    if (random % 4 != 0)
      value = (static_cast<double>(random >> 11) * 0x1p-52 - 1) * std::ldexp(1.0, random % 16 - 4);
    if (random % 64 == 1) value *= 0x1p60;
    Scalar(dtype, value).store(element);
  } else if (random % 4 == 0) {
    static const int64_t kEnds[] = {0,         1,         -1,  2,    INT64_MIN, INT64_MAX,
                                    INT32_MIN, INT32_MAX, 127, -128, 31,        32,
                                    33,        63,        64,  7,    8};
    Scalar(dtype, kEnds[(random >> 8) % std::size(kEnds)]).store(element);
  } else {
    Scalar(dtype, static_cast<int64_t>(next_random(state) >> (random % 64))).store(element);
  }
}

std::vector<std::string> runnable_cpus(bool with_oldest) {
  std::vector<std::string> cpus;
  if (with_oldest) cpus.push_back("x86-64");
  for (const char* cpu : {"x86-64-v2", "x86-64-v3", "x86-64-v4"})
    if (native::host_has(native::isa_of_cpu(cpu).features)) cpus.push_back(cpu);
  return cpus;
}

std::string difference(const kernel::Kernel& kernel, const std::vector<int64_t>& sizes,
                       const CompareOptions& options) {
  Memories expected = fill(kernel, sizes, options);
  ErrorRecord error = interpret(kernel, pointers(expected), sizes);
  for (const std::string& cpu : runnable_cpus(options.with_oldest)) {
    auto compiled = make_llvm_backend(cpu)->compile(kernel);
    Memories got = fill(kernel, sizes, options);
    ErrorRecord native_error = launch(kernel, *compiled, pointers(got), sizes);
    std::string problem = compare(kernel, expected, got);
    if (problem.empty() && (error.site != native_error.site || error.value != native_error.value ||
                            error.position != native_error.position))
      problem = fmt::format("error record {} {} {}, not {} {} {}", native_error.site,
                            native_error.position, native_error.value, error.site, error.position,
                            error.value);
    if (!problem.empty()) return fmt::format("{} on {}: {}", kernel.name, cpu, problem);
  }
  return "";
}

}  // namespace plait::testing
