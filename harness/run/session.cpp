#include "harness/run/session.h"

#include <algorithm>
#include <system_error>

namespace faultline {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds tick{100};
constexpr milliseconds stop_grace{10'000};
constexpr std::size_t most_told = 4 << 20;
constexpr int agents_own_deadline_ms = 20'000;  // the longest deadline that the agent chooses by itself

struct IdOf {
  std::uint64_t operator()(const agent::HelloEvent&) const { return 0; }
  std::uint64_t operator()(const agent::GpusEvent&) const { return 0; }
  std::uint64_t operator()(const auto& event) const { return event.id; }
};

// What an agent may tell any number of times in a slice, beside the outcomes.
bool is_remark(const agent::Event& event) {
  return std::holds_alternative<agent::HealthEvent>(event) || std::holds_alternative<agent::DriverEvent>(event) ||
         std::holds_alternative<agent::ErrorEvent>(event) || std::holds_alternative<agent::CrashEvent>(event) ||
         std::holds_alternative<agent::CallsEvent>(event);
}

std::string shortened(const std::string& line) { return line.size() <= 160 ? line : line.substr(0, 160) + "..."; }

std::string time_text(milliseconds time) {
  return time.count() % 1000 ? std::to_string(time.count()) + " ms" : std::to_string(time.count() / 1000) + " s";
}

// How a machine ended, for a person.
std::string death(Machine& machine) {
  const std::string how = machine.ending();
  return how.empty() ? "its stream ended" : "its process ended: " + how;
}

}  // namespace

bool names_target(const std::string& word, const std::string& target) {
  if (!target.starts_with(word)) return false;
  return target.size() == word.size() || target[word.size()] == ':' || target[word.size()] == '/';
}

const agent::TargetInfo* find_target(const agent::HelloEvent& hello, const std::string& name) {
  const agent::TargetInfo *first = nullptr, *none = nullptr;
  for (const agent::TargetInfo& target : hello.targets) {
    if (target.name == name) return &target;
    if (names_target(name, target.name) && (!first || (target.available && !first->available))) first = &target;
    if (!target.available && names_target(target.name, name)) none = &target;
  }
  return first ? first : none;
}

namespace {

// Throws StartFailure if there is no command to start.
Machine::Spec checked(const Machine::Spec& spec) {
  if (spec.command.empty()) throw StartFailure("no command to start the machine " + spec.name, {});
  return spec;
}

}  // namespace

Session::Session(const Machine::Spec& spec, const Patience& patience, const StopAsked& stop,
                 const std::function<void(const std::string&)>& status) try
    : machine_(checked(spec)), hello_(wait_for_hello(patience, stop, status)), patience_(patience) {
} catch (const std::system_error& error) {
  throw StartFailure(error.what(), {});
}

Session::~Session() {
  if (usable_) machine_.send(agent::to_line(agent::QuitRequest{}));
  else machine_.kill();
}

agent::HelloEvent Session::wait_for_hello(const Patience& patience, const StopAsked& stop,
                                          const std::function<void(const std::string&)>& status) {
  const auto failure = [&](const std::string& message) {
    std::vector<std::string> words = last_lines(machine_.console(), 0, 40);
    if (machine_.errors() != machine_.console()) {
      const std::vector<std::string> more = last_lines(machine_.errors(), 0, 20);
      words.insert(words.end(), more.begin(), more.end());
    }
    machine_.kill();
    return StartFailure(message, std::move(words));
  };
  machine_.send(agent::to_line(agent::HelloRequest{}));
  auto alive = steady_clock::now();
  std::string last_status;
  std::uint64_t console = 0;
  while (true) {
    const Machine::Received received = machine_.receive(tick);
    if (stop && stop() != Stop::none) throw failure("interrupted");
    if (received.kind == Machine::Received::Kind::gone) throw failure(death(machine_));
    if (received.kind == Machine::Received::Kind::line) {
      alive = steady_clock::now();
      try {
        const agent::Event event = agent::parse_event(received.line);
        if (const auto* hello = std::get_if<agent::HelloEvent>(&event)) return *hello;
      } catch (const agent::ProtocolError& error) {
        throw failure("it does not speak the agent's protocol (" + std::string(error.what()) + "): " + shortened(received.line));
      }
      continue;
    }
    const std::vector<std::string> said = last_lines(machine_.errors(), 0, 1);
    const std::uint64_t size = machine_.console_size();
    if ((!said.empty() && said.back() != last_status) || size != console) alive = steady_clock::now();
    if (!said.empty() && said.back() != last_status) {
      last_status = said.back();
      if (status) status(last_status);
    }
    console = size;
    if (steady_clock::now() - alive > patience.start)
      throw failure("it did not say hello, and nothing else for " + std::to_string(patience.start.count()) + " s");
  }
}

GpuList Session::gpus(const StopAsked& stop) {
  constexpr std::chrono::seconds patience{60};  // enough: a driver that hangs delays the agent by 10 s
  const auto nothing = [&](const std::string& why) {
    usable_ = false;
    return GpuList{{}, "its GPUs are not known: " + why};
  };
  if (!machine_.send(agent::to_line(agent::GpusRequest{}))) return nothing(death(machine_));
  for (const auto start = steady_clock::now(); steady_clock::now() - start < patience;) {
    if (stop && stop() != Stop::none) return nothing("interrupted");
    const Machine::Received received = machine_.receive(tick);
    if (received.kind == Machine::Received::Kind::gone) return nothing(death(machine_));
    if (received.kind == Machine::Received::Kind::nothing) continue;
    try {
      const agent::Event event = agent::parse_event(received.line);
      if (const auto* told = std::get_if<agent::GpusEvent>(&event)) return told->list;
      // An older agent does not know the request.
      if (const auto* error = std::get_if<agent::ErrorEvent>(&event)) return {{}, "its GPUs are not known: " + error->message};
    } catch (const agent::ProtocolError& error) {
      return nothing(std::string(error.what()) + ": " + shortened(received.line));
    }
  }
  return nothing("it said nothing for " + std::to_string(patience.count()) + " s");
}

Session::Ended Session::finish(Ended::Kind kind, const std::string& message) {
  using Kind = Ended::Kind;
  if (kind != Kind::done && kind != Kind::skipped) usable_ = false;
  return {kind, message};
}

Session::Ended Session::run(const Slice& slice, const Handlers& handlers, const StopAsked& stop) {
  using Kind = Ended::Kind;
  if (!machine_.send(agent::to_line(agent::RunRequest{++id_, slice.target, slice.text, slice.file, slice.plan})))
    return finish(Kind::gone, death(machine_));

  const milliseconds deadline(slice.plan.deadline_ms > 0 ? slice.plan.deadline_ms : agents_own_deadline_ms);
  const milliseconds silence = 4 * deadline + patience_.grace;
  auto alive = steady_clock::now();
  std::optional<steady_clock::time_point> stopped;
  bool crash = slice.crash;
  std::uint64_t iterations = 0;
  std::size_t told = 0;  // bytes of events other than batches
  while (true) {
    const auto now = steady_clock::now();
    const Stop wanted = stop ? stop() : Stop::none;
    if (wanted == Stop::now) return finish(Kind::interrupted, "interrupted");
    if (!stopped && (wanted == Stop::soon || (slice.until && now >= *slice.until))) {
      stopped = now;
      if (!machine_.send(agent::to_line(agent::StopRequest{}))) return finish(Kind::gone, death(machine_));
    }
    if (stopped && wanted == Stop::soon && now - *stopped > stop_grace)
      return finish(Kind::interrupted, "the agent did not stop when it was asked to");
    if (now - alive > silence) return finish(Kind::silent, "it said nothing for " + time_text(silence));
    if (handlers.tick) handlers.tick();

    milliseconds wait = tick;
    if (!stopped && slice.until)
      wait = std::clamp(std::chrono::ceil<milliseconds>(*slice.until - steady_clock::now()), milliseconds(0), tick);
    const Machine::Received received = machine_.receive(wait);
    if (received.kind == Machine::Received::Kind::nothing) continue;
    if (received.kind == Machine::Received::Kind::gone) return finish(Kind::gone, death(machine_));
    agent::Event event;
    try {
      event = agent::parse_event(received.line);
    } catch (const agent::ProtocolError& error) {
      return finish(Kind::garbage, std::string(error.what()) + ": " + shortened(received.line));
    }
    // Only what is about this slice is a sign of life of it.
    if (std::visit(IdOf{}, event) == id_) alive = steady_clock::now();
    if (const auto* batch = std::get_if<agent::BatchEvent>(&event); batch && batch->id == id_) {
      iterations += batch->batch.count;
      if (iterations > slice.plan.iterations)
        return finish(Kind::garbage,
                      "it ran " + std::to_string(iterations) + " iterations of " + std::to_string(slice.plan.iterations));
    } else if (is_remark(event)) {
      // A kernel that warns in every iteration says nothing new, and would fill the disk.
      const bool full = told > most_told;
      told += received.line.size();
      if (full) continue;
      if (told > most_told && handlers.error)
        handlers.error("the agent told more than 4 MiB beside its outcomes; the rest is not kept");
    }
    if (std::optional<Ended> ended = take(event, received.line, handlers)) return *ended;
    if (crash && std::holds_alternative<agent::BatchEvent>(event)) {
      crash = false;
      machine_.send(agent::to_line(agent::CrashRequest{}));
    }
  }
}

// Passes an event to its handler. Gives the end of the slice if the event ends it.
std::optional<Session::Ended> Session::take(const agent::Event& event, const std::string& line, const Handlers& handlers) {
  using Kind = Ended::Kind;
  const std::uint64_t id = std::visit(IdOf{}, event);
  const bool health = std::holds_alternative<agent::HealthEvent>(event);
  if (std::holds_alternative<agent::HelloEvent>(event)) return std::nullopt;
  if (id != id_ && !health) return std::nullopt;  // late events of an earlier slice
  if (std::holds_alternative<agent::AliveEvent>(event)) return std::nullopt;
  if (handlers.raw) handlers.raw(line);
  if (const auto* batch = std::get_if<agent::BatchEvent>(&event)) {
    if (handlers.batch) handlers.batch(batch->batch);
  } else if (const auto* found = std::get_if<agent::HealthEvent>(&event)) {
    if (handlers.health) handlers.health(found->lines);
  } else if (const auto* hang = std::get_if<agent::HangEvent>(&event)) {
    if (handlers.hang) handlers.hang(hang->hang);
    if (hang->hang.stuck) return finish(Kind::stuck, "iteration " + std::to_string(hang->hang.iteration) + " is stuck");
  } else if (const auto* crash = std::get_if<agent::CrashEvent>(&event)) {
    if (handlers.crash) handlers.crash(crash->crash);
  } else if (const auto* error = std::get_if<agent::ErrorEvent>(&event)) {
    if (handlers.error) handlers.error(error->message);
  } else if (const auto* driver = std::get_if<agent::DriverEvent>(&event)) {
    if (handlers.driver) handlers.driver(driver->iteration, driver->words);
  } else if (const auto* calls = std::get_if<agent::CallsEvent>(&event)) {
    if (handlers.calls) handlers.calls(calls->calls);
  } else if (const auto* skipped = std::get_if<agent::SkippedEvent>(&event)) {
    return finish(Kind::skipped, skipped->why);
  } else if (std::holds_alternative<agent::DoneEvent>(event)) {
    return finish(Kind::done, "");
  }
  return std::nullopt;
}

}  // namespace faultline
