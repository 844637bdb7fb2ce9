// The protocol between an agent and its client: JSON, one message per line, over any byte stream.
//
// Client to agent ("op"):
//   {"op":"hello"}
//   {"op":"run","id":7,"target":"dmirror","text":"scenario ...","file":"a.scenario","seed":1,
//    "iterations":1000,"batch":0,"deadline_ms":5000,"parameters":{...}}
//       batch 0: as many iterations as take a fraction of a second. deadline_ms is for the statements of one iteration;
//       0: the agent chooses for its machine. With "parameters" (as a batch reported them) every batch uses these, and
//       none are drawn.
//   {"op":"storm","id":8,"target":"dmirror","kind":"fault","threads":256,"seed":1,"ms":10000,"deadline_ms":5000}
//       a storm (storm.h); deadline_ms as for a run.
//   {"op":"stop"}   ends the run in progress after its current iteration, or the storm after its round; "done" follows.
//   {"op":"gpus"}   asks for the GPUs of the machine.
//   {"op":"quit"}   ends the agent; so does the end of the stream.
//   {"op":"crash"}  panics the kernel; refused unless the agent was started with --allow-crash or the kernel command line
//                   has faultline.crash=1.
//
// Agent to client ("ev"):
//   {"ev":"hello","agent":"0.1.0","kernel":"6.12.95 #1 SMP ...","arch":"x86_64","cpus":2,"root":true,
//    "log":true,"log_why":"","files":"memory","targets":[{"name","available","why","crashed","about",
//    "capabilities":{"class":"recoverable","faults":true,...,"usm_host":{"access":false,...},"usm_shared":{...},"usm_device":{...}}}]}
//       class: "recoverable", "shares_cpu_tables", ...; the names of the other capabilities are in capabilities.h.
//   {"ev":"gpus","gpus":[...],"why_none":""}   the GPUs, as gpus_json() makes them (gpu.h)
//   {"ev":"batch","id":7,"first":0,"count":250,"parameters":{"seed":9,"cpus":[0,-1],"offsets":[[0,120]],
//    "disturbances":[[["stall",1,0,0,4800]]]},
//    "outcomes":[{"texts":["ok","1"],"count":249,"first":0}],"ns":101002003,
//    "times":{"commands":500,"disordered":0,"waited":{"longest_ns":900,"counts":[[31,499],[35,1]]},"ran":{...}}}
//       disturbances: for each row of offsets, lists of kind, whom, where, gap_ns, ns (disturbance.h); left out if nothing is
//       disturbed. texts: in the order of schema(program, capabilities.sight). first: the first iteration that showed the outcome.
//       Iterations without an outcome (hang, error) are in no batch. times: of device commands, by class (times.h); left
//       out if there are none.
//   {"ev":"health","id":7,"lines":[...]}   the kernel log or a GPU reported a problem; id 0: between runs
//   {"ev":"driver","id":7,"iteration":3,"words":"..."}   what the device's driver said when it failed or hung; without
//       "iteration": what the kernel driver logged about a refused access
//   {"ev":"calls","id":7,"functions":[{"name":"dmirror_fault","what":"device faults","calls":12,"missed":0}],
//    "not_counted":["nouveau_range_fault: ..."],"why_none":""}   how often functions of the device's driver ran; comes before
//       "done"; left out for drivers that the bench does not know
//   {"ev":"storm","id":8,"round":3,"idle":false,"rows":[{"call":"munmap","queue":5,"durations":{"longest_ns":900,
//    "counts":[[31,499],[35,1]]}}],"counts":{"device accesses":71234},"levels":{"memory KiB":9123},"wrong":[]}
//       what one round of a storm showed
//   {"ev":"hang","id":7,"iteration":31,"stuck":false,"slow":false,"once":false,"set_up":"","why":["..."],
//    "threads":[{"thread":"P.gpu","tid":91,"statement":"load a[0]#1","state":"D","wchan":"...","syscall":"...",
//    "stack":["..."],"process":"P","pid":90,"command":"faultline-agent","cpu_ms":12}]}
//       an iteration that did not end, with all tasks of its processes (thread: empty for a thread of the driver) and what
//       is known about it. stuck: something survives SIGKILL, so restart the machine. slow: no hang, because it made
//       progress or the machine was too slow for a verdict. once: it did not hang again when the iteration was repeated.
//       set_up: no hang, but the set-up took too long; what the processes were doing.
//   {"ev":"crash","id":7,"iteration":31,"what":"took SIGSEGV at address 0x8","in_call":true,
//    "places":[{"function":"clEnqueueSVMMemcpy","thread":"P.gpu","where":"at r0 (line 8)"}]}
//       the device's driver ended a process under test. in_call: the thread in `places` crashed; otherwise it was there
//       when something else crashed
//   {"ev":"alive","id":7}   several times a minute while an iteration takes long or is being investigated
//   {"ev":"error","id":7,"message":"..."}  the bench itself failed; the run goes on unless "done" follows
//   {"ev":"skipped","id":7,"why":"..."}    the target cannot run this; no "done" follows
//   {"ev":"done","id":7,"iterations":1000}
//
// Unknown keys are ignored, so that either side may be newer. A missing key, or one with a wrong type, is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "harness/driver_calls.h"
#include "harness/executor/executor.h"
#include "harness/gpu.h"
#include "harness/storm.h"
#include "harness/target.h"

