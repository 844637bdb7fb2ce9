#include "harness/declarations.h"

#include <optional>

#include "harness/names.h"
#include "harness/words.h"

namespace faultline {
namespace {

class Reader {
 public:
  Reader(const Source& source, const std::vector<Line>& lines) : source_(source), lines_(lines) {}

  Declarations run() {
    if (lines_.empty()) source_.fail({}, 1, "no scenario: the text is empty");
    for (const Line& line : lines_) read(line);
    for (const Header& header : headers_) resolve(header);
    return std::move(result_);
  }

 private:
  struct Header {
    const Line* line;
    int thread;
  };

  void read(const Line& line) {
    Cursor cursor(source_, line);
    const Token& first = cursor.peek();
    const bool sentence = first.kind == Token::Kind::string;
    if (program().name.empty() && first.text != "scenario") {
      cursor.fail(first, "a scenario begins with 'scenario' and its name");
    }
    if (sentence) return read_doc(cursor);
    in_doc_ = false;
    if (first.kind != Token::Kind::word) {
      cursor.fail(first, "expected a declaration or a statement, found " + quoted(first));
    }
    if (cursor.peek(1).text == ":" && cursor.peek(1).kind == Token::Kind::symbol) return read_region(cursor);
    if (cursor.accept("scenario")) return read_scenario(cursor);
    if (cursor.accept("device")) return read_device(cursor);
    if (cursor.accept("process")) return read_process_header(cursor);
    if (cursor.accept("thread")) return read_thread_header(cursor, line);
    if (first.text == "observe" || words::find(words::claims, first.text)) {
      (first.text == "observe" ? result_.observes : result_.claims).push_back(&line);
      process_ = thread_ = -1;
      return;
    }
    read_statement(cursor, line);
  }

  void read_scenario(Cursor& cursor) {
    const Token& name = cursor.word("the scenario's name");
    if (!program().name.empty()) cursor.fail(name, "a second scenario in one text: each has a file of its own");
    check_form(cursor, name, name.text);
    cursor.end();
    program().name = name.text;
    in_doc_ = true;
  }

  void read_doc(Cursor& cursor) {
    if (!in_doc_) cursor.fail(cursor.peek(), "a quoted text describes the scenario and stands below its first line");
    const Token& sentence = cursor.take();
    cursor.end();
    if (!program().doc.empty()) program().doc += ' ';
    program().doc += sentence.text;
  }

  void read_device(Cursor& cursor) {
    const Token& name = read_new_name(cursor, "the device's name");
    if (words::has(words::no_devices, name.text)) {
      cursor.fail(name, quoted(name) + " is a word of the language and cannot be the name of a device");
    }
    if (find_named(program().devices, name.text) >= 0) cursor.fail(name, "a second device " + quoted(name));
    if (program().devices.size() == limits::devices) too_many(cursor, name, "devices", limits::devices);
    cursor.expect(":");
    const Token& word = cursor.word("a device class");
    const std::optional<DeviceClass> device_class = words::find(words::device_classes, word.text);
    if (!device_class) {
      cursor.fail(word, "unknown device class " + quoted(word) + ": recoverable or shares-cpu-tables",
                  did_you_mean(word.text, words::all(words::device_classes)));
    }
    cursor.end();
    program().devices.push_back({name.text, *device_class, name.place});
    process_ = thread_ = -1;
  }

  void read_process_header(Cursor& cursor) {
    const Token& name = read_new_name(cursor, "the process's name");
    if (find_named(program().processes, name.text) >= 0) cursor.fail(name, "a second process " + quoted(name));
    if (program().processes.size() == limits::processes) too_many(cursor, name, "processes", limits::processes);
    cursor.end();
    process_ = static_cast<int>(program().processes.size());
    thread_ = static_cast<int>(program().threads.size());
    program().processes.push_back({name.text, -1, name.place});
    program().threads.push_back({name.text, process_, {}, {}, name.place});
    statements_begun_ = false;
  }

  void read_thread_header(Cursor& cursor, const Line& line) {
    const Token& name = cursor.word("the thread's name");
    const std::size_t dot = name.text.find('.');
    if (dot == name.text.npos) {
      cursor.fail(name, "a thread without a process: the name of a thread is PROCESS.NAME",
                  find_named(program().processes, name.text) >= 0
                      ? "statements below 'process " + name.text + "' are its main thread"
                      : "write 'thread P." + name.text + "' for a thread of process P");
    }
    check_form(cursor, name, std::string_view(name.text).substr(0, dot));
    check_form(cursor, name, std::string_view(name.text).substr(dot + 1));
    if (find_named(program().threads, name.text) >= 0) cursor.fail(name, "a second thread " + quoted(name));
    process_ = -1;
    thread_ = static_cast<int>(program().threads.size());
    headers_.push_back({&line, thread_});
    program().threads.push_back({name.text, -1, {}, {}, name.place});
  }

