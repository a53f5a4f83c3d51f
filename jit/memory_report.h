// What a program's memory is for: every buffer that a run of these sizes holds, from the plan
// alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace plait {

enum class BufferRole : uint8_t {
  intermediate,  // a value between launches
  workspace,     // of one launch, shared by its threads
  output,        // there from the start of the run, and the caller's after it
  slot,          // a slot's new value, where it can't go over the old one
  scratch,       // of the threads
  unused,        // what lies between the others when most of them are alive
};
const char* name_of(BufferRole role);

struct BufferUse {
  BufferRole role;
  std::string what;         // a value's node, or the name of an output, slot or kernel
  std::string type;         // of tensors: f32[512, 50257]
  size_t bytes;             // that it takes in memory
  size_t first, last;       // launches, inclusive
  std::string scope, file;  // that made it; as far as they are known
  int line = 0;
};

struct MemoryReport {
  size_t peak_bytes = 0;           // of the buffers alive at the peak
  size_t launch = 0;               // the first one at which most is alive
  std::string kernel;              // its name
  std::vector<BufferUse> buffers;  // in the order in which they come to life, larger ones first

  std::vector<BufferUse> at_peak() const;  // those alive then, the largest first
};

// A table of what is alive at the peak, then the life of all buffers.
std::string to_text(const MemoryReport& report);

}  // namespace plait
