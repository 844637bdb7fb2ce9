#include "harness/app/scratch_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace faultline::app {

ScratchFolder::ScratchFolder() : path_((std::filesystem::temp_directory_path() / "faultline-XXXXXX").string()) {
  const auto fail = [this](int error) { throw std::system_error(error, std::generic_category(), path_); };
  if (!::mkdtemp(path_.data())) fail(errno);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, ends[0], 0);
  for (const int output : {1, 2}) ::posix_spawn_file_actions_addopen(&files, output, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t own_session;  // it does not get a Ctrl-C that is meant for us
  ::posix_spawnattr_init(&own_session);
  ::posix_spawnattr_setflags(&own_session, POSIX_SPAWN_SETSID);
  char shell[] = "/bin/sh", option[] = "-c", script[] = "read -r _; rm -rf -- \"$0\"";
  char* const words[] = {shell, option, script, path_.data(), nullptr};
  const int error = ::posix_spawn(&sweeper_, shell, &files, &own_session, words, environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&own_session);
  ::close(ends[0]);
  pipe_ = ends[1];
  if (error != 0) {
    ::close(pipe_);
    ::rmdir(path_.c_str());
    fail(error);
  }
}

ScratchFolder::~ScratchFolder() {
  ::close(pipe_);
  while (::waitpid(sweeper_, nullptr, 0) < 0 && errno == EINTR) {}
}

}  // namespace faultline::app
