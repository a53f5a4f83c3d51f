// A function that is being captured: its tensors stand for values that a later run brings.
//
// Tensors from outside (of closures, globals, module buffers) become inputs that follow the tensor
// they came from; what the function writes to them in place is written when its program runs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "python/lazy/node.h"

namespace plait::lazy {

class Capture {
 public:
  Capture();   // begins: captures nest, the innermost counts
  ~Capture();  // ends, if end() was not called
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  void end();

  static Capture* current();
  static uint64_t current_id() { return current() ? current()->id() : 0; }
  uint64_t id() const { return id_; }

  // A tensor of outside: `present` is its value there.
  struct External {
    std::shared_ptr<Cell> cell;
    Ref input;  // a placeholder, or the slot's node
    Ref now;
    std::optional<size_t> argument;  // the cell is the one that this argument has when it runs
    bool written() const { return !(now == input); }
  };
  Ref read(const std::shared_ptr<Cell>& cell, const Ref& present);
  void write(const std::shared_ptr<Cell>& cell, const Ref& present, Ref value);
  // Makes an argument's cell one of outside, whose value a run brings as `input`.
  void bind(const std::shared_ptr<Cell>& cell, size_t argument, Ref input);
  const std::vector<External>& externals() const { return externals_; }  // in order of first use

  // Whether the function asked for gradients.
  bool differentiates() const { return differentiates_; }
  void note_gradient() { differentiates_ = true; }

 private:
  External& external(const std::shared_ptr<Cell>& cell, const Ref& present);

  uint64_t id_;
  Capture* outer_;
  bool active_ = true;
  bool differentiates_ = false;
  std::vector<External> externals_;
  std::map<const Cell*, size_t> index_;
};

// UserError that names what was asked for, inside a captured function.
void check_not_capturing(const char* what);

}  // namespace plait::lazy
