// Mail thread 002: writeback, reclaim and truncation of a file page while a transfer into the page is in flight.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <thread>

#include "stress/direct_io/door.h"
#include "stress/direct_io/experiment.h"

namespace faultline::direct_io {
namespace {

enum class Behind { nothing, writeback, writeback_and_reclaim, truncate, punch };
enum class When { before_transfer, in_flight, after_transfer };

void act(const MappedFile& file, Behind behind) {
  switch (behind) {
    case Behind::nothing: return;
    case Behind::writeback: must(::msync(file.page(), page_bytes, MS_SYNC), "msync"); return;
    case Behind::writeback_and_reclaim:
      must(::msync(file.page(), page_bytes, MS_SYNC), "msync");
      must(::madvise(file.page(), page_bytes, MADV_PAGEOUT), "MADV_PAGEOUT");
      return;
    case Behind::truncate:
      must(::ftruncate(file.fd(), 0), "ftruncate");
      must(::ftruncate(file.fd(), page_bytes), "ftruncate");
      return;
    case Behind::punch:
      must(::fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page_bytes), "fallocate");
      return;
  }
}

std::string state(const MappedFile& file) {
  return std::string(is_dirty(file.page()) ? "dirty" : "clean") + ", disk " + file.on_disk();
}

// The kernel checks whether pages are still dirty shortly after it has reported a transfer's end (iomap's
// bio_check_pages_dirty() comes after ki_complete()). It makes clean ones dirty from a work item.
constexpr milliseconds a_little_after(100);

void let_it_get_dirty(const MappedFile& file) {
  for (int i = 0; i < 100 && !is_dirty(file.page()); ++i) std::this_thread::sleep_for(milliseconds(5));
}

// A reference to a page. It allows a look at the page after the page has been removed from its file.
class Orphan {
 public:
  explicit Orphan(void* page) {
    must(::pipe2(pipe_, O_CLOEXEC), "pipe2");
    iovec whole{page, page_bytes};
    must(::vmsplice(pipe_[1], &whole, 1, 0), "vmsplice");
  }
  ~Orphan() {
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  Orphan(const Orphan&) = delete;
  Orphan& operator=(const Orphan&) = delete;
  std::string contents() {
    char contents[page_bytes];
    must(::read(pipe_[0], contents, sizeof contents), "read the spliced page");
    return halves(contents);
  }

 private:
  int pipe_[2];
};

// The CPU's write to the note half makes the page dirty before the transfer begins.
std::optional<std::string> clean_it(const Bench& bench, Behind behind, When when) {
  MappedFile file(bench.fast_folder, bench.fast_device);
  fill(file.page(), Half::note, Value::cpu);
  if (when == When::before_transfer) act(file, behind);
  Transfer transfer(File(bench.source(), O_RDONLY | O_DIRECT), Direction::file_to_memory, file.page(), half_bytes,
                    bench.slow.delay());
  if (when == When::after_transfer) {
    transfer.wait();
    std::this_thread::sleep_for(a_little_after);
  }
  if (when != When::before_transfer) act(file, behind);
  std::string text;
  if (when != When::after_transfer) text = "in flight: " + state(file) + "; ";
  const bool in_flight = when == When::after_transfer || transfer.surely_in_flight();
  const long result = transfer.wait();
  if (when != When::after_transfer) let_it_get_dirty(file);
  text += "landed: " + state(file) + ", memory " + halves(file.page()) + "; ";
  must(::fsync(file.fd()), "fsync");
  text += "after fsync: disk " + file.on_disk();
  if (result != half_bytes) text += ", result " + std::to_string(result);
  return in_flight ? std::optional(text) : std::nullopt;
}

std::optional<std::string> take_it_away(const Bench& bench, Behind behind, When when) {
  MappedFile file(bench.fast_folder, bench.fast_device);
  fill(file.page(), Half::note, Value::cpu);
  if (when == When::before_transfer) act(file, behind);
  Orphan orphan(file.page());
  Transfer transfer(File(bench.source(), O_RDONLY | O_DIRECT), Direction::file_to_memory, file.page(), half_bytes,
                    bench.slow.delay());
  if (when != When::before_transfer) act(file, behind);
  const bool in_flight = transfer.surely_in_flight();
  const long result = transfer.wait();
  std::string text = "result " + std::to_string(result) + "; memory " + halves(file.page());
  must(::fsync(file.fd()), "fsync");
  text += ", disk " + file.on_disk() + "; the transfer's page " + orphan.contents();
  return in_flight ? std::optional(text) : std::nullopt;
}

auto cleaned(Behind behind, When when = When::in_flight) {
  return [=](const Bench& bench) { return clean_it(bench, behind, when); };
}

auto taken_away(Behind behind, When when = When::in_flight) {
  return [=](const Bench& bench) { return take_it_away(bench, behind, when); };
}

}  // namespace

std::vector<Experiment> file_page_experiments() {
  const std::string dirty_again = "in flight: clean, disk old+cpu; landed: dirty, disk old+cpu, memory file+cpu; ";
  const std::string written = dirty_again + "after fsync: disk file+cpu";
  const std::string lost = dirty_again + "after fsync: disk old+cpu";
  const std::string dirty_all_along =
      "in flight: dirty, disk old+old; landed: dirty, disk old+old, memory file+cpu; after fsync: disk file+cpu";
  const std::string cleaned_late = "landed: clean, disk file+cpu, memory file+cpu; after fsync: disk file+cpu";
  const std::string again_dirty =
      "in flight: dirty, disk old+cpu; landed: dirty, disk old+cpu, memory file+cpu; after fsync: disk file+cpu";
  const std::string gone = "result 2048; memory zero+zero, disk zero+zero; the transfer's page file+cpu";
  const std::string kept = "result 2048; memory file+cpu, disk file+cpu; the transfer's page file+cpu";
  const std::string new_page = "result 2048; memory file+zero, disk file+zero; the transfer's page file+zero";
  return {
      {"writeback-in-flight", "2.2", "O_DIRECT read in flight into a shared mapping of a file; msync() cleans the page", written,
       written, nullptr, cleaned(Behind::writeback)},
      {"no-writeback", "2.2", "control: the same without msync()", dirty_all_along, dirty_all_along, "writeback-in-flight",
       cleaned(Behind::nothing)},
      {"writeback-before", "2.2", "control: msync() before the transfer begins, which makes the page dirty", again_dirty,
       again_dirty, "writeback-in-flight", cleaned(Behind::writeback, When::before_transfer)},
      {"writeback-ended", "2.2", "control: msync() when the transfer has ended", cleaned_late, cleaned_late,
       "writeback-in-flight", cleaned(Behind::writeback, When::after_transfer)},
      {"reclaim-in-flight", "2.2", "the same, and reclaim (MADV_PAGEOUT) takes the clean page's buffers in flight", lost, written,
       nullptr, cleaned(Behind::writeback_and_reclaim)},
      {"reclaim-ended", "2.2", "control: msync() and MADV_PAGEOUT when the transfer has ended", cleaned_late, cleaned_late,
       "reclaim-in-flight", cleaned(Behind::writeback_and_reclaim, When::after_transfer)},
      {"truncate-in-flight", "2.3", "O_DIRECT read in flight into a shared mapping; the file is cut and made long again", gone,
       gone, nullptr, taken_away(Behind::truncate)},
      {"punch-in-flight", "2.3", "the same, a hole is punched", gone, gone, nullptr, taken_away(Behind::punch)},
      {"no-truncate", "2.3", "control: the same, the file is left alone", kept, kept, "truncate-in-flight",
       taken_away(Behind::nothing)},
      {"truncate-before", "2.3", "control: truncated before the transfer begins, which finds the new page", new_page, new_page,
       "truncate-in-flight", taken_away(Behind::truncate, When::before_transfer)},
      {"punch-before", "2.3", "control: punched before the transfer begins", new_page, new_page, "punch-in-flight",
       taken_away(Behind::punch, When::before_transfer)},
  };
}

}  // namespace faultline::direct_io
