// Stopping long work from outside, such as by Ctrl-C in Python.
#pragma once

#include <functional>

namespace plait {

// While it lives, long work that this thread asked for calls `check` now and then, on this thread.
// What `check` throws ends the work, with all state as before it.
class InterruptCheck {
 public:
  explicit InterruptCheck(std::function<void()> check);
  ~InterruptCheck();
  InterruptCheck(const InterruptCheck&) = delete;
  InterruptCheck& operator=(const InterruptCheck&) = delete;

 private:
  std::function<void()> check_;
  const std::function<void()>* outer_;
};

// Calls the thread's check if there is one and the last call was 50 ms ago. Costs a clock reading.
void check_interrupt();

}  // namespace plait
