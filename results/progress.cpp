#include "results/progress.h"

#include <cmath>

#include <sys/ioctl.h>
#include <unistd.h>

#include "results/report.h"

namespace faultline {
namespace {

std::string time_left(double seconds) {
  const auto whole = static_cast<long>(std::ceil(seconds));
  if (whole < 120) return std::to_string(whole) + " s left";
  return std::to_string((whole + 59) / 60) + " min left";
}

}  // namespace

std::string progress_line(const RunProgress& progress, std::size_t width) {
  std::string text;
  if (progress.index > 0) {
    text = "[" + std::to_string(progress.index) + "/" + std::to_string(progress.count) + "] " + progress.scenario + " on " +
           progress.target;
    if (progress.done > 0 || progress.total > 0) text += " " + std::to_string(progress.done);
    if (progress.total > 0) text += "/" + std::to_string(progress.total);
    if (progress.rate >= 0.5) text += " " + std::to_string(std::llround(progress.rate)) + " it/s";
    if (progress.seconds_left) text += " " + time_left(*progress.seconds_left);
  }
  if (!progress.status.empty()) text += (text.empty() ? "" : ": ") + printable(progress.status);
  for (char& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  return text.size() <= width ? text : text.substr(0, width);
}

void ProgressBar::update(const RunProgress& progress) {
  using namespace std::chrono_literals;
  const auto now = std::chrono::steady_clock::now();
  // Without a terminal, a run that ends within seconds needs no progress lines.
  if (next_ == std::chrono::steady_clock::time_point{} && !terminal_) next_ = now + 5000ms;
  if (now < next_) return;
  next_ = now + (terminal_ ? std::chrono::milliseconds(100) : 5000ms);
  std::size_t width = 200;
  if (terminal_) {
    winsize size{};
    width = ::ioctl(::fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 10 ? size.ws_col - 1u : 79;
  }
  const std::string text = progress_line(progress, width);
  if (text == last_) return;
  last_ = text;
  if (terminal_) std::fprintf(out_, "\r\033[K%s", text.c_str());
  else std::fprintf(out_, "%s\n", text.c_str());
  std::fflush(out_);
  shown_ = terminal_;
}

void ProgressBar::clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", out_);
  std::fflush(out_);
  shown_ = false;
  last_.clear();
}

}  // namespace faultline
