// How the runner reads the end state of an iteration: it asks processes that are quiet.
#include "harness/executor/iteration.h"
#include "harness/executor/look.h"
#include "harness/executor/process_watch.h"

#include <algorithm>

namespace faultline {
namespace {

constexpr std::int64_t ms = 1'000'000;

}  // namespace

// Reads A, B, A. If A changed, the kernel moved the page in between and the comparison means nothing, so try again.
Sameness Iterations::compare(const Observe& observe) const {
  constexpr int attempts = 8;
  if (frames_ == nullptr || !alive(observe.process) || !alive(observe.process2)) return Sameness::unknown;
  const pid_t first = area_->processes[observe.process].pid.load();
  const pid_t second = area_->processes[observe.process2].pid.load();
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const auto a = frames_->frame(first, layout_.address_of(observe.cell));
    const auto b = frames_->frame(second, layout_.address_of(observe.cell2));
    const auto again = frames_->frame(first, layout_.address_of(observe.cell));
    if (!a || !b || !again) return Sameness::unknown;
    if (*a == *again) return *a == *b ? Sameness::same : Sameness::different;
  }
  return Sameness::unknown;
}

// Asks for locations and frames before values, because a load faults pages in. Nothing if a process died late of a kill by a
// thread that was itself killed before it could say that the kill had succeeded. Then everything must be read again.
std::optional<Iterations::End> Iterations::observe() {
  if (prototype_.unasked) return ask(Command::observe);
  if (const auto end = ask(Command::look); end != End::outcome) return end;
  for (std::size_t i = 0; i < program_.observes.size(); ++i) {
    const Observe& observe = program_.observes[i];
    identities_[i] = observe.kind == Observe::Kind::same ? compare(observe) : Sameness::unknown;
  }
  return ask(Command::observe);
}

// Has every process that has an observe to answer for the command answer it.
std::optional<Iterations::End> Iterations::ask(Command command) {
  std::vector<int> readers;
  for (const Observe& observe : program_.observes)
    if (answered_by(observe.kind) == command && alive(observe.process) &&
        std::ranges::find(readers, observe.process) == readers.end())
      readers.push_back(observe.process);
  if (!prototype_.unasked) area_->command.store(static_cast<std::uint32_t>(command));
  for (int process : readers) {
    if (!prototype_.unasked) area_->processes[process].command.bump();
    if (const auto end = wait_for_answer(process); end != End::outcome) return end;
  }
  return End::outcome;
}

std::optional<Iterations::End> Iterations::wait_for_answer(int process) {
  const ProcessRecord& record = area_->processes[process];
  constexpr std::int64_t look_for_death_ns = ms / 2;
  for (std::int64_t slept_ns = 0;;) {
    const std::uint32_t seen = area_->finished.get();
    if (record.answered.load(std::memory_order_acquire) == record.command.get()) return End::outcome;
    if (area_->bench_error.load() != 0) return End::error;
    if (const auto end = passed()) return end;
    const bool dead = slept_ns >= look_for_death_ns && is_dead(record.pid.load());
    if (dead && record.answered.load(std::memory_order_acquire) != record.command.get()) {
      note_deaths();
      if (!alive(process)) return std::nullopt;
      return ended(process);
    }
    const std::int64_t start = now_ns();
    if (area_->finished.spin([&] { return area_->finished.get() != seen; })) continue;
    area_->finished.sleep_while(seen, slept_ns == 0 ? look_for_death_ns : 20 * ms);
    slept_ns += now_ns() - start;
    breathe_();
  }
}

}  // namespace faultline
