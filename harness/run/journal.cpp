#include "harness/run/journal.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace faultline {
namespace {

// At most 1 MiB of it, which is longer than any record that begins a journal: a disk image may hold no newline.
std::string first_line(std::istream& file) {
  constexpr std::streamsize longest = 1 << 20;
  std::string line(longest, '\0');
  file.getline(line.data(), longest);
  line.resize(std::strlen(line.c_str()));
  return line;
}

}  // namespace

Journal::Journal(const std::string& path) : path_(path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) throw std::system_error(error, path);
  }
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), path);
  struct stat status {};
  if (::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) take_over(status.st_size == 0);
}

// Makes an existing file ready for this run, or throws.
void Journal::take_over(bool empty) {
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    refuse("another run is writing it; give each run a file of its own");
  if (empty) return;
  std::ifstream file(path_, std::ios::binary);
  const nlohmann::json record = nlohmann::json::parse(first_line(file), nullptr, false);
  if (!record.is_object() || !record.contains("ev"))
    refuse("it is there, and is no journal of a run (its first line is no record); give another name");
  file.clear();
  file.seekg(0);
  line_ = static_cast<std::uint64_t>(std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
  file.clear();
  file.seekg(-1, std::ios::end);
  // A killed machine can leave half a line. It must not spoil the first record of this run too.
  if (file.get() != '\n' && ::write(fd_, "\n", 1) == 1) ++line_;
}

void Journal::refuse(const std::string& why) {
  ::close(fd_);
  throw NotAJournal(path_ + ": " + why);
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

bool Journal::write(const std::string& event, const nlohmann::json& record) {
  if (fd_ < 0) return failure_.empty();
  nlohmann::json line = {{"ev", event},
                         {"t", std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()}};
  line.update(record);
  // The words of a dying machine may not be UTF-8. Replace invalid bytes instead of throwing.
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  ssize_t written = 0;
  do written = ::write(fd_, text.data(), text.size());
  while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(text.size())) {
    line_++;
    return true;
  }
  const int error = written < 0 ? errno : ENOSPC;
  struct stat status {};
  if (written > 0 && ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) (void)!::ftruncate(fd_, status.st_size - written);
  failure_ = path_ + ": " + std::strerror(error);
  ::close(fd_);
  fd_ = -1;
  return false;
}

void Journal::sync() {
  if (fd_ >= 0) (void)::fdatasync(fd_);
}

std::string run_folder_name() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H-%M-%SZ", &utc);
  return std::string(text) + "-" + std::to_string(::getpid());
}

nlohmann::json summary(const CommandTimes& times) {
  const auto of = [](const Durations& all) {
    return nlohmann::json{{"median_ns", all.quantile(0.5)}, {"longest_ns", all.longest_ns}};
  };
  return {{"count", times.commands}, {"disordered", times.disordered}, {"waited", of(times.waited)}, {"ran", of(times.ran)}};
}

}  // namespace faultline
