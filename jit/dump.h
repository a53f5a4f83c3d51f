// Writes what one compile made to a folder, as text: the graph after each pass, the fused groups,
// and for every kernel its IR, LLVM IR and assembly, by name.
#pragma once

#include <filesystem>
#include <string>

#include "core/graph/graph.h"
#include "jit/program.h"

namespace plait {

class Dump {
 public:
  // A new numbered folder below `folder` (0, 1, …), one a compile. DeviceError if it can't be made.
  explicit Dump(const std::string& folder);

  void graph(const std::string& pass, const Graph& graph);
  void program(const Program::Impl& program);
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void write(const std::filesystem::path& name, const std::string& text) const;
  std::filesystem::path folder_;
  int passes_ = 0;
};

}  // namespace plait
