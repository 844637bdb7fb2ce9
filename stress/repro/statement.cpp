#include "stress/repro/statement.h"

#include <stdexcept>

#include "harness/queries.h"

namespace faultline::repro {
namespace {

std::string call(const std::string& function, std::initializer_list<std::string> arguments) {
  std::string text = function + "(";
  for (const std::string& argument : arguments) text += (text.ends_with('(') ? "" : ", ") + argument;
  return text + ")";
}

std::string number(int value) { return std::to_string(value); }
std::string bytes(int pages) { return pages == 1 ? "PAGE" : number(pages) + " * PAGE"; }

const char* advice_text(op::Advice advice) {
  switch (advice) {
    case op::Advice::dontneed: return "MADV_DONTNEED";
    case op::Advice::dontfork: return "MADV_DONTFORK";
    case op::Advice::hugepage: return "MADV_HUGEPAGE";
    case op::Advice::populate_read: return "MADV_POPULATE_READ";
    case op::Advice::populate_write: return "MADV_POPULATE_WRITE";
    case op::Advice::wipeonfork: return "MADV_WIPEONFORK";
    case op::Advice::keeponfork: return "MADV_KEEPONFORK";
    case op::Advice::free: return "MADV_FREE";
    case op::Advice::pageout: return "MADV_PAGEOUT";
    case op::Advice::remove: return "MADV_REMOVE";
    case op::Advice::collapse: return "MADV_COLLAPSE";
  }
  throw std::logic_error("an advice of no kind");
}

const char* mode_text(op::UffdRegister::Mode mode) {
  switch (mode) {
    case op::UffdRegister::Mode::missing: return "UFFDIO_REGISTER_MODE_MISSING";
    case op::UffdRegister::Mode::wp: return "UFFDIO_REGISTER_MODE_WP";
    case op::UffdRegister::Mode::both: return "UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP";
  }
  throw std::logic_error("a userfaultfd of no mode");
}

struct Say {
  const Speech& speech;
  int slot;
  const std::string& faults;
  const std::string& letters;

  std::string page(const auto& place) const { return speech.names.page(place); }
  std::string device(const Via& via) const { return speech.names.device(via.opener, via.device); }
  // A system call on a range that gives 0 or -1.
  std::string on(const char* function, const PageRange& range, std::initializer_list<std::string> more) const {
    std::string text = call(function, {page(range), bytes(range.count)});
    text.pop_back();
    for (const std::string& argument : more) text += ", " + argument;
    return "result(" + text + "))";
  }

