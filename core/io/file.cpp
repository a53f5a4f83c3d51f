#include "core/io/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace plait {
namespace {

std::string error_text(int error) { return std::generic_category().message(error); }

// Linux transfers at most 2 GiB a call.
constexpr size_t kMaxTransfer = size_t{1} << 30;

// Where a write to `path` has to go: the end of a chain of symbolic links.
std::filesystem::path follow_links(std::string_view op, std::filesystem::path path) {
  const std::filesystem::path given = path;
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path, error); ++links) {
    PLAIT_CHECK(links < 40, op, "cannot write '{}': too many symbolic links", given.string());
    const auto target = std::filesystem::read_symlink(path, error);
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

bool names_open_file(const std::filesystem::path& path, int descriptor) {
  struct stat by_name, by_descriptor;
  return ::lstat(path.c_str(), &by_name) == 0 && ::fstat(descriptor, &by_descriptor) == 0 &&
         by_name.st_dev == by_descriptor.st_dev && by_name.st_ino == by_descriptor.st_ino;
}

}  // namespace

InputFile::InputFile(std::string_view op, std::filesystem::path path)
    : op_(op), path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  PLAIT_CHECK(descriptor_ >= 0, op_, "cannot read '{}': {}", path_.string(), error_text(errno));
  struct stat status;
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw UserError(fmt::format("[{}] cannot read '{}': not a regular file", op_, path_.string()));
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(uint64_t offset, std::span<std::byte> into) const {
  const size_t wanted = into.size();
  while (!into.empty()) {
    const ssize_t got = ::pread(descriptor_, into.data(), std::min(into.size(), kMaxTransfer),
                                static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw DeviceError(
          fmt::format("[{}] reading '{}' failed: {}", op_, path_.string(), error_text(errno)));
    }
    PLAIT_CHECK(got > 0, op_, "'{}' ends too early: {} of {} bytes are missing at byte {}",
                path_.string(), into.size(), wanted, offset);
    offset += static_cast<uint64_t>(got);
    into = into.subspan(static_cast<size_t>(got));
  }
}

std::vector<std::byte> read_file(std::string_view op, const std::filesystem::path& path) {
  const InputFile file(op, path);
  std::vector<std::byte> bytes(file.size());
  file.read(0, bytes);
  return bytes;
}

AtomicFile::AtomicFile(std::string_view op, std::filesystem::path path)
    : op_(op), path_(follow_links(op, std::move(path))) {
  PLAIT_CHECK(path_.has_filename(), op_, "cannot write '{}': it names no file", path_.string());
  temporary_ = path_.parent_path() / fmt::format(".{}.part", path_.filename().string());
  struct stat former;
  const bool exists = ::stat(path_.c_str(), &former) == 0;
  PLAIT_CHECK(!exists || S_ISREG(former.st_mode), op_, "cannot write '{}': not a regular file",
              path_.string());

  // The file may be renamed by its former writer between open and lock; then it is not ours.
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    PLAIT_CHECK(descriptor_ >= 0, op_, "cannot write '{}': {}", path_.string(), error_text(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(descriptor_);
      throw UserError(
          fmt::format("[{}] cannot write '{}': {}", op_, path_.string(),
                      error == EWOULDBLOCK ? "another process is writing it" : error_text(error)));
    }
  } while (!names_open_file(temporary_, descriptor_));

  if (::ftruncate(descriptor_, 0) != 0 ||
      (exists && ::fchmod(descriptor_, former.st_mode & 07777) != 0)) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    ::close(descriptor_);
    fail("writing", error);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void AtomicFile::fail(const char* action, int error) const {
  throw DeviceError(fmt::format("[{}] {} '{}' failed: {}; the former file, if any, is unchanged",
                                op_, action, path_.string(), error_text(error)));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  PLAIT_INTERNAL_CHECK(descriptor_ >= 0, "write after commit");
  while (!bytes.empty()) {
    const ssize_t written =
        ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMaxTransfer));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("writing", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::commit(Survives survives) {
  PLAIT_INTERNAL_CHECK(descriptor_ >= 0, "commit after commit");
  // The bytes must be on the disk before the name points at them, and then the name itself.
  const bool to_disk = survives == Survives::power_loss;
  if (to_disk && ::fsync(descriptor_) != 0) fail("writing", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("renaming", errno);
  ::close(descriptor_);
  descriptor_ = -1;
  if (!to_disk) return;
  const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  const int folder_descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) return;  // a folder may be writable and not readable
  ::fsync(folder_descriptor);
  ::close(folder_descriptor);
}

void write_file_atomic(std::string_view op, const std::filesystem::path& path,
                       std::span<const std::byte> bytes, Survives survives) {
  AtomicFile file(op, path);
  file.write(bytes);
  file.commit(survives);
}

void write_file_atomic(std::string_view op, const std::filesystem::path& path,
                       std::string_view text, Survives survives) {
  write_file_atomic(op, path, std::as_bytes(std::span(text)), survives);
}

}  // namespace plait
