// Kernels that together use every node and every kind of loop, buffer and address: for tests of the
// text form, the verifier, the interpreter and of backends against it.
#pragma once

#include "jit/kernel/kir.h"

namespace plait::testing {

// y[i] = op(operands…) for i < n: vector loops of `width` with a masked tail. One parameter per
// operand, of dtype `type` (bool for the condition of select), then y of dtype `result`.
// `op` is a unary, binary, comparison, ternary, select or conversion op.
kernel::Kernel elementwise(kernel::Op op, DType type, DType result, int64_t width);

// y[r, :] = w / sum(w), w = 1 / (1 + max(x[r, :]) - x[r, :]), for f32 rows of `columns`: three
// passes with accumulators of 32 lanes, joined by a tree; a masked tail if 32 does not divide.
// sizes(batch). The shape of a softmax, without exp.
kernel::Kernel normalize_rows(int64_t columns);

// c = a . b in f32, sizes(m, n, k): five loops, packed panels, a register tile of mr x nr with
// masked edges. Sums one fma chain in the order of k.
struct GemmTile {
  int64_t mr = 6, nr = 16;
  int64_t mc = 12, nc = 32, kc = 8;  // multiples of mr, nr and 1
};
kernel::Kernel gemm(const GemmTile& tile);

// out[4*c + j] = word j of Philox4x32-10 at counter {c, 0, 0, 0}, key {key[0], key[1]}, for c < n.
kernel::Kernel philox(int64_t width);

// y[i, :] = table[index[i], :] where 0 <= index[i] < rows, else 0 and a report (site 0).
// sizes(n, rows); f32 rows of `columns`.
kernel::Kernel gather_rows(int64_t columns);

// table[index[i], c] += x[i, c] in the order of i; indices outside are left out. sizes(n, rows).
kernel::Kernel scatter_add_rows(int64_t columns);

// y = x^T for f32 [8*a, 8*b], sizes(a, b), through 8x8 register tiles.
kernel::Kernel transpose_tiles();

// Two phases and a workspace: partial[p] = sum of chunk p of x, then y[0] = their sum. sizes(n);
// chunks of 64, the last one short. x is bf16, sums are f32 and serial.
kernel::Kernel two_phase_sum();

}  // namespace plait::testing