  std::string operator()(const op::Load& o) const {
    if (o.via.cpu() || speech.machine == Machine::host) return call("load", {page(o.cell)});
    if (speech.machine == Machine::pinned) return call("pinned_load", {page(o.cell)});
    return call("device_load", {device(o.via), page(o.cell), faults});
  }
  std::string operator()(const op::Store& o) const {
    if (o.via.cpu() || speech.machine == Machine::host) return call("store", {page(o.cell), number(o.value)});
    if (speech.machine == Machine::pinned) return call("pinned_store", {page(o.cell), number(o.value)});
    return call("device_store", {device(o.via), page(o.cell), number(o.value), faults});
  }
  std::string operator()(const op::DirectRead& o) const { return call("direct_read", {number(slot), page(o.cell)}); }
  std::string operator()(const op::DirectWrite& o) const { return call("direct_write", {number(slot), page(o.cell)}); }
  std::string operator()(const op::Mmap& o) const {
    return call("map", {page(o.range), number(o.range.count), mapping(speech, o.backing, o.protection, o.file),
                        number(o.file < 0 ? 0 : o.range.first)});
  }
  std::string operator()(const op::Munmap& o) const { return on("munmap", o.range, {}); }
  std::string operator()(const op::Mprotect& o) const { return on("mprotect", o.range, {protection_text(o.protection)}); }
  std::string operator()(const op::Mremap& o) const {
    const std::string size = bytes(o.range.count);
    return "result(" +
           call("mremap",
                {page(o.range), size, size,
                 std::string("MREMAP_MAYMOVE | MREMAP_FIXED") + (o.dontunmap ? " | MREMAP_DONTUNMAP" : ""), page(o.to)}) +
           " == MAP_FAILED)";
  }
  std::string operator()(const op::Madvise& o) const { return on("madvise", o.range, {advice_text(o.advice)}); }
  std::string operator()(const op::Msync& o) const { return on("msync", o.range, {"MS_SYNC"}); }
  std::string operator()(const op::Truncate& o) const {
    return "result(" + call("ftruncate", {speech.names.file(o.file), o.pages == 0 ? "0" : bytes(o.pages)}) + ")";
  }
  std::string operator()(const op::Fork& o) const {
    return call(speech.deaths ? "spawn_mortal" : "spawn", {speech.names.process(o.process), speech.names.run(o.process)});
  }
  std::string operator()(const op::Exit&) const { return "0"; }
  std::string operator()(const op::Kill& o) const { return call("doom", {speech.names.process(o.process)}); }
  std::string operator()(const op::Wait& o) const { return call("reap", {speech.names.process(o.process)}); }
  std::string operator()(const op::Barrier& o) const {
    int threads = 0;
    for (const Thread& thread : speech.program.threads)
      threads += std::ranges::any_of(thread.statements, [&](const Statement& s) {
        const auto* other = std::get_if<op::Barrier>(&s.operation);
        return other && other->barrier == o.barrier;
      });
    return call("meet", {"&s->" + speech.names.barrier(o.barrier), number(threads)});
  }
  std::string operator()(const op::Delay& o) const { return call("usleep", {number(o.us)}); }
  std::string operator()(const op::Open& o) const {
    if (speech.machine == Machine::pinned) return "reopen_pins()";
    return call("open_device", {"&" + device({o.device, opener}), "\"" + device_path(o.device) + "\""});
  }
  std::string operator()(const op::Close& o) const {
    if (speech.machine == Machine::pinned) return "close_pins()";
    return call("close_device", {"&" + device({o.device, opener})});
  }
  std::string operator()(const op::Migrate& o) const {
    const char* const what = o.to_device ? "HMM_DMIRROR_MIGRATE_TO_DEV" : "HMM_DMIRROR_MIGRATE_TO_SYS";
    if (o.fail == 0) return request(what, o);
    return call("ask_device_failing", {device(o.via), what, page(o.range), number(o.range.count), number(o.fail)});
  }
  std::string operator()(const op::Exclusive& o) const {
    return request(o.check ? "HMM_DMIRROR_CHECK_EXCLUSIVE" : "HMM_DMIRROR_EXCLUSIVE", o);
  }
  std::string operator()(const op::Snapshot& o) const {
    return call("snapshot", {device(o.via), page(o.range), number(o.range.count), letters});
  }
  std::string operator()(const op::Pin& o) const {
    return call(o.read ? "pin_read" : "pin", {page(o.range), number(o.range.count)});
  }
  std::string operator()(const op::Unpin& o) const { return call("unpin", {page(o.range), number(o.range.count)}); }
  std::string operator()(const op::UffdRegister& o) const {
    return call("uffd_register", {page(o.range), number(o.range.count), mode_text(o.mode)});
  }
  std::string operator()(const op::UffdUnregister& o) const {
    return call("uffd_range", {"UFFDIO_UNREGISTER", page(o.range), number(o.range.count)});
  }
  std::string operator()(const op::UffdCopy& o) const { return call("uffd_copy", {page(o.cell), number(o.value)}); }
  std::string operator()(const op::UffdZero& o) const { return call("uffd_zero", {page(o.range), number(o.range.count)}); }
  std::string operator()(const op::UffdProtect& o) const {
    return call("uffd_protect", {page(o.range), number(o.range.count), o.set ? "UFFDIO_WRITEPROTECT_MODE_WP" : "0"});
  }
  std::string operator()(const op::UffdWake& o) const {
    return call("uffd_range", {"UFFDIO_WAKE", page(o.range), number(o.range.count)});
  }
  template <typename Op>
  requires(is_one_of<Op, op::Update, op::SvmMap, op::SvmUnmap, op::SvmCopy, op::SvmFill>) std::string operator()(
      const Op&) const {
    throw std::logic_error("cannot_say() refuses this operation");
  }

  std::string request(const std::string& what, const auto& o) const {
    return call("ask_device", {device(o.via), what, page(o.range), number(o.range.count)});
  }

  int opener;  // the process of the thread
};

}  // namespace

std::string expression(const Speech& speech, const Thread& thread, const Operation& operation, int slot,
                       const std::string& faults, const std::string& letters) {
  return std::visit(Say{speech, slot, faults, letters, thread.process}, operation);
}

std::string protection_text(Protection protection) {
  if (!protection.read && !protection.write) return "PROT_NONE";
  return std::string(protection.read ? "PROT_READ" : "") + (protection.read && protection.write ? " | " : "") +
         (protection.write ? "PROT_WRITE" : "");
}

std::string mapping(const Speech& speech, Backing backing, Protection protection, int file) {
  const bool shared = backing == Backing::anon_shared || backing == Backing::file_shared;
  std::string flags = shared ? "MAP_FIXED | MAP_SHARED" : "MAP_FIXED | MAP_PRIVATE";
  if (file < 0) flags += " | MAP_ANONYMOUS";
  if (backing == Backing::stack) flags += " | MAP_GROWSDOWN";
  if (maps_without_reserve(speech.program)) flags += " | MAP_NORESERVE";
  return protection_text(protection) + ", " + flags + ", " + (file < 0 ? "-1" : speech.names.file(file));
}

std::string device_path(int device) { return "/dev/hmm_dmirror" + std::to_string(device); }

}  // namespace faultline::repro
