// Outcomes: what the operations of a Program returned and what its end state shows, as text.
//
// An outcome is one text per observable of the schema, so that the allowed set of the reference and what
// an executor saw can be compared, counted, journalled and printed without another encoding. Both sides
// make the texts with the functions below, and only with them.
//
// Texts: a load gives the value that was stored ("7"), with its home where the page came from another
// cell ("7@b[1]"), "zero" for a page that nothing was ever stored to, "alien" for anything else (a page
// of another iteration, or torn: never allowed). Operations without a value give "ok". Errors are errno
// names ("EPERM"), faults are signal names ("SIGSEGV"). "unknown": the process was killed before the
// operation could tell; "-": not reached. A wait gives "exited" or "killed". A snapshot gives one letter
// a page (see snapshot_text). "hit" / "fault": whether a device access found its page-table entry. "none",
// "system", "device": where a page is. Events are the letters of PageHistory, "none" where there are none (of a prediction,
// with a "*" where any may follow); "gap (why)":
// the target cannot tell them this time.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/program.h"

namespace faultline {

struct Observable {
  enum class Kind {
    result,    // of one statement
    faults,    // of one device load or store: "hit" (no call of the fault path) or "fault"
    value,     // observe: a cell at the end
    identity,  // observe: "same" or "different" page frames
    location,  // observe: where a page is
    events,    // observe: what the driver has told of a page
  };
  Kind kind = Kind::result;
  std::string key;     // "P.cpu:r0", "P.cpu:#2" (second statement, unnamed), "P.gpu:r0.faults", "P:a[0]",
                       // "same(P:a[0],C:a[0])", "where(P:a[0])", "events(P:a[0])"
  int thread = -1;     // for result and faults
  int statement = -1;  // index into Thread::statements
  int observe = -1;    // index into Program::observes
  bool stays = false;  // of a location, and of frames: a page that migrates may stay in system memory, and nothing says so
  // Of events: what a kernel may add that moves a page, or looks for pages to move, on its own. A prediction says it.
  enum class Weather { none, unmaps, faults, stops } weather = Weather::none;
};

// What a target can tell; the schema leaves out what it cannot.
struct Sight {
  bool faults = true;
  bool identity = true;
  bool location = true;
  bool events = true;
  bool migration_errors = true;  // false: a migration is `ok` whatever it did, and where memory is short it does less
  friend bool operator==(const Sight&, const Sight&) = default;
};

// Every observable of the program in a fixed order: statements by thread, then observes. Barriers and
// delays have none.
std::vector<Observable> schema(const Program& program, const Sight& sight = {});

// An access that goes through a device.
bool is_device_access(const Operation& operation);

// One text for each observable of a schema, in its order.
using Outcome = std::vector<std::string>;

// "P.cpu:r0=1 C:r0=zero"; only what a person named (registers and observes) unless `all`.
std::string describe(std::span<const Observable> schema, const Program& program, const Outcome& outcome, bool all);

// Texts of results. `home` is the cell that the value was stored through, `cell` the one it was read from.
std::string value_text(const Program& program, Cell cell, Cell home, int value);
std::string errno_text(int error);                                         // 0 gives "ok"; "E123" for one without a name here
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

// Whether `seen` is allowed where `allowed` is: equal, or at or below it in the order that weather (what
// a kernel may do on its own) defines for that kind of observable: a device access may always fault
// where it might have hit, a page may be in system memory where it `stays` (and its frame be seen), and events may have more than there was reason
// for in the Program. Events with a gap claim nothing, and are allowed whatever is.
bool at_or_below(const Observable& observable, const std::string& seen, const std::string& allowed);
bool at_or_below(std::span<const Observable> schema, const Outcome& seen, const Outcome& allowed);

// A text that claims nothing.
bool is_gap(const Observable& observable, const std::string& text);

// Whether every observable that the condition names is in the schema: a target's sight may leave some out.
bool decidable(const Condition& condition, std::span<const Observable> schema);

// The condition must be decidable; throws std::invalid_argument when it is not.
bool holds(const Condition& condition, std::span<const Observable> schema, const Outcome& outcome);

}  // namespace faultline
