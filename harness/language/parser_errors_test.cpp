// The exact errors that the parser reports for wrong texts: place, length, message and suggestion.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/language/parser.h"

namespace faultline {
namespace {

struct Row {
  std::string text;   // what follows the prelude
  std::string error;  // "line:column+length message (suggestion)"
};

std::string error_of(const std::string& text) {
  try {
    (void)parse(text, "x.scn");
  } catch (const ParseError& error) {
    const Diagnostic& d = error.diagnostic();
    const std::string place = std::to_string(d.place.line) + ":" + std::to_string(d.place.column);
    const std::string suggestion = d.suggestion.empty() ? "" : " (" + d.suggestion + ")";
    return place + "+" + std::to_string(d.length) + " " + d.message + suggestion;
  }
  return "no error";
}

void expect_all(const std::string& prelude, const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_EQ(error_of(prelude + row.text), row.error) << prelude + row.text;
}

std::string repeated(int count, const std::string& before, const std::string& after) {
  std::string text;
  for (int i = 0; i < count; i++) text += before + std::to_string(i) + after;
  return text;
}

std::string overlap(const std::string& place, const std::string& cell) {
  return place + " a copy of " + cell +
         " to itself is an error of OpenCL's (CL_MEM_COPY_OVERLAP) (name another cell, in this region or another one)";
}

const std::string nothing;
const std::string below_process = "scenario x\ndevice d: recoverable\nprocess P\n  a: 2 pages anon rw = 0\n";
const std::string in_thread = below_process + "thread P.t\n";
const std::string after_results = in_thread + "  r0 = load a[0]\n  s0 = store a[1] 3 via d\n";
const std::string after_device_results = below_process + "thread P.gpu on d\n  p = snapshot a\n  g = load a[0]\n";

// clang-format off
TEST(ParserErrors, WholeTexts) {
  expect_all(nothing, {
      {"", "0:0+1 no scenario: the text is empty"},
      {"# nothing\n\n", "0:0+1 no scenario: the text is empty"},
      {"process P\n", "1:1+7 a scenario begins with 'scenario' and its name"},
      {"scenario\n", "1:9+1 expected the scenario's name, found the end of the line"},
      {"scenario x y\n", "1:12+1 unexpected 'y' at the end of the line"},
      {"scenario x\nscenario y\n", "2:10+1 a second scenario in one text: each has a file of its own"},
      {"scenario x\nprocess P\n\"late\"\n",
       "3:1+6 a quoted text describes the scenario and stands below its first line"},
      {"scenario x\n\"open\n", "2:1+5 a quoted text ends on the line where it begins"},
      {"scenario x\n\"a\\t\"\n", "2:3+2 only \\\", \\\\ and \\n are escapes"},
      {"scenario load.x\n", "1:10+6 'load.x' is not a name: letters, digits, '_' and '-', first a letter"},
      {"scenario abcdefghijklmnopqrstuvwxyzabcdefghijk\n", "1:10+37 a name is at most 32 characters long"},
      {"scenario x\nprocess P\n\x01\n", "3:1+1 a control character"},
      {"scenario x\nprocess P\n$\n", "3:1+1 unexpected character '$'"},
      {"scenario x\nprocess \xC3\xA9\n",
       "2:9+1 unexpected character: outside comments and quotes a scenario is plain ASCII"},
      {"scenario x\ndevice d: recoverble\n",
       "2:11+10 unknown device class 'recoverble': recoverable, shares-cpu-tables, pinned, fatal-faults, unmap-and-retry, preempt-and-restore, fault-and-migrate or map-and-restore (did you mean 'recoverable'?)"},
      {"scenario x\ndevice d recoverable\n", "2:10+11 expected ':', found 'recoverable'"},
      {"scenario x\ndevice d: recoverable\ndevice e: recoverable\ndevice g: recoverable\n",
       "4:8+1 too many devices: the limit is 2"},
      {"scenario x\ndevice d: recoverable\ndevice e: shares-cpu-tables\nprocess P\n delay 1us\n",
       "3:8+1 all devices of a scenario are of one class"},
      {"scenario x\ndevice cpu: recoverable\n",
       "2:8+3 'cpu' is a word of the language and cannot be the name of a device"},
      {"scenario x\ndevice d: recoverable\ndevice d: recoverable\n", "3:8+1 a second device 'd'"},
      {"scenario x\nprocess P\n  read: 1 page anon rw\n",
       "3:3+4 'read' is a word of the language and cannot be the name of a region"},
      {"scenario x\nprocess load\n", "2:9+4 'load' is a word of the language and cannot be a name"},
      {"scenario x\nprocess P\nprocess P\n", "3:9+1 a second process 'P'"},
      {"scenario x\nproces P\n", "2:1+6 unknown word 'proces' (did you mean 'process'?)"},
      {"scenario x\nload a[0]\n", "2:1+4 a statement outside a thread: it stands below a 'process' or 'thread' line"},
      {"scenario x\nprocess P\n a: 1 page none\n", "0:0+1 a scenario has at least one thread"},
      {"scenario x\n\xFF\n", "2:1+1 not UTF-8"},
  });
}

TEST(ParserErrors, BelowAProcess) {
  const std::string backings =
      "anon, shared, stack, none, private, svm-coarse, svm-fine, usm-host, usm-shared, usm-device or device-address";
  expect_all(below_process, {
      {"  a: 1 page none", "5:3+1 a second region 'a'"},
      {"  b: 0 pages none", "5:6+1 a region has at least one page"},
      {"  b: 268435457 pages none", "5:6+9 page count '268435457' is over the limit of 268435456"},
      {"  b: 65537 pages anon rw = 1",
       "5:6+5 every page of a region with a value is written before the threads start: the limit is 65536 pages"},
      {"  b: 1 page disk rw", "5:13+4 unknown backing 'disk': " + backings},
      {"  b: 1 page anonn rw", "5:13+5 unknown backing 'anonn': " + backings + " (did you mean 'anon'?)"},
      {"  b: 1 page anon", "5:17+1 expected a protection (rw, r, w or -), found the end of the line"},
      {"  b: 1 page anon rx", "5:18+2 expected a protection (rw, r, w or -), found 'rx'"},
      {"  b: 1 page none rw",
       "5:18+2 nothing is mapped in a region of 'none', so that it has no protection and no value"},
      {"  b: 1 page anon rw = 201", "5:23+3 value '201' is over the limit of 200"},
      {"  b: one page anon rw", "5:6+3 expected a number (page count), found 'one'"},
      {"  b: 2 pgs anon rw", "5:8+3 expected 'pages', found 'pgs'"},
      {"  load a[0]\n  b: 1 page none\n", "6:3+1 the regions of a process come before its statements"},
      {"thread gpu",
       "5:8+3 a thread without a process: the name of a thread is PROCESS.NAME "
        "(write 'thread P.gpu' for a thread of process P)"},
      {"thread P",
       "5:8+1 a thread without a process: the name of a thread is PROCESS.NAME "
        "(statements below 'process P' are its main thread)"},
      {"thread Q.t", "5:8+3 a thread without a process: there is no process 'Q' (known here: P)"},
      {"thread P.gpu on dd", "5:17+2 unknown device 'dd' (known here: d)"},
      {"thread P.gpu on Q.d", "5:17+3 unknown process 'Q' (known here: P)"},
      {"thread P.t at d", "5:12+2 unexpected 'at' at the end of the line"},
      {"  b: 4 pages none\nthread P.t\n  mremap a[0] -> b[1..2]\n",
       "7:18+1 mremap keeps the length: name the first page of its target"},
  });
}

TEST(ParserErrors, Files) {
  expect_all("scenario x\nfile f: 1 page\n",
             {{"", "2:6+1 a file belongs below the 'process' line of the process that makes it"}});
  expect_all(below_process, {
      {"  file f 1 page", "5:10+1 expected ':', found '1'"},
      {"  file f: 65537 pages", "5:11+5 page count '65537' is over the limit of 65536"},
      {"  file f: 1 page rw", "5:18+2 unexpected 'rw' at the end of the line"},
      {"  memfd load: 1 page", "5:9+4 'load' is a word of the language and cannot be a name"},
      {"  file f: 1 page\n  memfd f: 1 page", "6:9+1 a second file 'f'"},
      {"  file f: 1 page\n  file g: 1 page\n  file h: 1 page", "7:8+1 too many files: the limit is 2"},
      {"  load a[0]\n  file f: 1 page", "6:8+1 the files of a process come before its statements"},
      {"  b: 1 page private rw", "5:13+7 a private mapping is of a file: 'private f rw'"},
      {"  b: 1 page private f rw", "5:21+1 unknown file 'f'"},
      {"  file f: 1 page\n  b: 1 page shared ff rw", "6:20+2 unknown file 'ff' (known here: f)"},
      {"  file f: 1 page\n  b: 1 page anon f rw", "6:18+1 anonymous memory is of no file: 'private' or 'shared' is"},
      {"  file f: 1 page\n  b: 1 page stack f rw", "6:19+1 anonymous memory is of no file: 'private' or 'shared' is"},
      {"  file f: 1 page\n  b: 2 pages shared f rw = 1",
       "6:3+1 region 'b' has a value in 2 pages, and its file 'f' has 1"},
      {"  file f: 1 page\n  mmap a private f", "6:18+1 expected a protection (rw, r, w or -), found 'f'"},
      {"  mmap a private rw", "5:10+7 a private mapping is of a file: 'private f rw'"},
      {"  truncate g 1", "5:12+1 unknown file 'g'"},
      {"  file f: 1 page\n  truncate f", "6:13+1 expected a number (page count), found the end of the line"},
      {"  file f: 1 page\n  truncate f 65537", "6:14+5 page count '65537' is over the limit of 65536"},
      {"  fork C\nprocess C\n  file f: 1 page\n",
       "7:8+1 process 'C' is forked by 'P': it has the files of 'P' and declares none"},
      {"process Q\n  file f: 1 page\n  delay 1us\nthread P.t\n  truncate f 0\n",
       "9:12+1 file 'f' belongs to 'Q', from which 'P' does not descend"},
      {"process Q\n  file f: 1 page\n  delay 1us\nprocess R\n  b: 1 page shared f rw\n  load b[0]\n",
       "9:20+1 file 'f' belongs to 'Q', from which 'R' does not descend"},
  });
}

TEST(ParserErrors, StatementsOfAThread) {
  expect_all(in_thread, {
      {"  b: 1 page none", "6:3+1 a region belongs below the 'process' line of the process that has it"},
      {"thread P.t", "6:8+3 a second thread 'P.t'"},
      {"  stroe a[0] 1", "6:3+5 unknown word 'stroe' (did you mean 'store'?)"},
      {"  r0 = laod a[0]", "6:8+4 unknown word 'laod' (did you mean 'load'?)"},
      {"  r0 = a[0]", "6:8+1 unknown word 'a'"},
      {"  r0 = 7", "6:8+1 expected an operation, found '7'"},
      {"  7", "6:3+1 expected a declaration or a statement, found '7'"},
      {"  load = load a[0]", "6:3+4 'load' is a word of the language and cannot be a name"},
      {"  load", "6:7+1 expected a region, found the end of the line"},
      {"  load b[0]", "6:8+1 unknown region 'b' (known here: a)"},
      {"  load a", "6:9+1 expected '[', found the end of the line"},
      {"  load a[2]", "6:10+1 impossible address a[2]: 'a' has 2 pages, 0 to 1"},
      {"  load a[0", "6:11+1 expected ']', found the end of the line"},
      {"  load a[0] via e", "6:17+1 unknown device 'e' (known here: d)"},
      {"  load a[0] on d", "6:13+2 unexpected 'on' at the end of the line"},
      {"  load a[0..1]", "6:11+2 expected ']', found '..'"},
      {"  store a[0]", "6:13+1 expected a number (value), found the end of the line"},
      {"  store a[0] 201", "6:14+3 value '201' is over the limit of 200"},
      {"  store a[0] 99999999999", "6:14+11 value '99999999999' is over the limit of 200"},
      {"  store a[0] -1", "6:14+1 expected a number (value), found '-'"},
      {"  store a[0] one", "6:14+3 expected a number (value), found 'one'"},
      {"  munmap a[1..0]", "6:15+1 a range of pages goes upwards and includes both ends"},
      {"  mprotect a x", "6:14+1 expected a protection (rw, r, w or -), found 'x'"},
      {"  mmap a none", "6:10+4 mmap maps 'anon', 'shared' or 'private' pages, not 'none'"},
      {"  mmap a anom rw", "6:10+4 mmap maps 'anon', 'shared' or 'private' pages, not 'anom' (did you mean 'anon'?)"},
      {"  mremap a -> a[1]", "6:15+1 impossible address: 2 pages from a[1] on do not fit into 'a', which has 2"},
      {"  mremap a a", "6:12+1 expected '->', found 'a'"},
      {"  madvise a cold", "6:13+4 unknown advice 'cold': dontneed, dontfork, hugepage, populate-read, "
                          "populate-write, wipeonfork, keeponfork, free, pageout, remove or collapse"},
      {"  madvise a dontned",
       "6:13+7 unknown advice 'dontned': dontneed, dontfork, hugepage, populate-read, populate-write, "
       "wipeonfork, keeponfork, free, pageout, remove or collapse (did you mean 'dontneed'?)"},
      {"  r0 = load a[0]\n  r0 = load a[1]\n", "7:3+2 a second result 'r0' in thread 'P.t'"},
      {"  r0 = barrier go", "6:3+2 a barrier has no result to name"},
      {"  r0 = delay 1us", "6:3+2 a delay has no result to name"},
      {"  delay 10", "6:11+1 expected a unit of time (us or ms), found the end of the line"},
      {"  delay 2000000us", "6:9+7 delay '2000000' is over the limit of 1000000"},
      {"  delay 1001ms", "6:9+4 delay '1001ms' is over the limit of 1000ms"},
      {"  delay 10 s", "6:12+1 expected a unit of time (us or ms), found 's'"},
      {"  barrier", "6:10+1 expected the barrier's name, found the end of the line"},
      {"  open e", "6:8+1 unknown device 'e' (known here: d)"},
      {"  close P.d", "6:9+3 a process opens and closes its own descriptor: name the device alone"},
      {"  migrate a d", "6:13+1 expected 'to', found 'd'"},
      {"  migrate a to sytem", "6:16+5 unknown device 'sytem' (did you mean 'system'?)"},
      {"  migrate a to system", "6:22+1 migrate to system needs a device: a thread of the CPU says which with 'via'"},
      {"  pin a", "6:8+1 pin needs a device: a thread of the CPU says which with 'via'"},
      {"  direct-reed a[0] 1", "6:3+11 unknown word 'direct-reed' (did you mean 'direct-read'?)"},
      {"  direct-read a[0]", "6:19+1 expected a number (value), found the end of the line"},
      {"  direct-read a 1", "6:17+1 expected '[', found '1'"},
      {"  direct-write a[0] via d", "6:21+3 unexpected 'via' at the end of the line"},
      {"  direct-write b[0]", "6:16+1 unknown region 'b' (known here: a)"},
      {"  unpn a via d", "6:3+4 unknown word 'unpn' (did you mean 'unpin'?)"},
      {"  pin reed a via d", "6:12+1 unexpected 'a' at the end of the line"},
      {"  pin a via cpu", "6:13+3 pin is a request to a device, not to the CPU"},
      {"  snapshot a", "6:13+1 snapshot needs a device: a thread of the CPU says which with 'via'"},
      {"  exclusive a", "6:14+1 exclusive needs a device: a thread of the CPU says which with 'via'"},
      {"  check-exclusive a via e", "6:25+1 unknown device 'e' (known here: d)"},
      {"  snapshot a via cpu", "6:18+3 snapshot is a request to a device, not to the CPU"},
      {"  migrate a to cpu", "6:16+3 unknown device 'cpu'"},
      {"  fork C", "6:8+1 unknown process 'C' (known here: P)"},
      {"  fork P", "6:8+1 process 'P' cannot fork itself: name its child"},
      {"  fork C\nthread P.u\n  fork C\nprocess C\n", "8:8+1 process 'C' is forked twice: first on line 6"},
      {"  fork C\nprocess C\n  b: 1 page none\n",
       "8:3+1 process 'C' is forked by 'P': it has the regions of 'P' and declares none"},
      {"process C\n  fork D\nprocess D\n  fork C\n",
       "6:9+1 process 'C' never starts: it is forked by 'D', which its own tree forks"},
      {"process C\n  load a[0]\n",
       "7:8+1 region 'a' belongs to 'P', from which 'C' does not descend (nothing forks 'C')"},
      {"process C", "6:9+1 process 'C' does nothing: nothing forks it, and it has no thread and no region"},
      {"  wait P", "6:8+1 wait is for children: 'P' is not forked by 'P'"},
      {"  fork C\nprocess C\n  wait C\n", "8:8+1 wait is for children: 'C' is not forked by 'C'"},
      {"  kill X", "6:8+1 unknown process 'X' (known here: P)"},
      {"  exit\n  load a[0]\n", "7:3+1 never reached: thread 'P.t' exits on line 6"},
      {"  fork C\nprocess C\nthread P.u on C.d\n",
       "8:15+3 'P' cannot have the descriptor of 'C': descriptors are inherited by fork"},
      {"  fork C\n  load a[0] via C.d\nprocess C\n",
       "7:17+3 'P' cannot have the descriptor of 'C': descriptors are inherited by fork"},
      {"observe", "6:8+1 expected a process, found the end of the line"},
      {"observe Q:a[0]", "6:9+1 unknown process 'Q' (known here: P)"},
      {"observe P:b[0]", "6:11+1 unknown region 'b' (known here: a)"},
      {"observe P.t:a[0]", "6:9+3 unknown process 'P.t' (did you mean 'P'?)"},
      {"observe P:a[0] P:a[0]", "6:16+1 observed twice"},
      {"observe same(P:a[0])", "6:20+1 expected ',', found ')'"},
      {"observe where(P:a[0], P:a[1])", "6:21+1 expected ')', found ','"},
      {"process Q\n  q: 1 page none\nobserve Q:a[0]\n", "8:11+1 process 'Q' does not have region 'a'"},
      {"observe P:a[0]\n  load a[0]\n",
       "7:3+4 a statement outside a thread: it stands below a 'process' or 'thread' line"},
      {"observe P:a[0] P:a[1]\nnever P:a[2] = 0\n", "7:11+1 impossible address a[2]: 'a' has 2 pages, 0 to 1"},
      {"  r0 = load a[0]\nthread P.u\n  r0 = load a[0]\nnever P:r0 = 0\n", "9:9+2 'P:r0' can be P.t:r0 or P.u:r0"},
  });
}

TEST(ParserErrors, Claims) {
  expect_all(after_results, {
      {"never", "8:6+1 expected an observable (P.cpu:r0, P:a[0], same(P:a[0], C:a[0]), where(P:a[0]) or events(P:a[0])), found the end of the line"},
      {"never r0 = 1", "8:10+1 expected ':' and what is observed there, found '='"},
      {"never P:r0", "8:11+1 expected '=' or '!=', found the end of the line"},
      {"never P.t:r1 = 0", "8:11+2 'P.t' has no result 'r1' (did you mean 'r0'?)"},
      {"never P:s1 = ok", "8:9+2 'P' has no result 's1' (did you mean 's0'?)"},
      {"never Q:r0 = 0", "8:7+1 unknown thread or process 'Q' (known here: P.t, P)"},
      {"never P.tt:r0 = 0", "8:7+4 unknown thread or process 'P.tt' (did you mean 'P.t'?)"},
      {"never P:r0 = 5",
       "8:14+1 P.t:r0 is never '5' (it is one of: zero, alien, 0, 0@a[1], 3@a[1], unknown, -, "
        "the name of a signal)"},
      {"never P:r0 = ok",
       "8:14+2 P.t:r0 is never 'ok' (it is one of: zero, alien, 0, 0@a[1], 3@a[1], unknown, -, "
        "the name of a signal)"},
      {"never P:r0 = SIGSEG", "8:14+6 P.t:r0 is never 'SIGSEG' (did you mean 'SIGSEGV'?)"},
      {"never P:r0 = 0@a[0]",
       "8:14+6 P.t:r0 is never '0@a[0]' (it is one of: zero, alien, 0, 0@a[1], 3@a[1], unknown, -, "
        "the name of a signal)"},
      {"never P:s0 = EPREM", "8:14+5 P.t:s0 is never 'EPREM' (did you mean 'EPERM'?)"},
      {"never P:s0 = 3",
       "8:14+1 P.t:s0 is never '3' (it is one of: ok, unknown, -, "
        "the name of an errno, the name of a signal)"},
      {"never P:r0 = 251", "8:14+3 value '251' is over the limit of 250"},
      {"never P:r0 = 0 and",
       "8:19+1 expected an observable (P.cpu:r0, P:a[0], same(P:a[0], C:a[0]), where(P:a[0]) or events(P:a[0])), found the end of the line"},
      {"never P:r0 = 0 P:s0 = ok", "8:16+1 expected 'and', 'or' or the end of the line, found 'P'"},
      {"never (P:r0 = 0", "8:16+1 expected ')', found the end of the line"},
      {"never P:r0 < 0", "8:12+1 unexpected character '<'"},
      {"never P:a[0] = 0", "8:7+1 P:a[0] is not observed (add 'observe P:a[0]')"},
      {"observe events(P:a[0])\nnever events(P:a[0]) = DU", "9:24+2 the text of events is quoted (write \"DU\")"},
      {"observe events(P:a[0])\nnever events(P:a[0]) = \"DX\"", "9:24+4 events(P:a[0]) is never \"DX\" (it is one of: none, unknown, -, \"DSFUER\" and the like)"},
      {"never where(P:a[0]) = device", "8:7+5 where(P:a[0]) is not observed (add 'observe where(P:a[0])')"},
      {"never same(P:a[0], P:a[1]) = same",
       "8:7+4 same(P:a[0], P:a[1]) is not observed (add 'observe same(P:a[0], P:a[1])')"},
      {"never P:s0.faults = faults", "8:21+6 P.t:s0.faults is never 'faults' (did you mean 'fault'?)"},
      {"never P:#9 = ok", "8:9+2 'P' has no result '#9' (known here: r0, s0, s0.faults)"},
      {"never P.t:#1 = ok", "8:11+2 'P.t' has no result '#1' (known here: r0, s0, s0.faults)"},
      {"nver P:r0 = 0", "8:1+4 unknown word 'nver' (did you mean 'never'?)"},
      {"never (((((((((((((((((P:r0 = 0)))))))))))))))))", "8:23+1 too deep a condition: the limit is 16 levels"},
      {"never P:r0.fault = hit", "8:9+8 'P' has no result 'r0.fault' (did you mean 's0.faults'?)"},
  });
}

TEST(ParserErrors, ClaimsAboutADevice) {
  expect_all(after_device_results, {
      {"never P:p = r.", "8:14+1 unexpected character '.'"},
      {"never P:p = rr", "8:13+2 the text of a snapshot is quoted (write \"rr\")"},
      {"never P:p = \"r\"",
       "8:13+3 P.gpu:p is never \"r\" (it is one of: unknown, -, the name of an errno, \"rr\" and the like)"},
      {"never P:p = \"rq\"",
       "8:13+4 P.gpu:p is never \"rq\" (it is one of: unknown, -, the name of an errno, \"rr\" and the like)"},
      {"never P:g = \"rr\"",
       "8:13+4 P.gpu:g is never \"rr\" (it is one of: zero, alien, 0, 0@a[1], unknown, -, "
        "the name of an errno, the name of a signal)"},
      {"never P:g.faults = fualt", "8:20+5 P.gpu:g.faults is never 'fualt' (did you mean 'fault'?)"},
  });
}

TEST(ParserErrors, Limits) {
  EXPECT_EQ(error_of("scenario x\n" + repeated(7, "process P", "\n")),
            "8:9+2 too many processes: the limit is 6");
  EXPECT_EQ(error_of(below_process + repeated(8, "  r", ": 1 page none\n")),
            "12:3+2 too many regions: the limit is 8");
  EXPECT_EQ(error_of(below_process + repeated(9, "thread P.t", "\n")),
            "13:8+4 too many threads: the limit is 8");
  EXPECT_EQ(error_of(in_thread + repeated(9, "  barrier b", "\n")),
            "14:11+2 too many barriers: the limit is 8");
  EXPECT_EQ(error_of(in_thread + repeated(65, "  delay ", "us\n")),
            "70:3+5 too many operations of all threads together: the limit is 64");
  EXPECT_EQ(error_of(after_results + repeated(33, "never P:r0 = 0 # ", "\n")),
            "40:1+5 too many claims: the limit is 32");
  const std::string two_regions = below_process + "  b: 15 pages none\n  c: 15 pages none\n";
  EXPECT_EQ(error_of(two_regions + "process Q\nthread P.t\n  fork Q\n" + repeated(15, "observe P:b[", "]\n") +
                     repeated(15, "observe P:c[", "]\n") + repeated(3, "observe Q:b[", "]\n")),
            "42:9+1 too many observes: the limit is 32");
  EXPECT_EQ(error_of(below_process + "  b: 99 pages none\n" + repeated(9, "  munmap b[", "0]\n")),
            "5:3+1 too many pages and ranges that statements tell apart in 'b': the limit is 16");
  EXPECT_EQ(error_of(below_process + "  b: 99 pages none\nthread P.t\n" + repeated(9, "observe P:b[", "0]\n")),
            "5:3+1 too many pages and ranges that statements tell apart in 'b': the limit is 16");
  EXPECT_EQ(error_of(below_process + "  b: 99 pages none\n  c: 99 pages none\n  e: 99 pages none\n" +
                     repeated(6, "  munmap b[", "0]\n") + repeated(6, "  munmap c[", "0]\n") + repeated(6, "  munmap e[", "0]\n")),
            "7:3+1 too many pages and ranges that statements tell apart in all regions together: the limit is 32");
  for (const std::string request : {"snapshot b via d", "exclusive b via d", "migrate b to d", "migrate b to system via d",
                                    "pin b via d", "pin read b via d", "unpin b via d"}) {
    EXPECT_EQ(error_of(below_process + "  b: 17 pages none\n  " + request + "\n"),
              "6:" + std::to_string(request.find(" b ") + 4) +
                  "+1 a request to a device names at most 16 pages, this one 17");
  }
  EXPECT_EQ(error_of(std::string(limits::text_bytes + 1, '\n')),
            "0:0+1 too large for a scenario: the limit is 65536 bytes");
}

// Waits that no execution ends. If a process may die or be killed first, the reference has to decide.
TEST(ParserErrors, WaitsWithoutAnEnd) {
  const std::string order =
      " (use barriers in the same order in all threads, and fork a process before the first barrier that it uses)";
  expect_all(in_thread, {
      {"fork C\nwait C\nprocess C\n",
       "7:6+1 waits for ever: nothing ends 'C', which stays when its statements have run "
       "(end 'C' by an 'exit', or by a 'kill C' that does not come after this wait)"},
      {"barrier x\nbarrier y\nthread P.u\nbarrier y\nbarrier x\n",
       "6:9+1 waits for ever: 'P.u' is at 'barrier y' (line 9)" + order},
      {"barrier x\nbarrier y\nthread P.u\nbarrier y\nbarrier z\nbarrier x\nthread P.v\nbarrier z\nbarrier x\nbarrier y\n",
       "6:9+1 waits for ever: 'P.u' is at 'barrier y' (line 9); 'P.v' is at 'barrier z' (line 13)" + order},
      {"barrier x\nfork C\nprocess C\nbarrier x\n",
       "6:9+1 waits for ever: 'C' is not forked yet (line 7)" + order},
      {"barrier x\nbarrier x\nthread P.u\nbarrier x\nbarrier y\nthread P.v\nbarrier y\n", "no error"},
      {"barrier x\nthread P.u\nbarrier x\nbarrier x\n", "no error"},
      {"barrier x\n", "no error"},
      {"fork C\nbarrier x\nprocess C\nbarrier x\n", "no error"},
      {"fork C\nkill C\nwait C\nprocess C\n", "no error"},
      {"fork C\nwait C\nprocess C\nexit\n", "no error"},
      {"fork C\nwait C\nbarrier x\nprocess C\nbarrier x\nexit\n", "no error"},
      {"barrier x\nbarrier y\nthread P.u\nbarrier y\nbarrier x\nprocess Q\nkill P\n", "no error"},
  });
  // For the memory model only the text can tell, because the reference does not explore it step by step.
  const std::string buffer = "scenario x\ndevice d: fatal-faults\nprocess P\n a: 1 page svm-fine = 0\n";
  expect_all(buffer, {
      {"thread P.t\nbarrier x\nbarrier y\nthread P.u\nbarrier y\nbarrier x\n",
       "6:9+1 waits for ever: 'P.u' is at 'barrier y' (line 9)" + order},
  });
}

TEST(ParserErrors, TheMemoryModel) {
  const std::string head = "scenario x\ndevice d: fatal-faults\nprocess P\n";
  expect_all(head, {
      {" a: 1 page svm-fine\n", "4:20+1 expected '=', found the end of the line"},
      {" a: 1 page svm-fine rw = 0\n", "4:21+2 expected '=', found 'rw'"},
      {" a: 1 page anon rw\nthread P.t\n load a[0] relaxed\n",
       "4:2+1 in a scenario with buffers, their commands or atomic accesses, regions are readable, writable and populated: 'anon rw = 0'"},
  });
  expect_all(head + " a: 1 page svm-coarse = 0\n b: 1 page anon rw = 0\nthread P.t\n", {
      {" load a[0] release\n", "7:12+7 a load releases nothing: relaxed, acquire or seq-cst"},
      {" store b[0] 1 acquire\n", "7:15+7 a store acquires nothing: relaxed, release or seq-cst"},
      {" load a[0] acquire\n", "7:2+1 atomic accesses need memory that both sides use at once: svm-fine, usm-host, usm-shared, or any pages"},
      {" store b[0] 1 acq-rel\n", "7:15+7 a store acquires nothing: relaxed, release or seq-cst"},
      {" add b[0] 1\n", "7:12+1 expected an order (relaxed, acquire, release, acq-rel or seq-cst), found the end of the line"},
      {" exchange b[0] 1 aquire\n", "7:18+6 unknown order 'aquire': relaxed, acquire, release, acq-rel or seq-cst (did you mean 'acquire'?)"},
      {" compare-exchange b[0] 1 2 acquire\n", "7:26+1 expected '->', found '2'"},
      {" exchange a[0] 1 relaxed\n", "7:2+1 atomic accesses need memory that both sides use at once: svm-fine, usm-host, usm-shared, or any pages"},
      {" add b[0] 51 relaxed\n", "7:11+2 amount '51' is over the limit of 50"},
      {" add b[0] 40 relaxed\n add b[0] 11 relaxed\n", "8:2+1 too much is added: at most 50 by all threads together"},
      {" r = add b[0] 1 relaxed\nnever P.t:r = 2\n", "8:15+1 P.t:r is never '2' (it is one of: zero, alien, 0@a[0], 1@a[0], 0, 1, unknown, -, the name of a signal)"},
      {" munmap b\n", "7:2+1 in a scenario with buffers, their commands or atomic accesses, nothing may change mappings or processes"},
      {" svm-map a - via d\n", "7:12+1 a map is for reading, writing or both: r, w or rw"},
      {" svm-map b r via d\n", "7:10+1 'b' is no buffer"},
      {" svm-map a r\n", "7:13+1 svm-map needs a device: a thread of the CPU says which with 'via'"},
      {" load b[0]\nobserve same(P:a[0], P:b[0])\n", "8:9+4 in a scenario with buffers, their commands or atomic accesses, page frames mean nothing"},
      {" load b[0]\nobserve events(P:a[0])\n", "8:9+6 in a scenario with buffers, their commands or atomic accesses, locations and events mean nothing"},
      {" load b[0]\nobserve where(P:a[0])\n", "8:9+5 in a scenario with buffers, their commands or atomic accesses, locations and events mean nothing"},
  });
  expect_all(nothing, {{"scenario x\nprocess P\n a: 1 page svm-fine = 0\nthread P.t\n load a[0]\n",
                        "3:2+1 a buffer is a device's: 'device d: fatal-faults' above the processes"}});
}

// Commands without any buffer have the same rules.
TEST(ParserErrors, CommandsOnAnyMemory) {
  expect_all("scenario x\ndevice d: fatal-faults\nprocess P\n a: 2 pages anon rw = 0\nthread P.t on d\n", {
      {" svm-copy a[1] -> a[1]\n", overlap("6:19+4", "a[1]")},
      {" svm-copy a[0] -> a[1]\n munmap a\n", "7:2+1 in a scenario with buffers, their commands or atomic accesses, nothing may change mappings or processes"},
      {" svm-fill a[1] 7\n fork C\nprocess C\n", "7:2+1 in a scenario with buffers, their commands or atomic accesses, nothing may change mappings or processes"},
      {" svm-map a r\n", "6:10+1 'a' is no buffer"},
      {" svm-unmap a\n", "6:12+1 'a' is no buffer"},
      {" svm-copy a[0] -> a[1]\n svm-fill a[0] 7\n", "no error"},
  });
}

TEST(ParserErrors, BuffersOfEachKind) {
  const std::string head = "scenario x\ndevice d: fatal-faults\nprocess P\n h: 1 page usm-host = 0\n u: 1 page usm-device = 0\n"
                           " b: 1 page device-address = 0\n s: 1 page svm-fine = 0\nthread P.t on d\n";
  expect_all(head, {
      {" load u[0] via cpu\n", "9:7+1 'u' is for the device alone: the host reaches it by svm-copy and svm-fill"},
      {" store u[0] 1 release via cpu\n", "9:8+1 'u' is for the device alone: the host reaches it by svm-copy and svm-fill"},
      {" svm-map u r\n", "9:10+1 'u' is USM, which is never mapped: it is for the device alone"},
      {" svm-unmap h\n", "9:12+1 'h' is USM, which is never mapped: the host reaches it as it is"},
      {" migrate h to d\n", "9:10+1 'h' stays where it is: of USM, only usm-shared migrates"},
      {" svm-copy h[0] -> s[0]\n", "9:19+1 no command copies between 'h' and 's', which are of different kinds"},
      {" svm-copy b[0] -> u[0]\n", "9:19+1 no command copies between 'b' and 'u', which are of different kinds"},
      {" svm-copy s[0] -> s[0]\n", overlap("9:19+4", "s[0]")},
      {" svm-copy h[0] -> h[0]\n", overlap("9:19+4", "h[0]")},
      {" r = svm-copy b[0] -> b[0]\n", overlap("9:23+4", "b[0]")},
      {" load b[0] relaxed\n",
       "9:2+1 atomic accesses need memory that both sides use at once: svm-fine, usm-host, usm-shared, or any pages"},
      {" load u[0]\nobserve same(P:u[0], P:h[0])\n", "10:9+4 in a scenario with buffers, their commands or atomic accesses, page frames mean nothing"},
  });
}

TEST(ParserErrors, ANulByteIsNoText) {
  EXPECT_EQ(error_of(std::string("scenario x\n\0\n", 13)), "2:1+1 a NUL byte: this is no text");
}

}  // namespace
// clang-format on
}  // namespace faultline
