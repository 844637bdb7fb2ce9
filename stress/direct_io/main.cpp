// direct-io: experiments with pages of an O_DIRECT transfer in flight. See direct_io.md.
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>

#include <nlohmann/json.hpp>

#include "stress/direct_io/door.h"
#include "stress/direct_io/experiment.h"

namespace faultline::direct_io {

void Bench::prepare(milliseconds delay) const {
  slow.delay(milliseconds(0));
  {
    const File file(source(), O_RDWR | O_CREAT | O_DIRECT);
    alignas(page_bytes) char contents[page_bytes];
    fill(contents, Value::file, Value::file);
    must(::pwrite(file, contents, sizeof contents, 0), "write " + source());
    must(::fsync(file), "fsync " + source());
  }
  slow.delay(delay);
}

namespace {

constexpr const char* usage =
    R"(direct-io: experiments with pages of an O_DIRECT transfer in flight, on the running kernel.

usage: direct-io IMAGE TIMES   do each experiment TIMES times
       direct-io --list        list the experiments

For the virtual lab only, where run.py starts it. IMAGE is an empty ext4 file system; it is copied to /dev/ram0
(behind dm-delay) and to /dev/ram1. Prints JSON lines and does not judge them.
Exit code: 0 done, 2 bad usage, 4 it failed.
)";

// The kernel log from now on.
class KernelLog {
 public:
  KernelLog() : file_("/dev/kmsg", O_RDONLY | O_NONBLOCK) { must(::lseek(file_, 0, SEEK_END), "/dev/kmsg"); }

  // New lines that report something wrong.
  std::vector<std::string> complaints() {
    std::vector<std::string> lines;
    char record[1024];
    for (ssize_t got; (got = ::read(file_, record, sizeof record)) > 0;) {
      const std::string text(record, static_cast<std::size_t>(got));
      const std::size_t from = text.find(';') + 1;
      const std::string line = text.substr(from, text.find('\n') - from);
      for (const char* word : {"WARNING", "BUG", "EXT4-fs warning", "EXT4-fs error", "does not have buffers"})
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

// Repeats the experiment with longer delays until all its steps were done while the transfer was in flight: a slow
// machine needs slower transfers. Empty if no delay was long enough.
std::string answer(const Experiment& experiment, const Bench& bench) {
  constexpr milliseconds first(60), last(5000);
  for (milliseconds delay = first; delay < last; delay *= 3) {
    bench.prepare(delay);
    if (const auto text = experiment.run(bench)) return *text;
  }
  return "";
}

using nlohmann::json;

void print(const json& line) {
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

std::vector<Experiment> experiments() {
  std::vector<Experiment> all = fork_experiments();
  for (const Experiment& e : file_page_experiments()) all.push_back(e);
  return all;
}

json row(const Experiment& e) {
  return {{"experiment", e.name}, {"claim", e.claim},
          {"says", e.says},       {"references", e.with_references},
          {"pins", e.with_pins},  {"control_of", e.control_of ? e.control_of : ""}};
}

json row(const Wait& wait) {
  json times = json::array();
  for (const Wait::Time& t : wait.times)
    times.push_back({{"delay_ms", t.delay.count()}, {"took_ms", t.took_ms}, {"result", t.result}});
  return {{"wait", wait.what}, {"memory", wait.memory}, {"ended_in_flight", wait.ended_in_flight}, {"times", times}};
}

void run(const std::string& image, int times) {
  mount_image(image, "/dev/ram1", "/fast");
  SlowDevice slow("/dev/ram0");
  mount_image(image, "/dev/dm-0", "/slow");
  const Bench bench{slow, "/slow", "/fast", "/dev/ram1"};
  utsname kernel;
  must(::uname(&kernel), "uname");
  print({{"kernel", kernel.release}});
  KernelLog log;
  for (const Experiment& experiment : experiments()) {
    std::map<std::string, int> answers;
    for (int i = 0; i < times; ++i) ++answers[answer(experiment, bench)];
    json line = row(experiment);
    line["answers"] = answers;
    line["log"] = log.complaints();
    print(line);
  }
  for (const Wait& wait : waits(bench)) print(row(wait));
}

}  // namespace
}  // namespace faultline::direct_io

int main(int count, char** words) {
  using namespace faultline::direct_io;
  if (count == 2 && std::string(words[1]) == "--list") {
    for (const Experiment& experiment : experiments()) print(row(experiment));
    return 0;
  }
  const int times = count == 3 ? std::atoi(words[2]) : 0;
  if (times < 1) {
    std::fputs(usage, stderr);
    return 2;
  }
  try {
    run(words[1], times);
    return 0;
  } catch (const std::exception& e) {
    print({{"error", e.what()}});
    return 4;
  }
}
