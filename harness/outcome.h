// Outcomes: what the operations of a Program returned and what its end state shows, as text.
//
// An outcome has one text per observable of the schema. So the predictions of the reference and the results of
// an executor can be compared, counted, journalled and printed without another encoding. Both sides make the
// texts with the functions below, and only with them.
//
// Texts:
//   a load           the value that was stored ("7"); its home too, if it was stored through another cell ("7@b[1]");
//                    "zero" if nothing was ever stored to the page; "alien" for anything else (a page of another
//                    iteration, or a torn value), which is never allowed
//   other results    "ok" if the operation has no value, an errno name ("EPERM"), or a signal name ("SIGSEGV")
//   no result        "unknown" if the process was killed before it could report; "-" if the operation was not reached
//   a wait           "exited" or "killed"
//   a snapshot       one letter per page (see snapshot_letter)
//   device accesses  "hit" or "fault": whether the access found its PTE
//   locations        "none", "system" or "device": where the page is
//   events           the letters of PageHistory, or "none"; a prediction may end in "*": anything may follow;
//                    "gap (why)" if the target could not record them this time
#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/program.h"

namespace faultline {

struct Observable {
  enum class Kind {
    result,    // of one statement
    faults,    // of one device load or store: "hit" (the fault path did not run) or "fault"
    value,     // observe: a cell at the end
    identity,  // observe: "same" or "different" page frames
    location,  // observe: where a page is
    events,    // observe: which events the driver reported for a page
  };
  Kind kind = Kind::result;
  std::string key;     // "P.cpu:r0", "P.cpu:#2" (second statement, unnamed), "P.gpu:r0.faults", "P:a[0]",
                       // "same(P:a[0],C:a[0])", "where(P:a[0])", "events(P:a[0])"
  int thread = -1;     // for result and faults
  int statement = -1;  // index into Thread::statements
  int observe = -1;    // index into Program::observes
  bool stays = false;  // for location and identity: a page may stay in system memory although its migration gave no error
  // For events: what a kernel may add that moves pages, or scans for pages to move, on its own. The prediction sets it.
  enum class Weather { none, unmaps, faults, stops } weather = Weather::none;
};

// What a target can tell; the schema leaves out what it cannot.
struct Sight {
  bool faults = true;
  bool identity = true;
  bool location = true;
  bool events = true;
  bool migration_errors = true;  // false: a migration gives `ok` whatever it did; with little memory it moves fewer pages
  friend bool operator==(const Sight&, const Sight&) = default;
};

// Every observable of the program, in a fixed order: statements by thread, then observes. Barriers and
// delays have no observable.
std::vector<Observable> schema(const Program& program, const Sight& sight = {});

// Whether the operation is an access through a device.
bool is_device_access(const Operation& operation);

// One text for each observable of a schema, in its order.
using Outcome = std::vector<std::string>;

// "P.cpu:r0=1 C:r0=zero". Without `all`, only what the scenario names: registers and observes.
std::string describe(std::span<const Observable> schema, const Program& program, const Outcome& outcome, bool all);

// Texts of results. The value was stored through `home` and read through `cell`.
std::string value_text(const Program& program, Cell cell, Cell home, int value);
std::string errno_text(int error);                                         // 0 gives "ok"; "E123" if the table has no name for it
std::string signal_text(int signal);                                       // "SIGSEGV"
std::string cell_text(const Program& program, Cell cell);                  // "a[0]"
std::string observe_text(const Program& program, const Observe& observe);  // its key

// One snapshot byte of test_hmm_uapi.h (HMM_DMIRROR_PROT_*) as a letter: '!' error, '.' not present,
// 'r' read, 'w' write, 'z'/'Z' zero page (read/write), 'd'/'D' device-private here (read/write),
// 'x' anything else. A huge-page bit is ignored: page size is the kernel's own business.
char snapshot_letter(unsigned char byte);

inline constexpr const char* text_ok = "ok";
inline constexpr const char* text_zero = "zero";
inline constexpr const char* text_alien = "alien";
inline constexpr const char* text_unknown = "unknown";
inline constexpr const char* text_not_reached = "-";
inline constexpr const char* text_exited = "exited";
inline constexpr const char* text_killed = "killed";
inline constexpr const char* text_hit = "hit";
inline constexpr const char* text_fault = "fault";
inline constexpr const char* text_same = "same";
inline constexpr const char* text_different = "different";
inline constexpr const char* text_none = "none";
inline constexpr const char* text_system = "system";
inline constexpr const char* text_device = "device";
inline constexpr const char* text_gap = "gap";

// Whether `seen` is allowed if `allowed` is. Weather is what a kernel may do on its own. It orders the texts of
// an observable, and `seen` must be equal to `allowed` or below it in that order:
//   - a device access may fault where a hit is allowed;
//   - a page that `stays` may be in system memory, where its page frame can be compared although `allowed` has "-";
//   - events may contain more than the Program caused. Events with a gap claim nothing, so they are always allowed.
bool at_or_below(const Observable& observable, const std::string& seen, const std::string& allowed);
bool at_or_below(std::span<const Observable> schema, const Outcome& seen, const Outcome& allowed);

// Whether the text is a gap, which claims nothing.
bool is_gap(const Observable& observable, const std::string& text);

// Whether the schema has every observable that the condition names. It lacks those that the target cannot see.
bool decidable(const Condition& condition, std::span<const Observable> schema);

// The condition must be decidable; throws std::invalid_argument when it is not.
bool holds(const Condition& condition, std::span<const Observable> schema, const Outcome& outcome);

}  // namespace faultline
