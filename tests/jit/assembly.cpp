#include "tests/jit/assembly.h"

#include <algorithm>
#include <sstream>

namespace plait::testing {

namespace {

// Zeros come from the exclusive or of a part, which clears the rest.
Machine x86(const char* cpu, Target target, const char* full, const char* narrow) {
  return {cpu,
          std::move(target),
          std::regex(full),
          std::regex(narrow),
          std::regex("^\tvfn?m(add|sub)"),
          std::regex("^\tvmov[au]p[sd]\t%.mm\\d+, %"),
          std::regex("\\.LCPI"),
          std::regex("^\tv(?!broadcast|mov|p)\\w*s[sd]\t|^\tv(pinsr|pextr|insertps|extractps)"),
          std::regex("%rsp|%rbp\\)"),
          std::regex("^\t(call|jmp\t[^.])")};
}

Machine neon() {
  return {"aarch64:neoverse-n1",
          {"neon", 16, 32, 64 << 10, 1 << 20, 4 << 20},
          std::regex("\\bq\\d|\\bv\\d+\\.(2d|4s|8h|16b)"),
          std::regex("\\b[sd]\\d|\\bv\\d+\\.(2s|4h|8b)"),
          std::regex("^\tf(n?madd|n?msub|mla|mls)\t"),
          std::regex("^\tmov\tv\\d+\\.16b"),
          std::regex("\\.LCPI|^\tdup\tv\\d+\\.\\w+, w|^\t(movi|mvni)\t|^\tfmov\tv"),
          std::regex("^\t(f\\w+|[su]cvtf)\t[hsd]\\d|^\t[su]?mov\t[wx]\\d+, v"
                     "|^\t(mov|ins)\t.*v\\d+\\.[bhsd]\\[|^\t(ld1|st1)\t.*\\}\\["),
          std::regex("\\bsp\\b"),
          std::regex("^\tblr?\t")};
}

}  // namespace

const std::vector<Machine>& machines() {
  static const std::vector<Machine> all = {
      x86("x86-64-v4", {"avx512", 64, 32, 48 << 10, 2 << 20, 32 << 20}, "%zmm",
          "^(?!\tvp?xor).*%[xy]mm"),
      x86("x86-64-v3", {"avx2", 32, 16, 32 << 10, 512 << 10, 8 << 20}, "%ymm",
          "^(?!\tvp?xor).*%xmm"),
      neon(),
  };
  return all;
}

namespace {

bool is_instruction(const std::string& line) {
  return line.size() > 1 && line[0] == '\t' && line[1] != '.';
}

}  // namespace

Lines instructions(const std::string& assembly) {
  Lines lines;
  std::istringstream in(assembly);
  for (std::string line; std::getline(in, line);)
    if (is_instruction(line)) lines.push_back(line);
  return lines;
}

std::vector<Lines> innermost_loops(const std::string& assembly) {
  std::vector<Lines> loops;
  std::istringstream in(assembly);
  std::string label;
  Lines block;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(".L") && line.find(':') != std::string::npos) {
      label = line.substr(0, line.find(':'));
      block.clear();
    }
    if (!is_instruction(line)) continue;
    block.push_back(line);
    // The one operand, or the last, of a jump.
    if (line.find_first_of("jbct") == 1 && line.substr(line.find_last_of("\t ") + 1) == label)
      loops.push_back(block);
  }
  return loops;
}

int64_t count(const Lines& lines, const std::regex& pattern) {
  return std::count_if(lines.begin(), lines.end(),
                       [&](const std::string& line) { return std::regex_search(line, pattern); });
}

std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace plait::testing
