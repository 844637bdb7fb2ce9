// Mail thread 002: who waits until a transfer has released a page, and for how long.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>

#include "drm_glue/dmirror.h"
#include "stress/direct_io/door.h"
#include "stress/direct_io/experiment.h"

namespace faultline::direct_io {
namespace {

using Clock = Transfer::Clock;

double ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

// One page, anonymous or of a mapped file, and perhaps a transfer into it.
struct Subject {
  Subject(const Bench& b, bool of_file) : bench(b) {
    if (of_file) file = std::make_unique<MappedFile>(b.fast_folder, b.fast_device);
    else anonymous = std::make_unique<Anonymous>();
    fill(page(), Value::old, Value::old);
  }
  ~Subject() {
    transfer.reset();
    if (child > 0) ::waitpid(child, nullptr, 0);
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  void start() {
    transfer = std::make_unique<Transfer>(File(bench.source(), O_RDONLY | O_DIRECT), Direction::file_to_memory, page(),
                                          half_bytes, bench.slow.delay());
  }

  const Bench& bench;
  std::unique_ptr<Anonymous> anonymous;
  std::unique_ptr<MappedFile> file;
  std::unique_ptr<Transfer> transfer;
  pid_t child = 0;

  void* page() const { return file ? file->page() : anonymous ? anonymous->get() : nullptr; }
};

using Act = std::string (*)(Subject&);  // returns the result, if several are possible

std::string fork_child(Subject& s) {
  s.child = must(::fork(), "fork");
  if (s.child == 0) ::_exit(0);
  return "";
}

// Here a child starts the transfer and then exits (exit_aio()).
std::string child_exits(Subject& s) {
  s.child = must(::fork(), "fork");
  if (s.child == 0) {
    if (s.bench.slow.delay().count()) s.start();
    ::_exit(0);
  }
  must(::waitpid(s.child, nullptr, 0), "waitpid");
  s.child = 0;
  return "";
}

std::string unmap(Subject& s) {
  must(::munmap(s.page(), page_bytes), "munmap");
  if (s.anonymous) s.anonymous->forget();
  return "";
}

std::string drop(Subject& s) {
  must(::madvise(s.page(), page_bytes, MADV_DONTNEED), "MADV_DONTNEED");
  return "";
}

// The device migrates the pages that it can (migrate_vma_setup()), and then says which ones it has.
std::string migrate(Subject& s) {
  const File device("/dev/hmm_dmirror0", O_RDWR);
  char mirror[page_bytes];
  dmirror::Command command{
      .addr = reinterpret_cast<std::uintptr_t>(s.page()), .ptr = reinterpret_cast<std::uintptr_t>(mirror), .npages = 1};
  const bool moved = ::ioctl(device, dmirror::migrate_to_device, &command) == 0;
  if (!moved && errno != ENOENT) must(-1, "HMM_DMIRROR_MIGRATE_TO_DEV");
  return moved ? "migrated" : "not migrated";  // ENOENT: the device does not have the page
}

// --- blocks of memory ---

std::string block_path(unsigned long frame) {
  const std::string blocks = "/sys/devices/system/memory/";
  char text[32] = {};
  must(::read(File(blocks + "block_size_bytes", O_RDONLY), text, sizeof text - 1), "block_size_bytes");
  return blocks + "memory" + std::to_string(frame * page_bytes / std::stoul(text, nullptr, 16)) + "/state";
}

// Empties a memory block: takes it offline and back online. Returns 0 or an errno.
int empty_block(const std::string& path) {
  const File state(path, O_WRONLY);
  if (::write(state, "offline", 7) < 0) return errno;
  must(::write(state, "online_movable", 14), "online_movable");
  return 0;
}

// A page in a memory block that can be emptied unless somebody holds the page. Null if there is none. (Not every block
// of ZONE_MOVABLE can be emptied: the kernel may have put memory of its own there before it set up the zones.)
std::unique_ptr<Anonymous> movable_page() {
  std::map<std::string, bool> can_be_emptied;
  std::vector<std::unique_ptr<Anonymous>> others;  // keep them, or we would get them again
  constexpr int most = 65536;
  for (int i = 0; i < most; ++i) {
    others.push_back(std::make_unique<Anonymous>());
    fill(others.back()->get(), Value::old, Value::old);
    const std::string path = block_path(frame_of(others.back()->get()));
    const auto known = can_be_emptied.find(path);
    if (known == can_be_emptied.end()) can_be_emptied[path] = empty_block(path) == 0;  // and this has moved the page
    else if (known->second) return std::move(others.back());
  }
  return nullptr;
}

constexpr const char* emptied = "emptied";

std::string offline(Subject& s) {
  const int error = empty_block(block_path(frame_of(s.page())));
  return error ? std::strerror(error) : emptied;
}

std::string sync(Subject& s) {
  must(::msync(s.page(), page_bytes, MS_SYNC), "msync");
  return "";
}

std::string reclaim(Subject& s) {
  must(::msync(s.page(), page_bytes, MS_SYNC), "msync");
  must(::madvise(s.page(), page_bytes, MADV_PAGEOUT), "MADV_PAGEOUT");
  unsigned char cached;
  must(::mincore(s.page(), page_bytes, &cached), "mincore");
  return cached & 1 ? "still cached" : "reclaimed";
}

std::string truncate(Subject& s) {
  must(::ftruncate(s.file->fd(), 0), "ftruncate");
  return "";
}

std::string punch(Subject& s) {
  must(::fallocate(s.file->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page_bytes), "fallocate");
  return "";
}

std::string truncate_source(Subject& s) {
  must(::truncate(s.bench.source().c_str(), 0), "truncate");  // inode_dio_wait()
  return "";
}

std::string destroy_context(Subject& s) {
  if (s.transfer) s.transfer->destroy();
  return "";
}

constexpr const char* own = "private memory";
constexpr const char* mapped = "a shared file mapping";

constexpr struct Row {
  const char* what;
  const char* memory;
  Act act;
} rows[] = {
    {"fork()", own, fork_child},
    {"munmap()", own, unmap},
    {"MADV_DONTNEED", own, drop},
    {"migration to a device", own, migrate},
    {"taking its memory offline", own, offline},
    {"munmap()", mapped, unmap},
    {"msync()", mapped, sync},
    {"msync() and MADV_PAGEOUT", mapped, reclaim},
    {"truncate()", mapped, truncate},
    {"punching a hole", mapped, punch},
    {"truncate() of the file it reads", own, truncate_source},
    {"io_destroy()", own, destroy_context},
    {"exit of its process", own, child_exits},
};

// Adds one measurement to a row.
void measure(const Bench& bench, const Row& row, milliseconds delay, Wait& wait) {
  bench.prepare(delay);
  Subject subject(bench, row.memory == mapped);
  if (row.act == offline) subject.anonymous = movable_page();
  if (!subject.page()) return;
  const bool by_the_child = row.act == child_exits;
  if (delay.count() && !by_the_child) subject.start();
  const Clock::time_point start = Clock::now();
  const std::string result = row.act(subject);
  const double took_ms = ms_since(start);
  wait.times.push_back({delay, took_ms, result});
  if (delay.count() && (row.act != offline || result == emptied))
    wait.ended_in_flight |=
        by_the_child ? took_ms < static_cast<double>((delay - Transfer::tick).count()) : subject.transfer->surely_in_flight();
}

}  // namespace

std::vector<Wait> waits(const Bench& bench) {
  std::vector<Wait> all;
  for (const Row& row : rows) {
    Wait wait{.what = row.what, .memory = row.memory};
    for (const int delay : {0, 20, 80, 320, 1280, 5120})  // ms
      // Long delays only for those that were not yet done in flight: they may just be slow themselves.
      if (delay <= 320 || !wait.ended_in_flight) measure(bench, row, milliseconds(delay), wait);
    all.push_back(wait);
  }
  return all;
}

}  // namespace faultline::direct_io
