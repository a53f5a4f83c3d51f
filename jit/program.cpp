#include "jit/program.h"

#include <algorithm>

#include "core/error.h"
#include "jit/program_impl.h"

namespace plait {

Program::Program(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::vector<Array> Program::run(const std::map<std::string, Array>& inputs) {
  return impl_->run(inputs);
}

std::vector<LaunchTime> Program::time_launches(const std::map<std::string, Array>& inputs,
                                               int runs) {
  return impl_->time_launches(inputs, runs);
}

std::vector<std::string> Program::input_names() const {
  std::vector<std::string> names = impl_->input_names();
  if (impl_->optimizer) {
    std::erase_if(
        names, [&](const std::string& name) { return impl_->optimizer->scalars().contains(name); });
  }
  return names;
}

std::vector<std::string> Program::output_names() const {
  std::vector<std::string> names;
  for (const Output& output : impl_->graph().outputs()) names.push_back(output.name);
  return names;
}

const std::vector<std::shared_ptr<KernelInfo>>& Program::kernels() const {
  return impl_->kernels();
}

size_t Program::launches() const { return impl_->launches().launches.size(); }
size_t Program::peak_bytes() const { return impl_->peak_bytes(); }
MemoryReport Program::memory_report() const { return impl_->memory_report(); }
std::string Program::debug_string() const { return impl_->debug_string(); }

void KernelEntry::add(const Segment& segment, size_t launch) {
  for (const std::string& scope : segment.scopes) {
    if (std::ranges::find(scopes_, scope) == scopes_.end()) scopes_.push_back(scope);
  }
  launches_.insert(launch);
}

namespace {

// The kernel's text with its schedule as comments below the first line.
std::string with_schedule(const kernel::Kernel& kernel) {
  std::string text = to_text(kernel), steps;
  for (const std::string& step : kernel.schedule) steps += "  # " + step + "\n";
  return text.insert(text.find('\n') + 1, steps);
}

}  // namespace

std::string KernelEntry::print(Stage stage) const {
  switch (stage) {
    case Stage::kernel_ir:
      return with_schedule(list_->kernels[number_]);
    case Stage::llvm:
      return compiled_->source("llvm");
    case Stage::assembly:
      return compiled_->source("asm");
  }
  PLAIT_UNREACHABLE("stage {}", static_cast<int>(stage));
}

}  // namespace plait
