#include "stress/storms/board.h"

#include <stdarg.h>
#include <stdio.h>

namespace faultline::storms {

void Board::say_wrong(const char* format, ...) {
  const int place = wrongs.fetch_add(1);
  if (place >= most_wrong) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(wrong[place].data(), wrong[place].size(), format, arguments);
  va_end(arguments);
  wrong_complete[place].store(true, std::memory_order_release);
}

void Board::take(StormNews& news) {
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (const std::uint64_t count = counts[i].exchange(0); count > 0) news.counts[count_names[i]] += count;
  for (std::size_t call = 0; call < durations.size(); ++call)
    for (int queue = 0; queue < queue_classes; ++queue) {
      Durations& noted = durations[call][static_cast<std::size_t>(queue)];
      if (noted == Durations{}) continue;
      news.rows.push_back({call_names[call], queue, noted});
      noted = {};
    }
  for (int i = 0; i < most_wrong; ++i)
    if (wrong_complete[i].exchange(false)) news.wrong.emplace_back(wrong[i].data());
  wrongs.store(0);
}

void Board::clear_for_next() {
  stop = park = ends = false;
  parked = ready = outstanding = 0;
  ending_ns = 0;
  ending_queue = 0;
  forks = 0;
  for (Progress& each : progress) each.tid = 0, each.steps = 0;
}

}  // namespace faultline::storms
