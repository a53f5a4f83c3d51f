// A program's runs with a clock around each launch.
#include <algorithm>

#include "core/error.h"
#include "jit/program_impl.h"

namespace plait {
namespace {

double product(const std::vector<Expr>& extents, const SymbolValues& symbols) {
  double result = 1;
  const auto no_variable = [](uint32_t id) -> int64_t {
    PLAIT_UNREACHABLE("variable {} in an extent", id);
  };
  for (Expr e : extents) result *= static_cast<double>(evaluate(e, no_variable, symbols));
  return result;
}

}  // namespace

LaunchTime Program::Impl::cost_of(size_t index) const {
  const Launch& launch = list_.launches[index];
  LaunchTime result{launch.segments.front().name, launch.segments.size(), 0, 0, 0, 0};
  for (const Segment& segment : launch.segments) {
    const kernel::Kernel& kernel = list_.kernels[segment.kernel];
    for (const fusion::Nest& nest : plan_.groups[segment.group].nests) {
      if (!nest.contraction) continue;
      result.flops += 2 * product(nest.extents, bound_->symbols) *
                      product(nest.contraction->k_extents, bound_->symbols);
    }
    for (size_t b = 0; b < segment.buffers.size(); ++b) {
      const Value v = segment.buffers[b].value;
      if (v == kNoValue) continue;
      const Type& type = graph_.type(v);
      const int directions = kernel.buffers[b].access == kernel::Access::read_write ? 2 : 1;
      result.bytes += directions * static_cast<double>(dtype_size(type.dtype)) *
                      product(type.shape, bound_->symbols);
    }
  }
  return result;
}

std::vector<LaunchTime> Program::Impl::time_launches(const std::map<std::string, Array>& inputs,
                                                     int runs) {
  PLAIT_CHECK(runs >= 1, "time_launches", "needs at least one run; got runs: {}", runs);
  std::lock_guard lock(mutex_);
  std::vector<std::vector<double>> seconds(list_.launches.size());
  std::vector<double> of_run(list_.launches.size());
  struct Timed {
    Impl* impl;
    ~Timed() { impl->launch_seconds_ = nullptr; }
  } timed{this};
  launch_seconds_ = &of_run;
  for (int run = 0; run < runs; ++run) {
    run_once(inputs);
    for (size_t i = 0; i < of_run.size(); ++i) seconds[i].push_back(of_run[i]);
  }
  std::vector<LaunchTime> result;
  for (size_t i = 0; i < seconds.size(); ++i) {
    std::sort(seconds[i].begin(), seconds[i].end());
    result.push_back(cost_of(i));
    result.back().best = seconds[i].front();
    result.back().median = seconds[i][seconds[i].size() / 2];
  }
  return result;
}

}  // namespace plait
