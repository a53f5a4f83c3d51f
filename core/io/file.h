// Reading files, and writing them so that a failure leaves the former file as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plait {

// A file open for reading. `op` is the name that errors carry.
class InputFile {
 public:
  // UserError if there is no such file, it is a folder, or it may not be read.
  InputFile(std::string_view op, std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }
  // Fills `into` from byte `offset` on; UserError if the file ends before.
  void read(uint64_t offset, std::span<std::byte> into) const;

 private:
  std::string op_;
  std::filesystem::path path_;
  int descriptor_;
  uint64_t size_;
};

std::vector<std::byte> read_file(std::string_view op, const std::filesystem::path& path);

// What a committed file outlives. Waiting for the disk takes milliseconds: what can be made again,
// and tells when it is torn, does without.
enum class Survives : uint8_t { kill, power_loss };

// A file written beside its final place and moved there by commit(): whatever happens before (a
// full disk, a kill, an exception), the file at `path` stays what it was. The temporary file is
// `.NAME.part` in the same folder, locked while open; one that a killed process left is used again.
// A symbolic link is followed: the file it names is replaced. An existing file's mode is kept.
class AtomicFile {
 public:
  // UserError if the folder is missing or may not be written, or another process is writing there.
  AtomicFile(std::string_view op, std::filesystem::path path);
  ~AtomicFile();  // without commit(): removes the temporary file
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);  // DeviceError if the disk is full or fails
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void commit(Survives survives = Survives::power_loss);  // DeviceError, as write()

 private:
  [[noreturn]] void fail(const char* action, int error) const;

  std::string op_;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

void write_file_atomic(std::string_view op, const std::filesystem::path& path,
                       std::span<const std::byte> bytes, Survives survives = Survives::power_loss);
void write_file_atomic(std::string_view op, const std::filesystem::path& path,
                       std::string_view text, Survives survives = Survives::power_loss);

}  // namespace plait
