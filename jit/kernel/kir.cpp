#include "jit/kernel/kir.h"

#include "core/error.h"
#include "jit/kernel/types.h"

namespace plait::kernel {

const char* name_of(Op op) {
  switch (op) {
#define PLAIT_KERNEL_OP(name) \
  case Op::name:              \
    return #name;
#include "jit/kernel/nodes.def"
  }
  PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(op));
}

const char* name_of(LoopKind kind) {
  switch (kind) {
    case LoopKind::serial:
      return "loop";
    case LoopKind::unrolled:
      return "unrolled";
    case LoopKind::vector:
      return "vector";
  }
  PLAIT_UNREACHABLE("loop kind {}", static_cast<int>(kind));
}

const char* name_of(Access access) {
  switch (access) {
    case Access::read:
      return "read";
    case Access::write:
      return "write";
    case Access::read_write:
      return "read_write";
    case Access::stream:
      return "stream";
  }
  PLAIT_UNREACHABLE("access {}", static_cast<int>(access));
}

OpClass class_of(Op op) {
  switch (op) {
    case Op::constant:
    case Op::index:
      return OpClass::immediate;
    case Op::neg:
    case Op::abs:
    case Op::sqrt:
    case Op::floor:
    case Op::ceil:
    case Op::round:
    case Op::trunc:
    case Op::bit_not:
      return OpClass::unary;
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::mod:
    case Op::maximum:
    case Op::minimum:
    case Op::ldexp:
    case Op::mul_high:
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
    case Op::shift_left:
    case Op::shift_right:
      return OpClass::binary;
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
      return OpClass::comparison;
    case Op::fma:
    case Op::pair_dot:
      return OpClass::ternary;
    case Op::select:
      return OpClass::select;
    case Op::cast:
    case Op::bitcast:
      return OpClass::conversion;
    case Op::random:
      return OpClass::draw;
    case Op::load:
    case Op::store:
    case Op::prefetch:
    case Op::transpose:
      return OpClass::memory;
    case Op::tile_zero:
    case Op::tile_load:
    case Op::tile_store:
    case Op::tile_dot:
      return OpClass::tile;
    case Op::loop:
    case Op::when:
    case Op::flush:
    case Op::bind:
    case Op::report:
      return OpClass::structure;
  }
  PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(op));
}

bool has_result(Op op) {
  const OpClass op_class = class_of(op);
  return op == Op::load || (op_class != OpClass::memory && op_class != OpClass::tile &&
                            op_class != OpClass::structure);
}

size_t operand_count(Op op) {
  switch (class_of(op)) {
    case OpClass::immediate:
      return 0;
    case OpClass::unary:
    case OpClass::conversion:
      return 1;
    case OpClass::binary:
    case OpClass::comparison:
      return 2;
    case OpClass::ternary:
    case OpClass::select:
      return 3;
    case OpClass::draw:
      return 4;
    case OpClass::memory:
      return op == Op::store ? 1 : 0;
    case OpClass::tile:
      return 0;
    case OpClass::structure:
      return op == Op::report ? 2 : op == Op::loop || op == Op::flush ? 0 : 1;
  }
  PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(op));
}

DType result_type(Op op, std::span<const DType> operands) {
  switch (class_of(op)) {
    case OpClass::immediate:
      return DType::i64;  // of `index`; a constant names its own
    case OpClass::unary:
    case OpClass::binary:
      return operands[0];
    case OpClass::ternary:
      return operands[2];
    case OpClass::comparison:
      return DType::boolean;
    case OpClass::select:
      return operands[1];
    case OpClass::draw:
      return DType::u32;
    case OpClass::conversion:
    case OpClass::memory:
    case OpClass::tile:
    case OpClass::structure:
      break;
  }
  PLAIT_UNREACHABLE("{} has no result type of its own", name_of(op));
}

namespace {

// Empty if the op computes in `t`, else the dtypes in which it does, in words.
std::string compute_error(Op op, DType t) {
  const bool computes = t == DType::f32 || t == DType::f64 || is_integer(t);
  switch (op) {
    case Op::neg:
    case Op::abs:
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::mod:
    case Op::maximum:
    case Op::minimum:
      return computes ? "" : "takes f32, f64 or integers";
    case Op::sqrt:
    case Op::floor:
    case Op::ceil:
    case Op::round:
    case Op::trunc:
    case Op::fma:
    case Op::ldexp:
      return t == DType::f32 || t == DType::f64 ? "" : "takes f32 or f64";
    case Op::bit_not:
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
      return t == DType::boolean || is_integer(t) ? "" : "takes booleans or integers";
    case Op::shift_left:
    case Op::shift_right:
      return is_integer(t) ? "" : "takes integers";
    case Op::mul_high:
    case Op::pair_dot:
      return t == DType::u32 ? "" : "takes u32";
    case Op::random:
      return t == DType::i64 ? "" : "takes i64";
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
      return computes || t == DType::boolean ? "" : "takes f32, f64, integers or booleans";
    case Op::constant:
    case Op::index:
    case Op::select:
    case Op::cast:
    case Op::bitcast:
    case Op::load:
    case Op::store:
    case Op::prefetch:
    case Op::transpose:
    case Op::tile_zero:
    case Op::tile_load:
    case Op::tile_store:
    case Op::tile_dot:
    case Op::loop:
    case Op::when:
    case Op::flush:
    case Op::bind:
    case Op::report:
      return "";
  }
  PLAIT_UNREACHABLE("kernel op {}", static_cast<int>(op));
}

std::string bitcast_error(DType from, DType to) {
  if (from == DType::boolean || to == DType::boolean) return "does not take booleans";
  if (dtype_size(from) != dtype_size(to)) return "needs two dtypes of one size";
  return "";
}

std::string structure_error(Op op, std::span<const DType> operands) {
  if (op == Op::when && operands[0] != DType::boolean) return "needs a bool condition";
  if (op == Op::bind && !is_integer(operands[0])) return "needs an integer value";
  if (op == Op::report && (operands[0] != DType::boolean || operands[1] != DType::i64))
    return "needs a bool condition and an i64 value";
  return "";
}

}  // namespace

std::string type_error(Op op, std::span<const DType> operands, DType result) {
  if (operands.size() != operand_count(op))
    return fmt::format("takes {} operands, not {}", operand_count(op), operands.size());
  const OpClass op_class = class_of(op);
  switch (op_class) {
    case OpClass::immediate:
      return op == Op::index && result != DType::i64 ? "gives i64" : "";
    case OpClass::unary:
    case OpClass::binary:
    case OpClass::comparison:
    case OpClass::ternary:
    case OpClass::draw:
      for (DType t : operands.first(op == Op::pair_dot ? 2 : operands.size()))
        if (t != operands[0]) return "needs operands of one dtype";
      if (op == Op::pair_dot && operands[2] != DType::f32) return "adds to f32";
      if (std::string error = compute_error(op, operands[0]); !error.empty()) return error;
      break;
    case OpClass::select:
      if (operands[0] != DType::boolean) return "needs a bool condition";
      if (operands[1] != operands[2]) return "needs two values of one dtype";
      break;
    case OpClass::conversion:
      return op == Op::bitcast ? bitcast_error(operands[0], result) : "";
    case OpClass::memory:
    case OpClass::tile:
      return "";
    case OpClass::structure:
      return structure_error(op, operands);
  }
  if (result != result_type(op, operands))
    return fmt::format("gives {}", dtype_name(result_type(op, operands)));
  return "";
}

}  // namespace plait::kernel
