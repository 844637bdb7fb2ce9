// direct-io: what a kernel shows of pages that an O_DIRECT transfer is on its way to. See direct_io.md.
#include <fcntl.h>
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <sstream>

#include "stress/direct_io/door.h"
#include "stress/direct_io/experiment.h"

namespace faultline::direct_io {

File::File(const std::string& path, int flags) : fd_(must(::open(path.c_str(), flags | O_CLOEXEC, 0600), "open " + path)) {}
File::~File() { ::close(fd_); }

std::string source_path(const Bench& bench) { return bench.slow_folder + "/source"; }

namespace {

constexpr const char* usage =
    R"(direct-io: experiments with pages that an O_DIRECT transfer is on its way to, on this very kernel.

usage: direct-io IMAGE [TIMES]

IMAGE is an empty ext4 file system, put onto /dev/ram0 (behind dm-delay) and /dev/ram1: for the virtual lab
only (run.py beside it starts it there). Each experiment is done TIMES times (default 3).
Exit code: 0 every answer is one that a healthy kernel gives, 1 one is not, 2 bad usage, 4 it failed.
)";

void write_source(const Bench& bench) {
  const File file(source_path(bench), O_RDWR | O_CREAT | O_DIRECT);
  alignas(page_bytes) char contents[page_bytes];
  fill(contents, Value::file, Value::file);
  must(::pwrite(file, contents, sizeof contents, 0), "write the source");
  must(::fsync(file), "fsync the source");
}

// Lines that the kernel has logged since the last call.
class KernelLog {
 public:
  KernelLog() : file_("/dev/kmsg", O_RDONLY | O_NONBLOCK) { must(::lseek(file_, 0, SEEK_END), "/dev/kmsg"); }

  // Those that tell of something wrong.
  std::vector<std::string> complaints() {
    std::vector<std::string> lines;
    char record[1024];
    for (ssize_t got; (got = ::read(file_, record, sizeof record)) > 0;) {
      const std::string text(record, static_cast<std::size_t>(got));
      const std::size_t from = text.find(';') + 1;
      const std::string line = text.substr(from, text.find('\n') - from);
      for (const char* word : {"WARNING", "BUG", "EXT4-fs warning", "EXT4-fs error", "does not have buffers", "possible"})
        if (line.find(word) != std::string::npos) {
          lines.push_back(line);
          break;
        }
    }
    return lines;
  }

 private:
  const File file_;
};

// One that did all it had to do while the transfer was in flight; slower transfers, where it takes that.
std::string answer(const Experiment& experiment, Bench& bench) {
  constexpr milliseconds first(60), last(5000);
  for (milliseconds delay = first; delay < last; delay *= 3) {
    bench.slow.delay(milliseconds(0));
    write_source(bench);
    bench.slow.delay(delay);
    if (const auto text = experiment.run(bench)) return *text;
  }
  return "nothing: the machine is too slow";
}

class Report {
 public:
  Report() { must(::uname(&kernel_), "uname"); }

  void print(const Experiment& e, const std::map<std::string, int>& answers, const std::vector<std::string>& log) {
    for (const auto& [text, times] : answers) {
      if (e.with_references != e.with_pins && kind_.empty())
        kind_ = text == e.with_references ? "references" : text == e.with_pins ? "pins" : "";
      const bool good = text == (kind_ == "pins" ? e.with_pins : e.with_references);
      forbidden_ |= !good;
      std::printf("%s (%s) %s, Linux %s, %d times: %s\n", e.name, e.claim, good ? "agree" : "forbidden", kernel_.release,
                  times, text.c_str());
    }
    std::printf("    %s\n", e.says);
    for (const std::string& line : log) std::printf("    log: %s\n", line.c_str());
    std::fflush(stdout);
  }

  int finish() const {
    std::printf("O_DIRECT takes %s here; %s\n", kind_.c_str(), forbidden_ ? "something is forbidden" : "all agree");
    return forbidden_;
  }

 private:
  utsname kernel_;
  std::string kind_;  // what this kernel's O_DIRECT takes, by its first answer that tells
  bool forbidden_ = false;
};

void print_waits(const Bench& bench) {
  for (const Wait& wait : waits(bench)) {
    std::ostringstream took;
    took.precision(0);
    took << std::fixed;
    for (std::size_t i = 0; i < wait.took_ms.size(); ++i)
      took << (i ? ", " : "") << wait.took_ms[i] << " (" << wait.delays[i].count() << ")";
    std::printf("wait %s | %s | %s | %s | %s\n", wait.what, wait.memory,
                wait.ended_in_flight ? "no" : wait.took_ms.empty() ? "not asked" : "until it has ended", took.str().c_str(),
                wait.remark.c_str());
    std::fflush(stdout);
  }
}

int run(const std::string& image, int times) {
  mount_image(image, "/dev/ram1", "/fast");
  SlowDevice slow("/dev/ram0");
  mount_image(image, "/dev/dm-0", "/slow");
  Bench bench{slow, "/slow", "/fast", "/dev/ram1"};
  KernelLog log;
  Report report;
  for (const auto& experiments : {fork_experiments(), file_page_experiments()})
    for (const Experiment& experiment : experiments) {
      std::map<std::string, int> answers;
      for (int i = 0; i < times; ++i) ++answers[answer(experiment, bench)];
      report.print(experiment, answers, log.complaints());
    }
  print_waits(bench);
  return report.finish();
}

}  // namespace
}  // namespace faultline::direct_io

int main(int count, char** words) {
  const int times = count == 3 ? std::atoi(words[2]) : 3;
  if (count < 2 || count > 3 || times < 1) {
    std::fputs(faultline::direct_io::usage, stderr);
    return 2;
  }
  try {
    return faultline::direct_io::run(words[1], times);
  } catch (const std::exception& e) {
    std::printf("direct-io: %s\n", e.what());
    return 4;
  }
}
