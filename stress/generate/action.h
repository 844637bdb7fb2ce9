// What a thread of a generated Program may do, as a table: each row is a system call, an access or a request in one form.
#pragma once

#include <span>

#include "harness/capabilities.h"
#include "harness/program.h"

namespace faultline {

struct Action {
  enum class Kind {
    // by the CPU
    load,
    store,
    direct_read,
    direct_write,
    munmap,
    protect_read,
    protect_none,
    protect_write,
    move,
    move_pages,  // with MREMAP_DONTUNMAP
    replace,
    replace_shared,
    dontneed,
    free,
    pageout,
    remove,
    truncate,
    msync,
    populate_read,
    populate_write,
    dontfork,
    wipeonfork,
    keeponfork,
    fork,
    exit,
    kill,
    // by the device
    device_load,
    device_store,
    to_device,
    to_device_short,  // there is no memory for the last page
    to_system,
    to_system_short,
    snapshot,
    exclusive,
    check_exclusive,
    pin,
    pin_read,
    unpin,
    open,
    close
  };
  // What it does to pages that others use. An action may do several of these.
  struct Effects {
    bool reads = false;   // the memory
    bool writes = false;  // the memory
    bool maps = false;    // takes pages or permissions away, or moves them
    bool shares = false;  // makes pages copy-on-write
    bool ends = false;    // the end of a process, or of a descriptor
    bool holds = false;   // pins
  };

  Kind kind;
  bool on_device;
  bool Capabilities::*needs;  // null: nothing
  bool one_page;              // it is about a cell
  int often;                  // how often it is drawn
  Effects effects;
};

// Every row.
std::span<const Action> actions();
const Action& action(Action::Kind kind);

// Whether a target with these capabilities has it. Whether a whole Program can run there, cannot_run() knows.
bool has(const Capabilities& can, const Action& action);

// How likely a bug is where two threads do these on the same pages at once. 3: a device meets a change of its mappings; 2: the
// CPU does, or two changes meet; 1: two accesses, one of them a store; 0: nothing that could go wrong.
int conflict(const Action& one, const Action& other);

}  // namespace faultline
