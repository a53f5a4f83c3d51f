// A program: a static list of launches over one memory plan. Running does no graph work and
// allocates nothing but the arrays it returns.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/slot.h"
#include "jit/memory_report.h"

namespace plait {

// The stages of one kernel that can be read.
enum class Stage : uint8_t { kernel_ir, llvm, assembly };

// One kernel of a program: equal work of several values is one kernel, run once for each.
class KernelInfo {
 public:
  virtual ~KernelInfo() = default;
  virtual const std::string& name() const = 0;                 // scope and content of its first run
  virtual const std::vector<std::string>& scopes() const = 0;  // of all it computes
  virtual size_t launches() const = 0;                         // of the program that run it
  virtual std::string print(Stage stage) const = 0;
};

// One launch of a program, timed. Two FLOPs for each product that a contraction adds (other
// arithmetic is not counted); the bytes of each buffer it reads and of each it writes.
struct LaunchTime {
  std::string name;  // scope and content of its first segment
  size_t segments;   // groups that run side by side in this launch
  double median;     // seconds
  double best;
  double flops;
  double bytes;
};

class Program {
 public:
  class Impl;
  explicit Program(std::shared_ptr<Impl> impl);

  // Runs once. `inputs` by name: dtype and sizes must agree (UserError names the input and both
  // types); symbols take their values from them. Returns the outputs in order. All slots the graph
  // assigns are replaced at the end; if anything fails none is.
  std::vector<Array> run(const std::map<std::string, Array>& inputs = {});

  // Runs `runs` times (at least once) as run() does, slots included, with a clock around each
  // launch. In launch order.
  std::vector<LaunchTime> time_launches(const std::map<std::string, Array>& inputs, int runs);

  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;
  // Each once, by the first launch that runs it.
  const std::vector<std::shared_ptr<KernelInfo>>& kernels() const;
  size_t launches() const;
  // Bytes of intermediates, workspaces and fresh slot values that a run of these sizes holds.
  size_t peak_bytes() const;
  // What that is: each buffer with its size, the launches it lives through and the line that made
  // it. Needs no run if all sizes are known; UserError if they are not yet.
  MemoryReport memory_report() const;
  std::string debug_string() const;  // launches with their kernels, buffers and sizes

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace plait