namespace faultline::agent {

// clang-format off
struct HelloRequest { friend bool operator==(const HelloRequest&, const HelloRequest&) = default; };
struct RunRequest {
  std::uint64_t id = 0;
  std::string target;
  std::string text;  // of the scenario
  std::string file;  // its name in messages
  RunPlan plan;
  friend bool operator==(const RunRequest&, const RunRequest&) = default;
};
struct StormRequest {
  std::uint64_t id = 0;
  std::string target;
  StormPlan plan;
  friend bool operator==(const StormRequest&, const StormRequest&) = default;
};
struct StopRequest { friend bool operator==(const StopRequest&, const StopRequest&) = default; };
struct GpusRequest { friend bool operator==(const GpusRequest&, const GpusRequest&) = default; };
struct QuitRequest { friend bool operator==(const QuitRequest&, const QuitRequest&) = default; };
struct CrashRequest { friend bool operator==(const CrashRequest&, const CrashRequest&) = default; };
using Request = std::variant<HelloRequest, RunRequest, StormRequest, StopRequest, GpusRequest, QuitRequest, CrashRequest>;

struct TargetInfo {
  std::string name;
  bool available = false;
  std::string why;  // when not available: why not, and what would help
  std::string about;  // the device and its driver, if the name does not tell
  Capabilities capabilities;
  bool crashed = false;  // not available because its driver crashed while listing its devices
  friend bool operator==(const TargetInfo&, const TargetInfo&) = default;
};

struct HelloEvent {
  std::string agent;
  std::string kernel;
  std::string arch;
  int cpus = 0;
  bool root = false;
  bool log = false;     // the kernel log is readable
  std::string log_why;  // when it is not
  std::vector<TargetInfo> targets;
  std::string files;  // where a scenario's files lie ("ext4 (/var/tmp)")
  friend bool operator==(const HelloEvent&, const HelloEvent&) = default;
};
struct GpusEvent { GpuList list; friend bool operator==(const GpusEvent&, const GpusEvent&) = default; };
struct BatchEvent { std::uint64_t id = 0; Batch batch; friend bool operator==(const BatchEvent&, const BatchEvent&) = default; };
struct StormEvent { std::uint64_t id = 0; StormNews news; friend bool operator==(const StormEvent&, const StormEvent&) = default; };
struct HealthEvent { std::uint64_t id = 0; std::vector<std::string> lines; friend bool operator==(const HealthEvent&, const HealthEvent&) = default; };
struct AliveEvent { std::uint64_t id = 0; friend bool operator==(const AliveEvent&, const AliveEvent&) = default; };
struct HangEvent { std::uint64_t id = 0; Hang hang; friend bool operator==(const HangEvent&, const HangEvent&) = default; };
struct CrashEvent { std::uint64_t id = 0; Crash crash; friend bool operator==(const CrashEvent&, const CrashEvent&) = default; };
struct ErrorEvent { std::uint64_t id = 0; std::string message; friend bool operator==(const ErrorEvent&, const ErrorEvent&) = default; };
struct DriverEvent { std::uint64_t id = 0; std::optional<std::uint64_t> iteration; std::string words; friend bool operator==(const DriverEvent&, const DriverEvent&) = default; };
struct CallsEvent { std::uint64_t id = 0; DriverCalls calls; friend bool operator==(const CallsEvent&, const CallsEvent&) = default; };
struct SkippedEvent { std::uint64_t id = 0; std::string why; friend bool operator==(const SkippedEvent&, const SkippedEvent&) = default; };
struct DoneEvent { std::uint64_t id = 0; std::uint64_t iterations = 0; friend bool operator==(const DoneEvent&, const DoneEvent&) = default; };
// clang-format on
using Event = std::variant<HelloEvent, GpusEvent, BatchEvent, StormEvent, HealthEvent, HangEvent, CrashEvent, AliveEvent,
                           DriverEvent, CallsEvent, ErrorEvent, SkippedEvent, DoneEvent>;

// The line is not a message; what() says which key is wrong.
struct ProtocolError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Lines without their newline.
std::string to_line(const Request& request);
std::string to_line(const Event& event);
Request parse_request(std::string_view line);
Event parse_event(std::string_view line);

// Cuts a byte stream into lines. Pass what you read to feed(), then call next() until it gives nothing.
class LineReader {
 public:
  void feed(std::string_view bytes) { buffer_ += bytes; }
  std::optional<std::string> next();
  std::size_t pending() const { return buffer_.size(); }

 private:
  std::string buffer_;
};

}  // namespace faultline::agent
