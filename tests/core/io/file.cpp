#include "core/io/file.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "tests/support/error_text.h"
#include "tests/support/skip.h"
#include "tests/support/temporary_folder.h"

using namespace plait;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& path) {
  const auto bytes = read_file("test", path);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a file is written and replaced") {
  TemporaryFolder folder;
  const fs::path path = folder / "ü x.bin";
  write_file_atomic("test", path, "first");
  CHECK(text_of(path) == "first");
  write_file_atomic("test", path, "");
  CHECK(text_of(path) == "");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("without commit the former file stays and nothing else is left") {
  TemporaryFolder folder;
  const fs::path path = folder / "a";
  write_file_atomic("test", path, "former");
  {
    AtomicFile file("test", path);
    file.write("new");
    CHECK(text_of(path) == "former");
  }
  CHECK(text_of(path) == "former");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a kill while writing keeps the former file, and its leftover is used again") {
  TemporaryFolder folder;
  const fs::path path = folder / "a";
  write_file_atomic("test", path, "former");
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file("test", path);
    file.write("a text that is longer than the next one");
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(text_of(path) == "former");
  CHECK(files_in(folder.path()) == 2);
  write_file_atomic("test", path, "next");
  CHECK(text_of(path) == "next");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a full disk keeps the former file and says so") {
  TemporaryFolder folder;
  const fs::path disk = folder / "disk";
  fs::create_directory(disk);
  if (mount("plait-test", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    PLAIT_SKIP("mounting a small file system needs root");
  }
  const fs::path path = disk / "a";
  write_file_atomic("test", path, "former");
  const std::string large(256 << 10, 'x');
  const std::string error =
      error_text<DeviceError>([&] { write_file_atomic("test", path, large); });
  const std::string kept = text_of(path);
  const size_t files = files_in(disk);
  umount(disk.c_str());
  CHECK_THAT(error, Contains("[test] writing '" + path.string() + "' failed: No space left") &&
                        Contains("the former file, if any, is unchanged"));
  CHECK(kept == "former");
  CHECK(files == 1);
}

TEST_CASE("two writers of one file do not mix") {
  TemporaryFolder folder;
  AtomicFile file("test", folder / "a");
  CHECK_THAT(
      error_text<UserError>([&] { AtomicFile("test", folder / "a"); }),
      Contains("cannot write '" + (folder / "a").string() + "': another process is writing it"));
  file.write("one");
  file.commit();
  CHECK(text_of(folder / "a") == "one");
}

TEST_CASE("links are followed and the mode is kept") {
  TemporaryFolder folder;
  write_file_atomic("test", folder / "real", "former");
  fs::permissions(folder / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", folder / "link");
  write_file_atomic("test", folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(text_of(folder / "real") == "new");
  CHECK(fs::status(folder / "real").permissions() ==
        (fs::perms::owner_read | fs::perms::owner_write));
  fs::create_symlink("loop", folder / "loop");
  CHECK_THAT(error_text<UserError>([&] { write_file_atomic("test", folder / "loop", ""); }),
             Contains("too many symbolic links"));
}

TEST_CASE("what cannot be opened") {
  TemporaryFolder folder;
  const auto missing = folder / "none";
  CHECK(error_text<UserError>([&] { read_file("test", missing); }) ==
        "[test] cannot read '" + missing.string() + "': No such file or directory");
  CHECK_THAT(error_text<UserError>([&] { read_file("test", folder.path()); }),
             Contains("not a regular file"));
  CHECK_THAT(error_text<UserError>([&] { write_file_atomic("test", missing / "a", ""); }),
             Contains("cannot write '") && Contains("No such file or directory"));
  CHECK_THAT(error_text<UserError>([&] { write_file_atomic("test", folder.path(), ""); }),
             Contains("not a regular file"));
}

TEST_CASE("reading past the end") {
  TemporaryFolder folder;
  write_file_atomic("test", folder / "a", "0123456789");
  const InputFile file("test", folder / "a");
  std::byte bytes[8];
  file.read(2, bytes);
  CHECK(std::to_integer<char>(bytes[0]) == '2');
  CHECK_THAT(error_text<UserError>([&] { file.read(5, bytes); }),
             Contains("ends too early: 3 of 8 bytes are missing at byte 10"));
}
