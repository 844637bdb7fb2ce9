#include "harness/executor/executor.h"

#include <sched.h>

#include <algorithm>
#include <unordered_map>

#include "harness/executor/bandit.h"
#include "harness/executor/direct_file.h"
#include "harness/executor/driver_words.h"
#include "harness/executor/inquiry.h"
#include "harness/executor/iteration.h"

namespace faultline {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t batch_aim_ns = 250 * ms;       // the duration to aim at when the plan gives no batch size
constexpr std::int64_t batch_longest_ns = 1000 * ms;  // for any batch, so that the client sees progress

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

// The `delay`s of the scenario, which are added to the deadline.
int delays_ms(const Program& program) {
  std::int64_t us = 0;
  for (const Thread& thread : program.threads)
    for (const Statement& statement : thread.statements)
      if (const auto* delay = std::get_if<op::Delay>(&statement.operation)) us += delay->us;
  return static_cast<int>(us / 1000);
}

class Run {
 public:
  Run(const Program& program, Target& target, Frames* frames, const RunPlan& plan, RunListener& listener, Experience& learnt)
      : program_(program),
        plan_(plan),
        listener_(listener),
        cpus_(usable_cpus()),
        limits_{plan.set_up_ms, plan.deadline_ms + delays_ms(program)},
        here_{.cpus = static_cast<int>(cpus_.size()),
              .longest_offset_ns = pace_here().longest_offset_ns,
              .signals = target.takes_signals(),
              .pages = plan.pages},
        preferences_(learnt),
        iterations_(program, target, frames, cpus_, [this] { breathe(); }),
        inquiry_(
            program, target, iterations_, limits_, pace_here().plain_ns, [this] { breathe(); },
            [this] { tell_driver(Iterations::End::late, next_ - 1); }),
        reader_(program, iterations_.layout(), iterations_.area(), target.capabilities().sight) {}

  std::uint64_t all();

 private:
  enum class Next { go_on, end };
  Next one_batch(std::uint64_t size);
  Next failed(Iterations::End end, std::uint64_t iteration);
  void breathe();
  void tell_driver(Iterations::End end, std::uint64_t iteration);
  void count(Batch& batch, std::uint64_t iteration);
  Parameters draw(std::uint64_t rows);
  std::vector<Row> rows_of_turns(const Parameters& parameters, std::uint64_t index, std::uint64_t left) const;

