// A child process that is spoken to line by line.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

namespace plait::bench {

class Subprocess {
 public:
  // Looks up command[0] in PATH; stderr is shared. UserError if it cannot start.
  explicit Subprocess(const std::vector<std::string>& command);
  ~Subprocess();  // closes its input and waits for its end
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  void write_line(const std::string& line);
  // Without its end; UserError if the process ended.
  std::string read_line();
  // Closes its input, reads the rest of its output, and returns its exit status (128 + signal).
  int wait(std::string* output = nullptr);

 private:
  std::string program_;
  pid_t pid_ = -1;
  FILE* in_ = nullptr;
  FILE* out_ = nullptr;
};

}  // namespace plait::bench
