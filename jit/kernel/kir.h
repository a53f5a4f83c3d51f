// Kernel IR: typed loop nests with scalar meaning.
//
// A kernel is a list of phases. Each phase is one parallel loop whose iterations are independent;
// a barrier stands between phases. Bodies are structured SSA: instructions with values, and loops.
// Every loop means what a plain serial loop means: `vector` and `unrolled` tell a backend how to
// run it and promise that iterations do not depend on each other except through reductions the
// body spells out. So the interpreter is the definition, and any backend must give its bits.
//
// Buffers are flat; an address is one index expression over loop variables, bound variables and
// size symbols, in elements. Transcendental functions do not exist here: lower/math expands them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/index/expr.h"
#include "core/index/simplify.h"

namespace plait::kernel {

enum class Op : uint8_t {
#define PLAIT_KERNEL_OP(name) name,
#include "jit/kernel/nodes.def"
};
const char* name_of(Op op);

enum class LoopKind : uint8_t {
  serial,
  unrolled,  // constant extent; the variable is a number in each copy
  vector,    // constant extent: all iterations at once, as one SIMD value (any extent up to 64).
             // Vector loops do not nest. Loads, stores and `when` conditions may depend on it.
};
const char* name_of(LoopKind kind);

enum class BufferScope : uint8_t {
  parameter,  // memory of the program; `access` says how it is used
  workspace,  // memory of the program for the length of this launch, shared by all threads
  local,      // scratch of the thread that runs the iteration; undefined at its start
  registers,  // constant size; constant index apart from the vector variable, which must be the
              // fastest axis with coefficient 1 (or 0: a uniform element). `lanes` elements form
              // one SIMD value; a vector access may cover part of one. Undefined at the iteration's
              // start
  tiles,  // matrix registers, kTileElements of f32 (sums) or u32 (pairs of bf16) each. Undefined
          // at the iteration's start
};
enum class Access : uint8_t {
  read,
  write,
  read_write,
  stream,  // write, of memory at a cache line's boundary that is better not kept in the caches
};
const char* name_of(Access access);

inline constexpr int64_t kTileRows = 16, kTileRowBytes = 64;
inline constexpr int64_t kTileElements = kTileRows * kTileRowBytes / 4;

struct Buffer {
  std::string name;
  DType dtype;
  Expr size;  // elements
  BufferScope scope = BufferScope::parameter;
  Access access = Access::read;
  uint32_t lanes = 1;  // registers only
};

using ValueId = uint32_t;
using BufferId = uint32_t;
inline constexpr ValueId kNone = ~ValueId{0};

// An element of a buffer; of a tiles buffer, the first of a tile.
struct Place {
  BufferId buffer;
  Expr at;
};

struct Instruction;
using Block = std::vector<Instruction>;

// Which fields an op uses:
//   constant   immediate                     index   expression
//   load       buffer, expression            store   buffer, expression, operands[0]
//   prefetch   buffer (a parameter), expression
//   transpose  buffer: n*n elements, lanes n
//   tile_zero  places: tile
//   tile_load  places: tile, memory; pitch, rows, columns (in elements of the memory)
//   tile_store places: memory, tile; pitch
//   tile_dot   places: sums, left (rows of pairs along k), right (a row of pairs for each two k)
//   loop       variable, expression (extent), loop_kind, body
//   flush      body
//   when       operands[0] (bool), body      bind    variable, expression (its extent: the value is
//                                                     proven or guarded to lie in [0, extent), 0
//                                                     if that is empty), operands[0]
//   report     operands: condition (bool), bad value (i64); site; expression (position, for the
//   text)
struct Instruction {
  Op op;
  ValueId result = kNone;
  std::vector<ValueId> operands;
  Scalar immediate;
  Expr expression;
  BufferId buffer = 0;
  uint32_t variable = 0;
  LoopKind loop_kind = LoopKind::serial;
  uint32_t site = 0;
  std::vector<Place> places;
  Expr pitch, rows, columns;
  Block body;
};

// One parallel loop: `body` runs for variable = 0 … extent-1, in any order, on any thread.
struct Phase {
  uint32_t variable;
  Expr extent;
  Block body;
  double cost = 0;  // estimated nanoseconds of one iteration on one core, for the dispatcher
};

// Where a `report` comes from: for the error text.
struct ErrorSite {
  std::string op;
  int64_t axis;
  Expr extent;
};

struct Kernel {
  std::string name;                // content and scope: h0_attn_softmax_f32_768_r3
  std::vector<Buffer> buffers;     // parameters first, in launch order, then workspace, then others
  std::vector<DType> value_types;  // by ValueId
  std::vector<std::string> symbols;  // sizes passed at launch, in this order
  std::vector<Phase> phases;
  std::vector<ErrorSite> sites;
  std::vector<std::string> schedule;  // the steps that made the loops: for people, not in the text
  uint32_t next_variable = 0;         // variables below this are in use

  DType type(ValueId v) const { return value_types[v]; }
};

// Text (text.cpp): prints and parses; parse(print(k)) prints the same.
std::string to_text(const Kernel& kernel);
Kernel parse_kernel(std::string_view text);  // UserError with line and column

// verify.cpp: types, scopes, dominance, constant extents where required, and a proof that no
// access leaves its buffer. InternalError naming the instruction.
void verify(const Kernel& kernel);

// visit.h-style sweep: calls f on each instruction in program order, bodies included.
template <class F>
void for_each_instruction(const Block& block, F&& f) {
  for (const Instruction& instruction : block) {
    f(instruction);
    for_each_instruction(instruction.body, f);
  }
}

}  // namespace plait::kernel