  const Program& program_;
  const RunPlan& plan_;
  RunListener& listener_;
  const std::vector<int> cpus_;
  const Iterations::Limits limits_;
  Circumstances here_;
  Preferences preferences_;
  Iterations iterations_;
  Inquiry inquiry_;
  OutcomeReader reader_;
  std::unordered_map<std::string, std::size_t> seen_;  // from an outcome's key to its index in the batch's outcomes
  std::uint64_t next_ = 0;                             // the next iteration
  std::uint64_t batches_ = 0;
  std::uint64_t done_ = 0;
  int errors_in_a_row_ = 0;
  int hangs_in_a_row_ = 0;
  int crashes_in_a_row_ = 0;
  std::int64_t breathed_ns_ = now_ns();
  int driver_told_ = 0;
  std::string driver_last_;
};

// Parameters for a batch.
Parameters Run::draw(std::uint64_t rows) {
  here_.statements_ns = iterations_.usual_ns();
  return draw_parameters(program_, batch_seed(plan_.seed, batches_), static_cast<int>(std::min<std::uint64_t>(rows, most_rows)),
                         here_, preferences_);
}

// Those of the iterations from `index` on that need the runner only afterwards. As few as fit into a time that a stop may wait.
std::vector<Row> Run::rows_of_turns(const Parameters& parameters, std::uint64_t index, std::uint64_t left) const {
  constexpr std::int64_t longest_ns = 20 * ms;
  const std::int64_t fit = here_.iteration_ns > 0 ? std::max<std::int64_t>(longest_ns / here_.iteration_ns, 1) : 1;
  const std::uint64_t most = std::min({left, std::uint64_t{iterations_.most_turns()}, static_cast<std::uint64_t>(fit)});
  std::vector<Row> rows{row_of(parameters, index)};
  // A disturbed one makes its own deadline longer, and the runner tells the Disturber.
  while (rows.size() < most && rows.back().disturbances.empty()) {
    const Row next = row_of(parameters, index + rows.size());
    if (!next.disturbances.empty()) break;
    rows.push_back(next);
  }
  return rows;
}

void Run::count(Batch& batch, std::uint64_t iteration) {
  std::string key = reader_.key(iterations_.identities());
  if (!plan_.parameters) preferences_.learn(iteration - batch.first, key);
  const auto [found, fresh] = seen_.try_emplace(std::move(key), batch.outcomes.size());
  if (fresh) batch.outcomes.push_back({reader_.texts(iterations_.identities()), 0, iteration});
  ++batch.outcomes[found->second].count;
  ++batch.count;
}

// Tells the listener, which waits for the next batch, that the run is alive.
void Run::breathe() {
  constexpr std::int64_t often_ns = 2000 * ms;
  if (now_ns() - breathed_ns_ < often_ns) return;
  breathed_ns_ = now_ns();
  listener_.alive();
}

// Passes on a driver's message, but only a few in a run: if a driver fails in every iteration, later messages add little.
void Run::tell_driver(Iterations::End end, std::uint64_t iteration) {
  constexpr int often_enough = 3;
  const Area& area = iterations_.area();
  std::optional<std::string> words = words_of(area.driver_failed);
  if (!words && end == Iterations::End::late) words = words_of(area.driver_waits);
  if (!words || *words == driver_last_ || driver_told_++ >= often_enough) return;
  driver_last_ = *words;
  listener_.driver(iteration, *words);
}

Run::Next Run::failed(Iterations::End end, std::uint64_t iteration) {
  constexpr int most_errors_in_a_row = 5;
  constexpr int most_crashes_in_a_row = 3;
  if (end == Iterations::End::crash) {
    Crash crash = iterations_.crash();
    crash.iteration = iteration;
    listener_.crash(crash);
  } else {
    listener_.error("iteration " + std::to_string(iteration) + ": " + iterations_.error());
  }
  std::string why;
  if (inquiry_.clear(why) != Inquiry::Cleared::yes) {
    listener_.error(why);
    return Next::end;
  }
  // If the driver crashes every time, the next crash tells nothing new.
  if (end == Iterations::End::crash) return ++crashes_in_a_row_ < most_crashes_in_a_row ? Next::go_on : Next::end;
  // If the bench fails in every iteration, it will fail in the next million too.
  return ++errors_in_a_row_ < most_errors_in_a_row ? Next::go_on : Next::end;
}

Run::Next Run::one_batch(std::uint64_t size) {
  constexpr int most_hangs_in_a_row = 2;
  Batch batch;
  batch.first = next_;
  batch.parameters = plan_.parameters ? *plan_.parameters : draw(size);
  ++batches_;
  seen_.clear();
  iterations_.place(batch.parameters.cpus);
  Next next = Next::go_on;
  const std::int64_t start = now_ns();
  for (std::uint64_t i = 0; i < size && next == Next::go_on; ++i) {
    const std::vector<Row> rows = rows_of_turns(batch.parameters, i, size - i);
    Iterations::End end = iterations_.run(rows, limits_);
    for (std::uint32_t turn = 0; turn < iterations_.turns_kept(); ++turn, ++i) {
      reader_.read(turn);
      count(batch, next_++);
      errors_in_a_row_ = crashes_in_a_row_ = hangs_in_a_row_ = 0;
    }
    reader_.read({});
    const std::uint64_t iteration = next_++;
    const Row row = row_of(batch.parameters, i);
    if (end == Iterations::End::late || end == Iterations::End::unprepared) {
      const Inquiry::Found found = inquiry_.look_into(end, iteration, row);
      if (found.hang) listener_.hang(*found.hang);
      // Each inquiry takes long. If the iteration hangs again and again, or the machine stays too slow, the next inquiry will
      // tell nothing new.
      if (found.over || (found.hang && ++hangs_in_a_row_ == most_hangs_in_a_row)) next = Next::end;
      if (!found.end) break;  // ends the batch, so that the outcomes so far are reported first
      end = *found.end;
    } else {
      hangs_in_a_row_ = 0;
    }
    tell_driver(end, iteration);
    if (end == Iterations::End::error || end == Iterations::End::crash) {
      next = failed(end, iteration);
      break;
    }
    errors_in_a_row_ = crashes_in_a_row_ = 0;
    count(batch, iteration);
    if (const auto hang = inquiry_.finish(iteration)) {
      listener_.hang(*hang);
      next = Next::end;
    }
    if (now_ns() - start > batch_longest_ns || listener_.stop_requested()) break;
  }
  batch.times = iterations_.take_times();
  batch.ns = static_cast<std::uint64_t>(now_ns() - start);
  done_ += batch.count;
  if (batch.count > 0) here_.iteration_ns = static_cast<std::int64_t>(batch.ns / batch.count);
  if (batch.count > 0) listener_.batch(batch);
  return next;
}

std::uint64_t Run::all() {
  constexpr std::uint64_t first_batch = 20;
  constexpr std::uint64_t largest_batch = 100'000;
  std::uint64_t size = plan_.batch > 0 ? plan_.batch : first_batch;
  // One iteration at least: the time of a short slice may end while its first one is set up.
  while (next_ < plan_.iterations && (next_ == 0 || !listener_.stop_requested())) {
    const std::int64_t start = now_ns();
    const std::uint64_t before = next_;
    if (one_batch(std::min(size, plan_.iterations - next_)) == Next::end) break;
    if (plan_.batch > 0) continue;
    const auto each = std::max<std::int64_t>((now_ns() - start) / static_cast<std::int64_t>(next_ - before), 1);
    size = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(batch_aim_ns / each), 1, std::min(size * 8, largest_batch));
  }
  return done_;
}

}  // namespace

std::uint64_t execute(const Program& program, Target& target, Frames* frames, const RunPlan& plan, RunListener& listener,
                      Experience* learnt) {
  const int cpus = static_cast<int>(usable_cpus().size());
  std::string refusal = cannot_run(program, capabilities_here(target));
  if (refusal.empty() && plan.parameters) refusal = misfit(*plan.parameters, program, cpus);
  if (refusal.empty() && plan.parameters && has_signals(*plan.parameters) && !target.takes_signals())
    refusal = "parameters: signals, which end requests to the driver of " + target.name();
  if (!refusal.empty()) {
    listener.error(refusal);
    return 0;
  }
  Experience of_this_run{};
  return Run(program, target, frames, plan, listener, learnt ? *learnt : of_this_run).all();
}

}  // namespace faultline
