// faultline-agent: the command line of the agent (server.h).
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string>

#include "harness/agent/protocol.h"
#include "harness/agent/server.h"
#include "harness/app/agent_targets.h"
#include "harness/app/agent_watch.h"
#include "harness/version.h"
#include "stress/storms/storm.h"

namespace {

constexpr const char* usage =
    R"(faultline-agent: runs scenarios on this machine for a faultline client.

usage: faultline-agent --stdio [--allow-crash]

A person does not start it: `faultline run` does, here, in the virtual lab, or over ssh. It reads requests
from stdin and writes events to stdout, one JSON object a line, until stdin ends. To talk to it by hand:

  echo '{"op":"hello"}' | faultline-agent --stdio      what this machine is, and which targets work on it
  echo '{"op":"gpus"}' | faultline-agent --stdio       which GPUs it has

options:
  --stdio         speak the protocol on stdin and stdout
  --allow-crash   obey {"op":"crash"}, which panics the kernel (as the word faultline.crash=1 on the
                  kernel's command line does): for tests of the virtual lab
  --version       print the version
  --help          print this
)";

using namespace faultline::agent;

// Makes events of what a storm tells.
class StormEvents : public faultline::storms::Listener {
 public:
  StormEvents(std::uint64_t id, Outlet& outlet) : id_(id), outlet_(outlet) {}

  void news(const faultline::StormNews& news) override { outlet_.send(StormEvent{id_, news}); }
  void hang(const faultline::Hang& hang) override { outlet_.send(HangEvent{id_, hang}); }
  void error(const std::string& message) override { outlet_.send(ErrorEvent{id_, message}); }
  void alive() override { outlet_.send(AliveEvent{id_}); }
  bool stop_requested() override { return outlet_.stop_requested(); }

 private:
  const std::uint64_t id_;
  Outlet& outlet_;
};

std::uint64_t storm(const StormRequest& request, faultline::Target& target, Outlet& outlet) {
  StormEvents events(request.id, outlet);
  return faultline::storms::run_storm(request.plan, target, events);
}

}  // namespace

int main(int count, char** words) {
  bool stdio = false;
  bool allow_crash = false;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--stdio") stdio = true;
    else if (word == "--allow-crash") allow_crash = true;
    else if (word == "--help" || word == "-h") return fputs(usage, stdout) < 0;
    else if (word == "--version") return printf("faultline-agent %s\n", faultline::version) < 0;
    else {
      fprintf(stderr, "faultline-agent: unknown option '%s'; --help lists them\n", word.c_str());
      return 2;
    }
  }
  if (!stdio) {
    fputs(usage, stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // Send the output of drivers to stderr, so that it does not reach the client.
  const int out = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  return Agent(STDIN_FILENO, out, allow_crash, targets_here(), watch_here(), storm).serve();
}