  // The rest of a thread's header, when every process and device is known.
  void resolve(const Header& header) {
    Cursor cursor(source_, *header.line);
    cursor.expect("thread");
    const Token& name = cursor.take();
    const std::string owner = name.text.substr(0, name.text.find('.'));
    Thread& thread = program().threads[header.thread];
    thread.process = find_named(program().processes, owner);
    if (thread.process < 0) {
      cursor.fail(name, "a thread without a process: there is no process '" + owner + "'",
                  did_you_mean_or_known(owner, names_of(program().processes)));
    }
    if (cursor.accept("on")) thread.via = device_via(cursor, cursor.word("a device"), program(), thread.process);
    cursor.end();
  }

  void read_region(Cursor& cursor) {
    const Token& name = read_new_name(cursor, "the region's name");
    cursor.expect(":");
    if (process_ < 0) cursor.fail(name, "a region belongs below the 'process' line of the process that has it");
    if (statements_begun_) cursor.fail(name, "the regions of a process come before its statements");
    if (find_named(program().regions, name.text) >= 0) cursor.fail(name, "a second region " + quoted(name));
    if (program().regions.size() == limits::regions) too_many(cursor, name, "regions", limits::regions);
    Region region;
    region.name = name.text;
    region.owner = process_;
    region.place = name.place;
    read_pages(cursor, region);
    const Token& word = cursor.word("what backs the pages (anon, shared or none)");
    const std::optional<Backing> backing = words::find(words::backings, word.text);
    if (!backing) {
      cursor.fail(word, "unknown backing " + quoted(word) + ": anon, shared or none",
                  did_you_mean(word.text, words::all(words::backings)));
    }
    region.backing = *backing;
    if (region.backing == Backing::none) {
      if (cursor.peek().kind != Token::Kind::end) {
        cursor.fail(cursor.peek(),
                    "nothing is mapped in a region of 'none', so that it has no protection and no value");
      }
    } else {
      region.protection = read_protection(cursor);
      if (cursor.accept("=")) region.initial = cursor.number("value", limits::value);
    }
    cursor.end();
    program().regions.push_back(region);
  }

  void read_pages(Cursor& cursor, Region& region) {
    const Token& count = cursor.peek();
    region.pages = cursor.number("page count", limits::pages_per_region);
    if (region.pages == 0) cursor.fail(count, "a region has at least one page");
    int pages = region.pages;
    for (const Region& other : program().regions) pages += other.pages;
    if (pages > limits::pages) too_many(cursor, count, "pages in all regions together", limits::pages);
    if (!cursor.accept("page")) cursor.expect("pages");
  }

  void read_statement(Cursor& cursor, const Line& line) {
    const bool named = cursor.peek(1).text == "=" && cursor.peek(1).kind == Token::Kind::symbol;
    const Token& word = cursor.peek(named ? 2 : 0);
    if (!words::has(words::operations, word.text)) {
      if (named && word.kind != Token::Kind::word) cursor.fail(word, "expected an operation, found " + quoted(word));
      std::vector<std::string> known(words::operations.begin(), words::operations.end());
      if (!named) known.insert(known.end(), words::declarations.begin(), words::declarations.end());
      cursor.fail(word, "unknown word " + quoted(word), did_you_mean(word.text, known));
    }
    if (thread_ < 0) {
      cursor.fail(cursor.peek(), "a statement outside a thread: it stands below a 'process' or 'thread' line");
    }
    if (result_.statements.size() == limits::operations) {
      too_many(cursor, word, "operations of all threads together", limits::operations);
    }
    statements_begun_ = true;
    result_.statements.push_back({&line, thread_});
  }

  [[noreturn]] static void too_many(const Cursor& cursor, const Token& token, const std::string& what, int limit) {
    cursor.fail(token, "too many " + what + ": the limit is " + std::to_string(limit));
  }

  Program& program() { return result_.program; }

  const Source& source_;
  const std::vector<Line>& lines_;
  Declarations result_;
  std::vector<Header> headers_;
  int process_ = -1;  // whose block this is, when regions may stand in it
  int thread_ = -1;   // whose statements these are
  bool statements_begun_ = false;
  bool in_doc_ = false;
};

}  // namespace

Declarations read_declarations(const Source& source, const std::vector<Line>& lines) {
  return Reader(source, lines).run();
}

}  // namespace faultline
