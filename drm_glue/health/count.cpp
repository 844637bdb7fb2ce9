// driver-calls: counts how often kernel functions run while a command runs.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "drm_glue/health/driver_trace.h"

namespace faultline {
namespace {

constexpr const char* usage =
    R"(driver-calls: counts how often kernel functions run while a command runs, whoever calls them.

usage: driver-calls WORD... -- COMMAND [ARGUMENT...]

A WORD is the name of a function, or a driver (test_hmm, nouveau, amdgpu): then the functions are those that
`faultline run` counts for this driver. Needs root, and a kernel with CONFIG_KPROBE_EVENTS.

exit status: the command's; 2 bad usage; 3 nothing could be counted (the command has not run)
)";

constexpr int bad_usage = 2, nothing_counted = 3, cannot_execute = 127;

std::vector<DriverFunction> functions_named(const std::vector<std::string>& words) {
  std::vector<DriverFunction> functions;
  for (const std::string& word : words) {
    const auto own = functions_of(word);
    functions.insert(functions.end(), own.begin(), own.end());
    if (own.empty()) functions.push_back({{word}, "calls"});
  }
  return functions;
}

int run(char** command) {
  const pid_t child = fork();
  if (child == 0) {
    execvp(command[0], command);
    fprintf(stderr, "driver-calls: %s: %s\n", command[0], strerror(errno));
    _exit(cannot_execute);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main_with(std::vector<std::string> words, char** command) {
  DriverTrace trace;
  trace.begin(functions_named(words));
  if (const DriverCalls calls = trace.end(); !calls.why_none.empty()) {
    fprintf(stderr, "driver-calls: %s\n", calls.why_none.c_str());
    return nothing_counted;
  }
  const int status = run(command);
  const DriverCalls calls = trace.end();
  for (const auto& [name, what, count, missed] : calls.functions)
    printf("%s %llu %llu\n", name.c_str(), static_cast<unsigned long long>(count), static_cast<unsigned long long>(missed));
  for (const std::string& line : calls.not_counted) printf("not counted: %s\n", line.c_str());
  return status;
}

}  // namespace
}  // namespace faultline

int main(int count, char** words) {
  std::vector<std::string> wanted;
  int at = 1;
  for (; at < count && std::string_view(words[at]) != "--"; ++at) wanted.emplace_back(words[at]);
  if (wanted.empty() || wanted.front().starts_with("-") || at + 1 >= count) {
    const bool help = !wanted.empty() && wanted.front() == "--help";
    fputs(faultline::usage, help ? stdout : stderr);
    return help ? 0 : faultline::bad_usage;
  }
  return faultline::main_with(wanted, words + at + 1);
}
