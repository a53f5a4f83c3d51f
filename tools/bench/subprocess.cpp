#include "tools/bench/subprocess.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"

extern char** environ;

namespace plait::bench {

Subprocess::Subprocess(const std::vector<std::string>& command) : program_(command.at(0)) {
  // A child that ends early must be an error here, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  int to_child[2], from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0) {
    throw DeviceError(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int error =
      posix_spawnp(&pid_, program_.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(to_child[0]);
  close(from_child[1]);
  in_ = fdopen(to_child[1], "w");
  out_ = fdopen(from_child[0], "r");
  if (error != 0) {
    pid_ = -1;
    std::fclose(in_);
    std::fclose(out_);
    throw UserError(fmt::format("[bench] cannot start '{}': {}", program_, std::strerror(error)));
  }
}

Subprocess::~Subprocess() { wait(); }

void Subprocess::write_line(const std::string& line) {
  const bool good = std::fputs((line + "\n").c_str(), in_) >= 0 && std::fflush(in_) == 0;
  PLAIT_CHECK(good, "bench", "'{}' ended early: it takes no '{}'", program_, line);
}

std::string Subprocess::read_line() {
  std::string line;
  for (int c; (c = std::fgetc(out_)) != EOF;) {
    if (c == '\n') return line;
    line += static_cast<char>(c);
  }
  throw UserError(fmt::format("[bench] '{}' ended early, after '{}'", program_, line));
}

int Subprocess::wait(std::string* output) {
  if (pid_ < 0) return 0;
  std::fclose(in_);
  for (int c; (c = std::fgetc(out_)) != EOF;) {
    if (output) *output += static_cast<char>(c);
  }
  std::fclose(out_);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace plait::bench
