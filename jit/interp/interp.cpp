// The interpreter: the definition of kernel IR. It runs bodies instruction by instruction, checks
// every address, and refuses to read scratch that the iteration did not write.
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <mutex>

#include "core/error.h"
#include "core/reduction_order.h"
#include "jit/backend.h"
#include "jit/interp/byte_counts.h"
#include "jit/interp/scalar.h"
#include "jit/interp/traffic.h"
#include "jit/kernel/kir.h"
#include "jit/kernel/types.h"

namespace plait {

using kernel::Block;
using kernel::BufferId;
using kernel::BufferScope;
using kernel::Instruction;
using kernel::Kernel;
using kernel::Op;

namespace {

bool is_memory(BufferScope scope) {
  return scope == BufferScope::parameter || scope == BufferScope::workspace;
}

// A local or register buffer. An element is defined if the running iteration stored it.
struct Scratch {
  std::vector<RawValue> values;
  std::vector<bool> defined;
};

class Execution {
 public:
  Execution(const Kernel& kernel, const PhaseArguments& arguments, TrafficRecorder& traffic)
      : kernel_(kernel),
        arguments_(arguments),
        traffic_(traffic),
        values_(kernel.value_types.size()),
        variables_(kernel.next_variable) {
    for (size_t i = 0; i < kernel.symbols.size(); ++i)
      symbols_[kernel.symbols[i]] = arguments.sizes[i];
    for (const kernel::Buffer& buffer : kernel.buffers) sizes_.push_back(number(buffer.size));
    scratch_.resize(kernel.buffers.size());
  }

  void run(const kernel::Phase& phase) {
    const int64_t extent = number(phase.extent);
    PLAIT_INTERNAL_CHECK(0 <= arguments_.begin && arguments_.end <= extent,
                         "kernel {}: iterations {} to {} of a phase of {}", kernel_.name,
                         arguments_.begin, arguments_.end, extent);
    for (int64_t i = arguments_.begin; i < arguments_.end; ++i) {
      traffic_.begin_iteration();
      for (BufferId b = 0; b < kernel_.buffers.size(); ++b) {
        if (is_memory(kernel_.buffers[b].scope)) continue;
        scratch_[b].values.assign(static_cast<size_t>(sizes_[b]), 0);
        scratch_[b].defined.assign(static_cast<size_t>(sizes_[b]), false);
      }
      variables_[phase.variable] = i;
      run(phase.body);
    }
  }

 private:
  void run(const Block& block) {
    for (const Instruction& instruction : block) run(instruction);
  }

  void run(const Instruction& i) {
    switch (kernel::class_of(i.op)) {
      case kernel::OpClass::immediate:
        values_[i.result] = i.op == Op::constant ? raw_of(i.immediate)
                                                 : static_cast<RawValue>(number(i.expression));
        return;
      case kernel::OpClass::unary:
      case kernel::OpClass::binary:
      case kernel::OpClass::comparison:
      case kernel::OpClass::ternary:
      case kernel::OpClass::select:
      case kernel::OpClass::conversion:
      case kernel::OpClass::draw: {
        RawValue operands[4];
        for (size_t k = 0; k < i.operands.size(); ++k) operands[k] = values_[i.operands[k]];
        const bool sums = i.op == Op::add || kernel::class_of(i.op) == kernel::OpClass::ternary;
        if (flushes_ && sums && kernel_.type(i.result) == DType::f32) {
          values_[i.result] = flushed(i.op, operands);
          return;
        }
        values_[i.result] = apply(i.op, kernel_.type(i.operands.back()), kernel_.type(i.result),
                                  {operands, i.operands.size()});
        return;
      }
      case kernel::OpClass::memory:
        if (i.op == Op::load) values_[i.result] = load(i.buffer, address(i));
        if (i.op == Op::store) store(i.buffer, address(i), values_[i.operands[0]]);
        if (i.op == Op::transpose) transpose(i.buffer);
        return;
      case kernel::OpClass::tile:
        if (i.op == Op::tile_zero) write_tile(i.places[0], {});
        if (i.op == Op::tile_load) tile_load(i);
        if (i.op == Op::tile_store) tile_store(i);
        if (i.op == Op::tile_dot) tile_dot(i);
        return;
      case kernel::OpClass::structure:
        if (i.op == Op::loop) loop(i);
        if (i.op == Op::flush) {
          flushes_ = true;
          run(i.body);
          flushes_ = false;
        }
        if (i.op == Op::when && values_[i.operands[0]] != 0) run(i.body);
        if (i.op == Op::bind) bind(i);
        if (i.op == Op::report) report(i);
        return;
    }
    PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(i.op));
  }

  void loop(const Instruction& i) {
    const int64_t extent = number(i.expression);
    for (int64_t k = 0; k < extent; ++k) {
      variables_[i.variable] = k;
      run(i.body);
    }
  }

