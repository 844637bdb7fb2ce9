#include "harness/language/declarations.h"

#include <tuple>

#include "harness/language/names.h"

namespace faultline {
namespace {

class Reader : Names {
 public:
  Reader(Declarations& result, const Source& source) : Names(result.program, source), result_(result) {}

  void run(const Node& tree) {
    for (const auto& line : tree.children) {
      visit(grammar::lines{}, *line, [&](auto rule) { read(rule, *line); });
    }
    for (const ThreadLine& header : headers_) resolve(header);
  }

 private:
  void read(grammar::scenario, const Node& line) {
    const Node& name = get<grammar::new_scenario>(line);
    if (!program_.name.empty()) fail(name, "a second scenario in one text: each has a file of its own");
    check_form(name, text_of(name));
    program_.name = text_of(name);
  }

  void read(grammar::sentence, const Node& line) {
    if (!program_.doc.empty()) program_.doc += ' ';
    program_.doc += unquoted(line);
  }

  void read(grammar::device, const Node& line) {
    const Node& node = get<grammar::new_device>(line);
    const std::string name = new_name(node);
    if (words::has(words::no_devices, name)) {
      fail(node, shown(name) + " is a word of the language and cannot be the name of a device");
    }
    if (find_named(program_.devices, name) >= 0) fail(node, "a second device " + shown(name));
    if (program_.devices.size() == limits::devices) too_many(node, "devices", limits::devices);
    program_.devices.push_back({name, closed<grammar::device_class>(line), place_of(node)});
    process_ = thread_ = -1;
  }

  void read(grammar::file, const Node& line) {
    const Node& node = get<grammar::new_file>(line);
    const std::string name = new_name(node);
    if (process_ < 0) fail(node, "a file belongs below the 'process' line of the process that makes it");
    if (statements_begun_) fail(node, "the files of a process come before its statements");
    if (find_named(program_.files, name) >= 0) fail(node, "a second file " + shown(name));
    if (program_.files.size() == limits::files) too_many(node, "files", limits::files);
    const Node& count = get<grammar::page_count>(line);
    program_.files.push_back(
        {name, process_, closed<grammar::file_kind>(line), number(count, "page count", limits::populated_pages), place_of(node)});
  }

  void read(grammar::process, const Node& line) {
    const Node& node = get<grammar::new_process>(line);
    const std::string name = new_name(node);
    if (find_named(program_.processes, name) >= 0) fail(node, "a second process " + shown(name));
    if (program_.processes.size() == limits::processes) too_many(node, "processes", limits::processes);
    process_ = static_cast<int>(program_.processes.size());
    thread_ = static_cast<int>(program_.threads.size());
    program_.processes.push_back({name, -1, place_of(node)});
    program_.threads.push_back({name, process_, {}, {}, place_of(node)});
    statements_begun_ = false;
  }

  void read(grammar::thread, const Node& line) {
    const Node& node = get<grammar::new_thread>(line);
    const std::string name(text_of(node));
    const std::size_t dot = name.find('.');
    if (dot == name.npos) {
      fail(node, "a thread without a process: the name of a thread is PROCESS.NAME",
           find_named(program_.processes, name) >= 0 ? "statements below 'process " + name + "' are its main thread"
                                                     : "write 'thread P." + name + "' for a thread of process P");
    }
    check_form(node, std::string_view(name).substr(0, dot));
    check_form(node, std::string_view(name).substr(dot + 1));
    if (find_named(program_.threads, name) >= 0) fail(node, "a second thread " + shown(name));
    process_ = -1;
    thread_ = static_cast<int>(program_.threads.size());
    headers_.push_back({&line, thread_});
    program_.threads.push_back({name, -1, {}, {}, place_of(node)});
  }

  // Reads the rest of a thread's header, once every process and device is known.
  void resolve(const ThreadLine& header) {
    Thread& thread = program_.threads[header.thread];
    const std::string owner = thread.name.substr(0, thread.name.find('.'));
    thread.process = find_named(program_.processes, owner);
    if (thread.process < 0) {
      fail(get<grammar::new_thread>(*header.node), "a thread without a process: there is no process '" + owner + "'",
           did_you_mean_or_known(owner, names_of(program_.processes)));
    }
    if (const Node* descriptor = find<grammar::descriptor>(*header.node)) {
      thread.via = via(*descriptor, thread.process);
    }
  }

  void read(grammar::region, const Node& line) {
    const Node& node = get<grammar::new_region>(line);
    Region region;
    region.name = new_name(node);
    region.owner = process_;
    region.place = place_of(node);
    if (words::has(words::no_regions, region.name)) {
      fail(node, shown(region.name) + " is a word of the language and cannot be the name of a region");
    }
    if (process_ < 0) fail(node, "a region belongs below the 'process' line of the process that has it");
    if (statements_begun_) fail(node, "the regions of a process come before its statements");
    if (find_named(program_.regions, region.name) >= 0) fail(node, "a second region " + shown(region.name));
    if (program_.regions.size() == limits::regions) too_many(node, "regions", limits::regions);
    region.pages = page_count(get<grammar::page_count>(line));
    if (find<grammar::backing>(line)) {
      std::tie(region.backing, region.file) = backed(line, closed<grammar::backing>(line));
      region.protection = closed<grammar::protection>(line);
    }
    if (find<grammar::buffer>(line)) region.backing = closed<grammar::buffer>(line);
    if (is_buffer(region.backing)) region.protection = {true, true};
    if (const Node* initial = find<grammar::value>(line)) {
      region.initial = value(*initial);
      if (region.pages > limits::populated_pages) {
        fail(get<grammar::page_count>(line),
             "every page of a region with a value is written before the threads "
             "start: the limit is " +
                 std::to_string(limits::populated_pages) + " pages");
      }
    }
    program_.regions.push_back(region);
  }

  int page_count(const Node& count) const {
    const int result = number(count, "page count", limits::pages_per_region);
    if (result == 0) fail(count, "a region has at least one page");
    return result;
  }

  void read(grammar::statement, const Node& line) {
    if (thread_ < 0) {
      fail_start(source_, line, "a statement outside a thread: it stands below a 'process' or 'thread' line");
    }
    if (result_.statements.size() == limits::operations) {
      too_many(*line.children.back(), "operations of all threads together", limits::operations);
    }
    statements_begun_ = true;
    result_.statements.push_back({&line, thread_});
  }

  void read(grammar::observe, const Node& line) {
    result_.observes.push_back(&line);
    process_ = thread_ = -1;
  }

  void read(grammar::claim, const Node& line) {
    if (result_.claims.size() == limits::claims) too_many(line, "claims", limits::claims);
    result_.claims.push_back(&line);
    process_ = thread_ = -1;
  }

  Declarations& result_;
  std::vector<ThreadLine> headers_;
  int process_ = -1;  // the process of the current block, if the block may contain regions
  int thread_ = -1;   // the thread of the current statements
  bool statements_begun_ = false;
};

}  // namespace

Declarations read_declarations(const Node& tree, const Source& source) {
  Declarations result;
  Reader(result, source).run(tree);
  return result;
}

}  // namespace faultline
