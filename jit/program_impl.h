// The inside of a Program: launches bound to sizes and memory, and one run.
#pragma once

#include <mutex>
#include <set>

#include "core/options.h"
#include "jit/backend.h"
#include "jit/memory_plan.h"
#include "jit/memory_report.h"
#include "jit/program.h"
#include "jit/storage.h"
#include "ops/optim/optimizer.h"

namespace plait {

class KernelEntry : public KernelInfo {
 public:
  KernelEntry(std::string name, std::shared_ptr<const LaunchList> list, size_t number,
              std::shared_ptr<CompiledKernel> compiled)
      : name_(std::move(name)),
        list_(std::move(list)),
        number_(number),
        compiled_(std::move(compiled)) {}

  const std::string& name() const override { return name_; }
  const std::vector<std::string>& scopes() const override { return scopes_; }
  size_t launches() const override { return launches_.size(); }
  std::string print(Stage stage) const override;

  void add(const Segment& segment, size_t launch);
  const CompiledKernel& compiled() const { return *compiled_; }

 private:
  std::string name_;
  std::vector<std::string> scopes_;
  std::set<size_t> launches_;
  std::shared_ptr<const LaunchList> list_;
  size_t number_;  // of the list's kernels
  std::shared_ptr<CompiledKernel> compiled_;
};

class Program::Impl {
 public:
  Impl(Graph graph, const Options& options, fusion::FusionPlan plan, LaunchList list,
       std::vector<std::shared_ptr<CompiledKernel>> compiled, Storage storage);

  std::vector<Array> run(const std::map<std::string, Array>& inputs);
  std::vector<LaunchTime> time_launches(const std::map<std::string, Array>& inputs, int runs);

  const Graph& graph() const { return graph_; }
  std::vector<std::string> input_names() const;  // of all that are declared
  const fusion::FusionPlan& plan() const { return plan_; }
  const LaunchList& launches() const { return list_; }
  const std::vector<std::shared_ptr<KernelInfo>>& kernels() const { return infos_; }
  const Storage& storage() const { return storage_; }
  size_t peak_bytes() const;
  bool knows_sizes() const { return bound_.has_value(); }
  MemoryReport memory_report() const;
  std::string debug_string() const;

  // Set by the driver.
  std::shared_ptr<optim::Optimizer> optimizer;
  // The inputs as the user declared them, those that a result depends on as its outputs, and the
  // guards: what a run must be given, and where symbols get their values from.
  Graph signature;
  std::shared_ptr<Impl> unfused;  // options.check: what every launch is compared with

 private:
  // What depends on the sizes of a run.
  struct Bound {
    SymbolValues symbols;
    MemoryPlan memory;
    std::shared_ptr<Buffer> arena;
    std::vector<std::vector<std::vector<int64_t>>> sizes;       // launch, segment, kernel symbol
    std::vector<std::vector<std::vector<int64_t>>> iterations;  // launch, segment, phase
    size_t local_bytes = 0;                                     // scratch of one thread
    std::vector<std::vector<int64_t>> output_shapes;
  };

  struct Workers;

  std::vector<Array> run_once(const std::map<std::string, Array>& inputs);
  std::vector<Array> run_locked(const std::map<std::string, Array>& inputs, bool commit);
  const Bound& bind(const std::map<std::string, Array>& inputs);
  void check_inputs(const std::map<std::string, Array>& inputs) const;
  void prepare_targets(const Bound& bound, bool commits);
  bool has_symbols() const;
  void bind_sizes(SymbolValues symbols);
  void* address(Location location, const std::map<std::string, Array>& inputs) const;
  void launch(size_t index, const Bound& bound, const std::map<std::string, Array>& inputs,
              const Workers& workers);
  void run_phase(size_t index, size_t phase, const Bound& bound, const Workers& workers);
  void check_indices(const std::map<std::string, Array>& inputs) const;
  void raise_bad_index(size_t launch, size_t segment) const;
  [[noreturn]] void raise_bad_index(Value owner, size_t axis, int64_t index,
                                    const std::vector<int64_t>& position) const;
  void copy_results(const std::map<std::string, Array>& inputs);
  void commit();
  void compare_with_unfused(size_t launch) const;
  LaunchTime cost_of(size_t launch) const;

  Graph graph_;
  fusion::FusionPlan plan_;
  std::shared_ptr<const LaunchList> shared_list_;  // with those who hold a kernel's info
  const LaunchList& list_;
  std::vector<std::shared_ptr<CompiledKernel>> compiled_;  // by kernel of the list
  Storage storage_;
  std::vector<std::shared_ptr<KernelInfo>> infos_;
  int64_t threads_;
  size_t interruptible_;  // launches before this one write to no slot
  std::mutex mutex_;
  std::optional<Bound> bound_;
  // Of the run in progress.
  std::vector<Array> outputs_;  // kept: used again when the caller let go of them
  std::vector<Array> targets_;  // by assign: the new values
  std::vector<Array> spare_;    // by assign: what a target may use next time
  std::vector<std::vector<std::vector<void*>>> pointers_;  // launch, segment, buffer
  std::vector<std::shared_ptr<Buffer>> slot_values_;       // read by this run
  std::vector<ErrorRecord> errors_;                        // by segment of the launch in progress
  std::vector<double>* launch_seconds_ = nullptr;          // by launch, if the run is timed
};

}  // namespace plait
