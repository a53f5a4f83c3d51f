// Runs pending results. Programs are kept by the structure of what they compute: the latest
// kMaxPrograms of them. A floating number that differs when a structure is seen again becomes an
// input of its program, so that numbers that vary compile nothing from the third time on.
#pragma once

#include <functional>
#include <memory>

#include "core/options.h"
#include "jit/program.h"
#include "ops/optim/optimizer.h"
#include "python/lazy/node.h"

namespace plait::lazy {

inline constexpr size_t kMaxPrograms = 256;

// Computes what is not known yet. UserError as Program::run; nothing has changed then.
void evaluate(const std::vector<Ref>& refs);
// The value; computes it if need be.
Array array_of(const Ref& ref);

// The programs of one optimizer's steps, which hold its parameters: they live as long as it does.
class StepPrograms;
std::shared_ptr<StepPrograms> make_step_programs();
// One step of the optimizer with these gradients, which may be absent. In the parameters' memory,
// unless somebody else still needs their old values.
void step(const std::shared_ptr<optim::Optimizer>& optimizer, std::vector<Ref> gradients,
          StepPrograms& programs);

// A captured function as a program: results, then the new values of externals without slots that
// were written in place. Equal functions that hold no slot share one.
struct Captured {
  Program program;
  size_t results;
  std::vector<std::string> used;  // the placeholders that it reads
};
class Capture;
Captured compile_captured(const std::vector<Ref>& results, const Capture& capture,
                          std::shared_ptr<optim::Optimizer> optimizer, const Options& options);

// Runs f without Python's lock, with its check for signals; set by the module.
using Unlocked = std::function<void(const std::function<void()>&)>;
void set_unlocked(Unlocked unlocked);
void run_unlocked(const std::function<void()>& f);

size_t cached_programs();
// Lets go of all programs and what is known of calls.
void clear_cache();

}  // namespace plait::lazy
