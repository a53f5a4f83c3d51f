#include "jit/dump.h"

#include <fstream>

#include "core/error.h"
#include "core/graph/text.h"
#include "jit/program_impl.h"

namespace plait {

Dump::Dump(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  for (int number = 0; !error; ++number) {
    folder_ = std::filesystem::path(folder) / std::to_string(number);
    if (std::filesystem::create_directory(folder_, error)) break;
  }
  if (!error) std::filesystem::create_directory(folder_ / "kernels", error);
  if (error) {
    throw DeviceError(fmt::format("cannot make the dump folder {}: {}", folder, error.message()));
  }
}

void Dump::write(const std::filesystem::path& name, const std::string& text) const {
  std::ofstream file(folder_ / name, std::ios::binary);
  file << text;
  if (!file.flush()) {
    throw DeviceError(fmt::format("cannot write {}", (folder_ / name).string()));
  }
}

void Dump::graph(const std::string& pass, const Graph& graph) {
  write(fmt::format("{:02}_{}.txt", passes_++, pass), to_text(graph));
}

void Dump::program(const Program::Impl& program) {
  write(fmt::format("{:02}_fusion.txt", passes_++), to_text(program.graph(), program.plan()));
  write(fmt::format("{:02}_launches.txt", passes_++), program.debug_string());
  if (program.knows_sizes()) {
    write(fmt::format("{:02}_memory.txt", passes_++), to_text(program.memory_report()));
  }
  for (size_t i = 0; i < program.kernels().size(); ++i) {
    const KernelInfo& info = *program.kernels()[i];
    const std::string base = fmt::format("kernels/{:03}_{}", i, info.name());
    write(base + ".kernel", info.print(Stage::kernel_ir));
    write(base + ".ll", info.print(Stage::llvm));
    write(base + ".s", info.print(Stage::assembly));
  }
}

}  // namespace plait