  void bind(const Instruction& i) {
    const DType type = kernel_.type(i.operands[0]);
    const int64_t value = integer_of(type, values_[i.operands[0]]);
    const int64_t extent = number(i.expression);
    // Of an empty extent nothing is read; the variable is only there.
    PLAIT_INTERNAL_CHECK(0 <= value && value < std::max<int64_t>(extent, 1),
                         "kernel {}: {} bound in [0, {})", kernel_.name, value, extent);
    variables_[i.variable] = value;
  }

  // The first bad index of a launch wins.
  void report(const Instruction& i) {
    if (values_[i.operands[0]] == 0) return;
    int64_t none = -1;
    if (!std::atomic_ref(arguments_.error->site).compare_exchange_strong(none, i.site)) return;
    arguments_.error->position = number(i.expression);
    arguments_.error->value = static_cast<int64_t>(values_[i.operands[1]]);
  }

  int64_t address(const Instruction& i) const {
    const int64_t index = number(i.expression);
    PLAIT_INTERNAL_CHECK(0 <= index && index < sizes_[i.buffer], "kernel {}: {}[{}] = [{}] of {}",
                         kernel_.name, kernel_.buffers[i.buffer].name, to_string(i.expression),
                         index, sizes_[i.buffer]);
    return index;
  }

  char* memory(BufferId b, int64_t index) const {
    return static_cast<char*>(arguments_.buffers[b]) +
           static_cast<size_t>(index) * dtype_size(kernel_.buffers[b].dtype);
  }

  RawValue load(BufferId b, int64_t index) {
    if (is_memory(kernel_.buffers[b].scope)) {
      traffic_.read(b, index, sizes_[b]);
      return load_raw(kernel_.buffers[b].dtype, memory(b, index));
    }
    const Scratch& scratch = scratch_[b];
    PLAIT_INTERNAL_CHECK(scratch.defined[static_cast<size_t>(index)],
                         "kernel {}: {}[{}] is read before it is written", kernel_.name,
                         kernel_.buffers[b].name, index);
    return scratch.values[static_cast<size_t>(index)];
  }

  void store(BufferId b, int64_t index, RawValue value) {
    if (is_memory(kernel_.buffers[b].scope)) {
      traffic_.write(b, index, sizes_[b]);
      store_raw(kernel_.buffers[b].dtype, value, memory(b, index));
      return;
    }
    scratch_[b].values[static_cast<size_t>(index)] = value;
    scratch_[b].defined[static_cast<size_t>(index)] = true;
  }

