// The agent runs scenarios on its machine, for a client at the other end of a byte stream. The protocol is in
// harness/agent/protocol.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/agent/protocol.h"
#include "harness/agent/runner.h"
#include "harness/agent/watch.h"
#include "harness/executor/bandit.h"
#include "harness/shared.h"

namespace faultline::agent {

// Runs a storm (storm.h) in a runner. The agent itself knows none; the agent program gives it (harness/app/agent.cpp).
using Storms = std::function<std::uint64_t(const StormRequest& request, Target& target, Outlet& outlet)>;

// Serves one client until its stream ends. Not thread-safe; owns neither descriptor.
class Agent {
 public:
  // `allow_crash`: obey a request to panic the kernel. faultline.crash=1 on the kernel's command line does the same.
  Agent(int in, int out, bool allow_crash, std::vector<std::unique_ptr<Target>> targets, std::unique_ptr<Watch> watch,
        Storms storms = {});
  int serve();  // the exit status

 private:
  void obey(const std::string& line);
  void obey(const HelloRequest&);
  void obey(const RunRequest& request);
  void obey(const StormRequest& request);
  void obey(const StopRequest&);
  void obey(const GpusRequest&) { send(GpusEvent{watch_->gpus()}); }
  void obey(const QuitRequest&) { open_ = false; }
  void obey(const CrashRequest&);
  // The target of a request, if it can run now. Otherwise it has answered, and gives null.
  Target* chosen(std::uint64_t request, const std::string& target);
  void refuse(std::uint64_t request, const std::string& why);
  void report_health();
  void finish_run();
  void forward_events();
  void send(const Event& event) { send_line(to_line(event)); }
  void send_line(const std::string& line);
  std::uint64_t id() const { return runner_ ? runner_->id() : 0; }

  const int in_;
  const int out_;
  const bool allow_crash_;
  const bool lab_;  // this machine is the virtual lab: ci/lab boots with the word
  std::vector<std::unique_ptr<Target>> targets_;
  std::map<const Target*, Shared<Experience>> learnt_;
  std::unique_ptr<Watch> watch_;
  Storms storms_;
  std::unique_ptr<Runner> runner_;
  LineReader requests_;
  bool open_ = true;
};

}  // namespace faultline::agent
