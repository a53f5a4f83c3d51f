// What the loops of machine code hold, for instruction sets that this machine need not have.
#pragma once

#include <cstdint>
#include <regex>
#include <string>
#include <vector>

#include "core/target.h"

namespace plait::testing {

// Patterns match lines of assembly.
struct Machine {
  const char* cpu;
  Target target;
  std::regex full;      // a vector register of full width
  std::regex narrow;    // a part of one
  std::regex fma;       // a multiply-add, of vectors or scalars
  std::regex copy;      // between vector registers
  std::regex constant;  // brought into a register
  std::regex scalar;    // arithmetic on one element, or lanes that come and go one by one
  std::regex stack;     // memory of spilled registers
  std::regex call;
};

// AVX-512, AVX2 and NEON.
const std::vector<Machine>& machines();

using Lines = std::vector<std::string>;

Lines instructions(const std::string& assembly);
// The instructions of each block that jumps back to its own start.
std::vector<Lines> innermost_loops(const std::string& assembly);
int64_t count(const Lines& lines, const std::regex& pattern);
std::string joined(const Lines& lines);

}  // namespace plait::testing