  void transpose(BufferId b) {
    const int64_t n = kernel_.buffers[b].lanes;
    Scratch& scratch = scratch_[b];
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t column = 0; column < row; ++column) {
        const auto below = static_cast<size_t>(row * n + column);
        const auto above = static_cast<size_t>(column * n + row);
        std::swap(scratch.values[below], scratch.values[above]);
        std::vector<bool>::swap(scratch.defined[below], scratch.defined[above]);
      }
    }
  }

  static RawValue flushed(Op op, const RawValue* operands) {
    auto real = [&](size_t k) { return std::bit_cast<float>(static_cast<uint32_t>(operands[k])); };
    auto pair = [&](size_t k) { return static_cast<uint32_t>(operands[k]); };
    const float result = op == Op::add   ? flushed_add(real(0), real(1))
                         : op == Op::fma ? flushed_fma(real(0), real(1), real(2))
                                         : flushed_pair_dot(pair(0), pair(1), real(2));
    return load_raw(DType::f32, &result);
  }

  using Tile = std::array<uint32_t, kernel::kTileElements>;

  Tile read_tile(const kernel::Place& place) {
    Tile tile;
    const int64_t first = number(place.at);
    for (size_t e = 0; e < tile.size(); ++e) {
      tile[e] = static_cast<uint32_t>(load(place.buffer, first + static_cast<int64_t>(e)));
    }
    return tile;
  }

  void write_tile(const kernel::Place& place, const Tile& tile) {
    const int64_t first = number(place.at);
    for (size_t e = 0; e < tile.size(); ++e) {
      store(place.buffer, first + static_cast<int64_t>(e), tile[e]);
    }
  }

  void tile_load(const Instruction& i) {
    const kernel::Place& from = i.places[1];
    const DType dtype = kernel_.buffers[from.buffer].dtype;
    const int64_t first = number(from.at), pitch = number(i.pitch);
    const int64_t rows = number(i.rows), columns = number(i.columns);
    Tile tile{};
    for (int64_t row = 0; row < rows; ++row) {
      char* bytes = reinterpret_cast<char*>(tile.data()) + row * kernel::kTileRowBytes;
      for (int64_t column = 0; column < columns; ++column) {
        const RawValue value = load(from.buffer, in_range(from, first + row * pitch + column));
        store_raw(dtype, value, bytes + static_cast<size_t>(column) * dtype_size(dtype));
      }
    }
    write_tile(i.places[0], tile);
  }

  void tile_store(const Instruction& i) {
    const kernel::Place& to = i.places[0];
    const int64_t first = number(to.at), pitch = number(i.pitch);
    const Tile tile = read_tile(i.places[1]);
    constexpr int64_t kColumns = kernel::kTileRowBytes / 4;
    for (int64_t row = 0; row < kernel::kTileRows; ++row) {
      for (int64_t column = 0; column < kColumns; ++column) {
        store(to.buffer, in_range(to, first + row * pitch + column), tile[row * kColumns + column]);
      }
    }
  }

  void tile_dot(const Instruction& i) {
    const Tile left = read_tile(i.places[1]), right = read_tile(i.places[2]);
    Tile sums = read_tile(i.places[0]);
    constexpr int64_t kSide = kernel::kTileRows;
    for (int64_t row = 0; row < kSide; ++row) {
      for (int64_t column = 0; column < kSide; ++column) {
        float chains[2] = {0, 0};
        for (int64_t pair = 0; pair < kSide; ++pair) {
          const uint32_t a = left[row * kSide + pair], b = right[pair * kSide + column];
          for (int half = 0; half < 2; ++half) {
            const float x = bf16_to_f32(static_cast<uint16_t>(a >> (16 * half)));
            const float y = bf16_to_f32(static_cast<uint16_t>(b >> (16 * half)));
            chains[half] = flushed_fma(x, y, chains[half]);
          }
        }
        uint32_t& sum = sums[row * kSide + column];
        sum = std::bit_cast<uint32_t>(
            flushed_add(std::bit_cast<float>(sum), flushed_add(chains[0], chains[1])));
      }
    }
    write_tile(i.places[0], sums);
  }

  int64_t in_range(const kernel::Place& place, int64_t index) const {
    PLAIT_INTERNAL_CHECK(0 <= index && index < sizes_[place.buffer],
                         "kernel {}: {}[{}] touches [{}] of {}", kernel_.name,
                         kernel_.buffers[place.buffer].name, to_string(place.at), index,
                         sizes_[place.buffer]);
    return index;
  }

  int64_t number(Expr e) const {
    if (const auto constant = e.constant()) return *constant;
    return evaluate(e, [this](uint32_t v) { return variables_[v]; }, symbols_);
  }

  const Kernel& kernel_;
  const PhaseArguments& arguments_;
  TrafficRecorder& traffic_;
  SymbolValues symbols_;
  std::vector<int64_t> sizes_;  // elements, by buffer
  std::vector<RawValue> values_;
  std::vector<int64_t> variables_;
  std::vector<Scratch> scratch_;
  bool flushes_ = false;
};

class InterpretedKernel final : public CompiledKernel {
 public:
  explicit InterpretedKernel(const Kernel& kernel) : kernel_(kernel), traffic_(kernel_) {}

  void run(size_t phase, const PhaseArguments& arguments) const override {
    const std::lock_guard lock(mutex_);
    traffic_.begin_run(phase, arguments.buffers);
    Execution(kernel_, arguments, traffic_).run(kernel_.phases.at(phase));
  }

  size_t local_bytes(const int64_t*) const override { return 0; }

  std::string source(std::string_view stage) const override {
    PLAIT_CHECK(stage == "kernel_ir", "source",
                "the interpreter has no stage `{}`. hint: it has kernel_ir", stage);
    return to_text(kernel_);
  }

  ByteCounts counts() const {
    const std::lock_guard lock(mutex_);
    return traffic_.counts();
  }

  void reset(int64_t cache_bytes) const {
    const std::lock_guard lock(mutex_);
    traffic_.reset(cache_bytes);
  }

 private:
  const Kernel kernel_;
  mutable std::mutex mutex_;  // iterations run one by one, whoever calls
  mutable TrafficRecorder traffic_;
};

class InterpreterBackend final : public Backend {
 public:
  const char* name() const override { return "interp"; }
  std::shared_ptr<CompiledKernel> compile(const Kernel& kernel) override {
    return std::make_shared<InterpretedKernel>(kernel);
  }
};

const InterpretedKernel& interpreted(const CompiledKernel& kernel) {
  const auto* found = dynamic_cast<const InterpretedKernel*>(&kernel);
  PLAIT_INTERNAL_CHECK(found != nullptr, "only the interpreter counts bytes");
  return *found;
}

}  // namespace

std::unique_ptr<Backend> make_interpreter_backend(const Options&) {
  return make_interpreter_backend();
}

std::unique_ptr<Backend> make_interpreter_backend() {
  return std::make_unique<InterpreterBackend>();
}

ByteCounts byte_counts(const CompiledKernel& kernel) { return interpreted(kernel).counts(); }

void reset_byte_counts(const CompiledKernel& kernel, int64_t cache_bytes) {
  interpreted(kernel).reset(cache_bytes);
}

}  // namespace plait
