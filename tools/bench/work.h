// The works that Plait is measured on, by the names of the bench page: what each computes, on what
// data, and what it costs at least.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "jit/program.h"
#include "ops/optim/optimizer.h"
#include "ops/tensor.h"

namespace plait::bench {

// What no implementation of the work can avoid. Its limit is the largest of these over the
// machine's measured rates (limits.h).
struct Cost {
  double flops = 0;
  double bf16_flops = 0;  // of products of bf16 values, summed in f32
  double bytes = 0;
  double footprint = 0;  // distinct bytes among them; 0: all are
  double exps = 0;
  double erfs = 0;
  double random_words = 0;  // of Philox
  bool in_place = false;    // results go over the operands
};

// A work on its data, not compiled yet. Data depends on the work's name and fixed seeds alone.
struct Instance {
  std::map<std::string, Array> inputs;
  std::vector<NamedSlot> slots;  // initial values that a peer must share
  // Compiles the graph, once: it consumes what was built.
  std::function<Program(const Options&)> compile;
  // What a run needs beyond `inputs`, before and after it; null for most works.
  std::function<void(std::map<std::string, Array>&)> before_run;
  std::function<void()> after_run;
  std::shared_ptr<Slot> observed;  // compared with peers in place of the outputs, if there is one
};

enum class WorkKind : uint8_t {
  run,      // time of a run
  compile,  // time of a compile
  import,   // time of a Python process that imports the package
};

struct Work {
  std::string name;
  WorkKind kind = WorkKind::run;
  Cost cost;
  double tolerance = 0;  // of a peer's result, relative to its root mean square; 0: the result is
                         // random
  std::function<Instance()> build;
  std::map<std::string, std::string> without;  // peers that do not run it, and why
  Autocast autocast = Autocast::off;           // Plait's; peers go by the name of the work
  int64_t parts = 1;                           // equal parts of a run; seconds are of one
};

// Every work of the page, in its order.
const std::vector<std::string>& listed_works();
// By name; sizes in a name may differ from the listed ones (`gemm_8x8x8`). UserError gives the
// nearest names.
Work find_work(const std::string& name);

// A family of works: a regular expression whose groups are the sizes, and who makes them.
struct Family {
  const char* pattern;
  std::function<Work(const std::vector<std::string>& groups)> make;
};
std::vector<Family> kernel_families();    // works_kernels.cpp
std::vector<Family> training_families();  // works_training.cpp
std::vector<Family> vision_families();    // works_vision.cpp

// Standard normal values, scaled; the same for the same seed.
Array normal(std::vector<int64_t> shape, int64_t seed, double scale = 1, DType dtype = DType::f32);
// Integers below `limit`.
Array integers(std::vector<int64_t> shape, int64_t seed, int64_t limit);

inline constexpr const char* kPeers[] = {"torch", "compile", "jax"};

}  // namespace plait::bench
