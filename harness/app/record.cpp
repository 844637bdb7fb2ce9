// faultline record
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "drm_glue/gpus/gpu.h"
#include "drm_glue/record/machine.h"
#include "harness/agent/protocol.h"
#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/in_child.h"
#include "harness/version.h"

namespace faultline::app {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr const char* examples =
    "Examples:\n"
    "  faultline record gpu.trace                records 'faultline targets': what the GPUs here report\n"
    "  faultline record gpu.trace -- run -t amdgpu --iterations 1 fork.scn\n"
    "                                            records a run with its agents and the processes under test\n"
    "  faultline record --replay gpu.trace       runs the recorded command here, on a mock of that machine\n"
    "  faultline record --replay gpu.trace -- targets --json\n"
    "\n"
    "A trace is text: a JSON object on each line. It holds\n"
    "  - the words of the command, with paths as they were typed\n"
    "  - the kernel's release and version, and a few CONFIG_ options\n"
    "  - names and IDs of GPUs, their firmware, KFD's topology without the chips' unique_id, the mode and group of\n"
    "    each node, module parameters of amdgpu and nouveau\n"
    "  - each open and ioctl of /dev/dri/* and /dev/kfd: process, thread, program, time, arguments before and after\n"
    "    (with addresses), the memory that arguments of known requests point to, errors, and KFD's events\n"
    "It has no names of users or hosts, no environment and no other memory of processes. Lines are written as things\n"
    "happen, so if a process is killed or a request is never answered, the lines up to that point are there.\n"
    "Not recorded: mmap(), what CPU and GPU write to memory, what runs elsewhere (lab:, debian13:).\n"
    "\n"
    "A replay mocks the machine (umockdev) and answers each client as recorded, in order. It does not replay memory\n"
    "that the GPU wrote, nor events. So the outcomes of a replayed run mean nothing, but its requests do. If a client\n"
    "makes another request than recorded, the replay says where and how they differ, and answers EPROTO. That can\n"
    "also happen without a bug if threads share a client, or if a request depends on memory that the GPU wrote.\n"
    "Exit codes: the command's own. Replay: 1 if any request differed, 2 if the file is not a trace.";

struct Arguments {
  std::string trace;
  std::vector<std::string> words;
  bool replay = false;
};

BadInput bad(const std::string& what) { return BadInput("faultline: " + what + "\n"); }

std::string executable() { return fs::read_symlink("/proc/self/exe"); }

[[noreturn]] void become(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  throw std::system_error(errno, std::generic_category(), words[0]);
}

std::string line_of(const json& line) { return line.dump(-1, ' ', true, json::error_handler_t::replace) + "\n"; }

void append(const std::string& trace, const std::string& text) {
  const int fd = ::open(trace.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  const bool whole = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::close(fd);
  if (!whole) throw std::system_error(error, std::generic_category(), trace);
}

int record(const Arguments& arguments) {
  const std::string program = executable(), trace = fs::absolute(arguments.trace);
  std::string recorder = fs::path(program).parent_path() / "faultline-record.so";
  if (!fs::exists(recorder)) recorder = project_root() + "/build/faultline-record.so";
  if (::access(recorder.c_str(), R_OK) != 0) throw bad(recorder + ": " + std::strerror(errno));
  if (recorder.find_first_of(" :") != std::string::npos)
    throw bad(recorder + ": a path with a blank or a colon cannot be preloaded");
  const int fd = ::open(trace.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) throw bad(arguments.trace + ": " + std::strerror(errno));
  ::close(fd);

  json machine = {{"ev", "machine"}, {"trace", 1}, {"faultline", version}, {"command", arguments.words}};
  machine.update(record::describe_machine());
  append(trace, line_of(machine));
  const auto gpus = [] {
    const GpuList list = list_gpus();
    return line_of({{"ev", "gpus"}, {"gpus", gpus_json(list)}, {"why_none", list.why_none}});
  };
  const ChildAnswer told = in_child(gpus, std::chrono::seconds(30));
  append(trace,
         told.whole() ? told.text : line_of({{"ev", "gpus"}, {"gpus", nullptr}, {"why_none", "asking for them did not end"}}));

  const char* others = std::getenv("LD_PRELOAD");
  ::setenv("LD_PRELOAD", (recorder + (others && *others ? ":" + std::string(others) : "")).c_str(), 1);
  ::setenv("FAULTLINE_TRACE", trace.c_str(), 1);
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.words.begin(), arguments.words.end());
  become(words);
}

int replay(const Arguments& arguments) {
  const std::string script = project_root() + "/drm_glue/mocks/replay";
  if (::access(arguments.trace.c_str(), R_OK) != 0) throw bad(arguments.trace + ": " + std::strerror(errno));
  std::vector<std::string> words = {"/usr/bin/python3", script, arguments.trace, "--", executable()};
  words.insert(words.end(), arguments.words.begin(), arguments.words.end());
  become(words);
}

}  // namespace

void add_record(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("record", "Record a command's requests to GPUs, for a bug report, or replay them");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("TRACE", arguments->trace, "The trace file, which must not exist yet; with --replay, which must exist")
      ->required();
  command->add_option("WORDS", arguments->words, "After '--': a command of faultline with its arguments [targets]");
  command->add_flag("--replay", arguments->replay, "Run WORDS on a mock of the traced machine [the recorded command]");
  command->footer(examples);
  command->callback([arguments, &status] {
    if (!arguments->words.empty() && arguments->words[0] == "record") throw bad("record does not record itself");
    if (arguments->replay) status = replay(*arguments);
    if (arguments->words.empty()) arguments->words = {"targets"};
    status = record(*arguments);
  });
}

}  // namespace faultline::app
