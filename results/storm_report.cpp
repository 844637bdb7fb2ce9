#include "results/storm_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "harness/run/known_findings.h"
#include "results/report.h"

namespace faultline {
namespace {

constexpr std::size_t most_told = 5;
constexpr int columns_per_decade = 5;
constexpr int decades = 8;  // from 1 us

std::uint64_t calls_in(const Durations& durations) {
  std::uint64_t all = 0;
  for (const std::uint32_t count : durations.counts) all += count;
  return all;
}

std::string block(const std::string& title, const std::vector<std::string>& lines, std::size_t most) {
  if (lines.empty()) return "";
  std::string text = title + "\n";
  for (std::size_t i = 0; i < std::min(most, lines.size()); ++i) text += "  | " + printable(lines[i]) + "\n";
  if (lines.size() > most) text += "  | and " + plural(lines.size() - most, "more line") + ", in the journal\n";
  return text;
}

std::string number_text(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::ptrdiff_t at = std::ssize(digits) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string levels_text(const StormTally& storm, const std::vector<storms::LevelVerdict>& leaks) {
  if (leaks.empty()) {
    const std::size_t needed = storms::warm_up_rounds / 2 + storms::least_rounds;
    return "Leaks: not judged, after " + plural(storm.works, "working round") + "; " + std::to_string(needed) + " are needed\n";
  }
  std::string text = padded("Level, in quiet moments", 26) + right("first", 10) + right("last", 10) + right("working", 10) +
                     right("idle", 8) + "   (median change of a round)\n";
  for (const storms::LevelVerdict& level : leaks) {
    text += padded("  " + level.level, 26) + right(std::to_string(level.first), 10) + right(std::to_string(level.last), 10) +
            right(std::to_string(level.worked), 10) + right(std::to_string(level.idled), 8);
    if (level.leaks) {
      char odds[80];
      std::snprintf(odds, sizeof odds, "   LEAKS: a trend of %.1f sigma, %.1f above idle rounds", level.trend, level.more);
      text += odds;
    }
    text += "\n";
  }
  return text;
}

std::string findings_text(const StormTally& storm) {
  std::string text;
  for (const KnownFinding& finding : known_findings())
    if (storm.known.contains(finding.name)) text += "No finding: " + known_finding_text(finding) + "\n";
  if (storm.wrongs > 0)
    text += block("Values that no healthy kernel shows: " + number_text(storm.wrongs), storm.wrong, most_told);
  text += block("Kernel log:", told_once(storm.health), 40);
  text += block("Hang:", storm.hang, 200);
  text += block("Undecided, a round did not end in time:", storm.slow, 10);
  if (!storm.lost.empty()) text += "Lost: " + printable(storm.lost) + "\n" + block("Last words:", storm.words, 40);
  if (!storm.error.empty()) text += "Error: " + printable(storm.error) + "\n";
  if (storm.first_finding_s) {
    char seconds[64];
    std::snprintf(seconds, sizeof seconds, "First finding after %.1f s\n", *storm.first_finding_s);
    text += seconds;
  }
  return text;
}

}  // namespace

void StormTally::add(const StormNews& news) {
  for (const StormRow& row : news.rows) calls[{row.call, row.queue}].add(row.durations);
  for (const auto& [name, count] : news.counts) counts[name] += count;
  StormNews levels;
  levels.round = news.round;
  levels.idle = news.idle;
  levels.levels = news.levels;
  rounds.push_back(std::move(levels));
  works += !news.idle;
  wrongs += news.wrong.size();
  for (const std::string& line : news.wrong)
    if (wrong.size() < most_told) wrong.push_back("round " + std::to_string(news.round) + ": " + line);
}

void StormTally::add(const Hang& told) {
  std::vector<std::string>& lines = told.slow ? slow : hang;
  if (lines.empty()) lines = hang_lines(told);
}

std::vector<std::string> hang_lines(const Hang& hang) {
  std::vector<std::string> lines = {"round " + std::to_string(hang.iteration)};
  lines.insert(lines.end(), hang.why.begin(), hang.why.end());
  std::map<std::vector<std::string>, std::vector<const ThreadPlace*>> places;
  for (const ThreadPlace& thread : hang.threads) {
    std::vector<std::string> place = {"state " + thread.state + (thread.wchan.empty() ? "" : ", in " + thread.wchan)};
    place.insert(place.end(), thread.stack.begin(), thread.stack.end());
    places[place].push_back(&thread);
  }
  for (const auto& [place, threads] : places) {
    const ThreadPlace& first = *threads.front();
    lines.push_back(plural(threads.size(), "thread") + " (tid " + std::to_string(first.tid) + " of process " +
                    std::to_string(first.pid) + (threads.size() > 1 ? ", ..." : "") + "): " + place.front());
    for (std::size_t i = 1; i < place.size(); ++i) lines.push_back("  " + place[i]);
  }
  return lines;
}

Verdict verdict_of(const StormTally& storm, const std::vector<storms::LevelVerdict>& leaks) {
  if (storm.wrongs > 0) return Verdict::forbidden;
  if (!storm.health.empty() || std::ranges::any_of(leaks, &storms::LevelVerdict::leaks)) return Verdict::health;
  if (!storm.hang.empty()) return Verdict::hang;
  if (!storm.lost.empty()) return Verdict::lost;
  if (!storm.error.empty()) return Verdict::error;
  if (!storm.skipped.empty()) return Verdict::skipped;
  return storm.works > 0 && storm.slow.empty() ? Verdict::agree : Verdict::inconclusive;
}

std::string queue_text(int queue) {
  if (queue < 2) return std::to_string(queue);
  const int first = 1 << (queue - 1);
  if (queue == storms::queue_classes - 1) return std::to_string(first) + "+";
  return std::to_string(first) + "-" + std::to_string(2 * first - 1);
}

std::string duration_text(std::uint64_t ns) {
  constexpr const char* units[] = {"ns", "us", "ms", "s"};
  double value = static_cast<double>(ns);
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(units); ++unit) value /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, value < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return text;
}

std::string strip_text(const Durations& durations) {
  constexpr std::string_view shades = ".:-=+*#%@";
  std::vector<std::uint64_t> columns(decades * columns_per_decade);
  for (int i = 0; i < Durations::classes; ++i) {
    if (durations.counts[static_cast<std::size_t>(i)] == 0) continue;
    const double decade = std::log10(std::max(1.0, static_cast<double>(Durations::end_of(i)) / 1000));
    const auto column = std::min(columns.size() - 1, static_cast<std::size_t>(decade * columns_per_decade));
    columns[column] += durations.counts[static_cast<std::size_t>(i)];
  }
  const std::uint64_t most = *std::ranges::max_element(columns);
  std::string text;
  for (const std::uint64_t count : columns) text += count == 0 ? ' ' : shades[(count * (shades.size() - 1) + most / 2) / most];
  return text;
}

std::string distributions_text(const StormTally& storm) {
  if (storm.calls.empty()) return "";
  std::string text = "Calls, by queue: how many device accesses were outstanding when they began\n";
  std::string last;
  for (const auto& [key, durations] : storm.calls) {
    const auto& [call, queue] = key;
    if (call != last)
      text += padded(call, 22) + right("queue", 9) + right("calls", 9) + right("p50", 9) + right("p90", 9) + right("p99", 9) +
              right("max", 9) + "  1us  10us 100us1ms  10ms 100ms1s   10s\n";
    last = call;
    text += right(queue_text(queue), 31) + right(number_text(calls_in(durations)), 9);
    for (const double part : {0.5, 0.9, 0.99}) text += right(duration_text(durations.quantile(part)), 9);
    std::string strip = strip_text(durations);
    strip.erase(strip.find_last_not_of(' ') + 1);
    text += right(duration_text(durations.longest_ns), 9) + "  " + strip + "\n";
  }
  return text;
}

std::string storm_text(const StormTally& storm, const std::vector<storms::LevelVerdict>& leaks) {
  const std::string kind(storm_word(storm.plan.kind));
  std::string text = "Storm " + kind + " on " + storm.target + "\n" + plural(storm.works, "round");
  for (const auto& [name, count] : storm.counts) text += ", " + number_text(count) + " " + name;
  text += "\n" + distributions_text(storm);
  if (storm.skipped.empty()) text += levels_text(storm, leaks);
  text += findings_text(storm);
  if (!storm.skipped.empty()) text += "Skipped: " + printable(storm.skipped) + "\n";
  char tail[160];
  std::snprintf(tail, sizeof tail, ", %.0f s, %d threads, seed %llu)\n", storm.seconds, storm.plan.threads,
                static_cast<unsigned long long>(storm.plan.seed));
  return text + "Verdict storm-" + kind + " " + verdict_text(verdict_of(storm, leaks)) + " (" + storm.target +
         (storm.kernel.empty() ? "" : ", Linux " + printable(kernel_release(storm.kernel))) + tail;
}

}  // namespace faultline
