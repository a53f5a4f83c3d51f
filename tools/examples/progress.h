// A progress bar on stderr: steps, loss, tokens per second, time left. Where stderr is no terminal
// it is a plain line every so many steps.
#pragma once

#include <chrono>
#include <cstdint>

namespace plait::examples {

class Progress {
 public:
  // Steps [first, total) are to come. A plain line is written every `plain_every` steps.
  Progress(int64_t first, int64_t total, int64_t tokens_per_step, int64_t plain_every);
  ~Progress();  // ends the bar's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, double loss);  // after step number `done` (from 1)
  void clear();                            // before something else is printed

 private:
  int64_t first_, total_, tokens_per_step_, plain_every_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_, last_draw_;
};

}  // namespace plait::examples
