#include "stress/repro/repro.h"

#include <algorithm>
#include <set>

#include "harness/queries.h"
#include "stress/repro/comment.h"
#include "stress/repro/condition.h"
#include "stress/repro/pieces.h"
#include "stress/repro/statement.h"

namespace faultline::repro {
namespace {

template <typename Op>
bool has(const Program& program) {
  return any_operation(program, [](const Operation& o) { return std::holds_alternative<Op>(o); });
}

bool shares_memory(const Program& program) {
  const auto shared = [](Backing b) { return b != Backing::none && b != Backing::anon_private && b != Backing::stack; };
  return std::ranges::any_of(program.regions, [&](const Region& r) { return shared(r.backing); }) ||
         any_operation(program, [&](const Operation& o) {
           const auto* map = std::get_if<op::Mmap>(&o);
           return map && shared(map->backing);
         });
}

class Generator {
 public:
  Generator(const Program& program, const Condition& shows, Machine machine)
      : program_(program),
        names_(program),
        speech_{program, names_, machine, has<op::Exit>(program) || has<op::Kill>(program)},
        schema_(schema(program)),
        threads_of_(program.processes.size()),
        main_of_(program.processes.size(), -1) {
    each_comparison(shows, [&](const Condition& comparison) { wanted_.insert(observable_of(comparison, schema_)); });
    for (const Observable& observable : schema_)
      if (observable.kind == Observable::Kind::result && !statement(observable).name.empty()) wanted_.insert(&observable);
    int slot = 0;
    for (std::size_t t = 0; t < program.threads.size(); ++t) {
      first_slot_.push_back(slot);
      slot += static_cast<int>(program.threads[t].statements.size());
      const int process = program.threads[t].process;
      threads_of_[process].push_back(static_cast<int>(t));
      if (program.threads[t].name == program.processes[process].name) main_of_[process] = static_cast<int>(t);
    }
    // A process without a main thread runs its first thread in the place of it.
    for (std::size_t p = 0; p < main_of_.size(); ++p)
      if (main_of_[p] < 0 && !threads_of_[p].empty()) main_of_[p] = threads_of_[p].front();
    for (const Observable* observable : wanted_)
      if (observable->kind == Observable::Kind::location) phases_ = {1};
    for (const Observable* observable : wanted_)
      if (observable->kind == Observable::Kind::value) phases_.push_back(2);
    phases_.erase(std::unique(phases_.begin(), phases_.end()), phases_.end());
    shows_ = expression(shows, schema_, program, names_);
  }

  Parts parts() const {
    std::string functions;
    for (int p = static_cast<int>(program_.processes.size()) - 1; p >= 0; --p) functions += process(p);
    return {declarations(), functions, checks(), start(), wait(), shows_, print()};
  }

 private:
  std::string declarations() const {
    std::string text = "#define BASE ((char *)0x1000000000)\n";
    const std::vector<long> offsets = region_offsets(program_);
    for (std::size_t r = 0; r < program_.regions.size(); ++r)
      text += "#define " + names_.region(static_cast<int>(r)) + " " +
              (offsets[r] == 0 ? "BASE" : "(BASE + " + std::to_string(offsets[r] >> 20) + " * 0x100000L)") + "\n";
    if (starters() > 1) text += "#define STARTERS " + std::to_string(starters()) + " /* threads of the first processes */\n";
    if (speech_.deaths) text += "#define PARENTS " + parents() + "\n";
    text += "enum { ";
    for (std::size_t p = 0; p < program_.processes.size(); ++p) text += names_.process(static_cast<int>(p)) + ", ";
    text +=
        "PROCESSES };\n\n/* What all processes share. */\nstatic struct shared {\n\tuint64_t iteration;\n"
        "\tatomic_int broken, begun, over, pid[PROCESSES], left[PROCESSES] /* threads */;\n";
    if (speech_.deaths) text += "\tatomic_int doomed[PROCESSES];\n";
    if (!phases_.empty()) text += "\tatomic_int phase, looked[PROCESSES];\n";
    for (std::size_t b = 0; b < program_.barriers.size(); ++b)
      text += "\tatomic_int " + names_.barrier(static_cast<int>(b)) + ";\n";
    const std::string longs = listed([this](const Observable& o) { return names_.member(o); });
    if (!longs.empty()) text += "\tlong " + longs + ";\n";
    const std::string letters = listed([this](const Observable& o) {
      const auto* snapshot = snapshot_of(o);
      return snapshot ? names_.member(o) + "_pages[" + std::to_string(snapshot->range.count + 1) + "]" : "";
    });
    if (!letters.empty()) text += "\tchar " + letters + ";\n";
    text += "} *s;\n\n";
    for (std::size_t f = 0; f < program_.files.size(); ++f) text += "static int " + names_.file(static_cast<int>(f)) + ";\n";
    if (speech_.machine == Machine::dmirror)
      for (const auto& [opener, device] : descriptors()) text += "static int " + names_.device(opener, device) + " = -1;\n";
    return text + "\n";
  }

  const Statement& statement(const Observable& observable) const {
    return program_.threads[observable.thread].statements[observable.statement];
  }
  const op::Snapshot* snapshot_of(const Observable& observable) const {
    return observable.kind == Observable::Kind::result ? std::get_if<op::Snapshot>(&statement(observable).operation) : nullptr;
  }
  bool root(int process) const { return program_.processes[process].parent < 0; }
  int starters() const {
    return static_cast<int>(std::ranges::count_if(program_.threads, [this](const Thread& t) { return root(t.process); }));
  }
  std::string parents() const {
    std::string text;
    for (const Process& process : program_.processes) text += (text.empty() ? "" : ", ") + std::to_string(process.parent);
    return text;
  }
  // One text for each wanted observable, in the order of the schema, with commas.
  template <typename TextOf>
  std::string listed(TextOf text_of) const {
    std::string text;
    for (const Observable& observable : schema_)
      if (wanted_.contains(&observable))
        if (const std::string each = text_of(observable); !each.empty()) text += (text.empty() ? "" : ", ") + each;
    return text;
  }
  const Observable* wanted(int thread, int index, Observable::Kind kind) const {
    for (const Observable* o : wanted_)
      if (o->kind == kind && o->thread == thread && o->statement == index) return o;
    return nullptr;
  }

  // (opener, device), for each descriptor of a device.
  std::set<std::pair<int, int>> descriptors() const {
    std::set<std::pair<int, int>> all;
    const std::vector<std::vector<int>> opened = opened_first(program_);
    for (std::size_t p = 0; p < opened.size(); ++p)
      for (const int device : opened[p]) all.insert({static_cast<int>(p), device});
    each<op::Open>(program_, [&](int thread, const op::Open& o) { all.insert({program_.threads[thread].process, o.device}); });
    each<op::Close>(program_, [&](int thread, const op::Close& o) { all.insert({program_.threads[thread].process, o.device}); });
    return all;
  }

  std::string line(int thread, int index) const {
    const Operation& operation = program_.threads[thread].statements[static_cast<std::size_t>(index)].operation;
    const Observable* const result = wanted(thread, index, Observable::Kind::result);
    const Observable* const fault = wanted(thread, index, Observable::Kind::faults);
    std::string letters = "(char[17]){ 0 }";
    if (result) letters = "s->" + names_.member(*result) + "_pages";
    const std::string text = expression(speech_, program_.threads[thread], operation, first_slot_[thread] + index,
                                        fault ? "&s->" + names_.member(*fault) : "NULL", letters);
    const std::string store = result ? "s->" + names_.member(*result) + " = " : "";
    if (std::holds_alternative<op::Exit>(operation))
      return (result ? "\t" + store + "0;\n" : "") + "\ts->doomed[" + names_.process(program_.threads[thread].process) +
             "] = 1;\n\t_exit(0);\n";
    return "\t" + store + text + ";\n";
  }

  std::string body(int thread) const {
    const int process = program_.threads[thread].process;
    std::string text = root(process) && starters() > 1 ? "\tbegin();\n" : "\tstagger();\n";
    for (std::size_t i = 0; i < program_.threads[thread].statements.size(); ++i) text += line(thread, static_cast<int>(i));
    text += "\ts->left[" + names_.process(process) + "]--;\n";
    for (const Statement& statement : program_.threads[thread].statements)
      if (const auto* protect = std::get_if<op::UffdProtect>(&statement.operation); protect && !protect->set)
        text += "\twake_again(" + names_.page(protect->range) + ", " + std::to_string(protect->range.count) + ", &s->left[" +
                names_.process(process) + "]);\n";
    return text;
  }

  std::string process(int p) const {
    std::string text;
    for (const int thread : threads_of_[p])
      if (thread != main_of_[p])
        text += "static void *" + names_.run_thread(thread) + "(void *unused)\n{\n" + body(thread) + "\treturn unused;\n}\n\n";
    text += "static void " + names_.run(p) + "(void) /* process " + program_.processes[p].name + " */\n{\n";
    if (root(p)) text += setup(p);
    text += opens(p);
    for (const int thread : threads_of_[p])
      if (thread != main_of_[p])
        text += "\tneed(!pthread_create(&(pthread_t){ 0 }, NULL, " + names_.run_thread(thread) + ", NULL), \"a thread\");\n";
    if (main_of_[p] >= 0) text += body(main_of_[p]);
    return text + looks(p) + "\tfor (;;)\n\t\tpause();\n}\n\n";
  }

  std::string setup(int p) const {
    std::string text = "\tprctl(PR_SET_PDEATHSIG, SIGKILL);\n";
    if (!may_have_huge_pages(program_)) text += "\tprctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);\n";
    const auto is_stack = [](const Operation& o) {
      const auto* map = std::get_if<op::Mmap>(&o);
      return map && map->backing == Backing::stack;
    };
    if (std::ranges::any_of(program_.regions, [](const Region& r) { return r.backing == Backing::stack; }) ||
        any_operation(program_, is_stack))
      text += "\tsetrlimit(RLIMIT_STACK, &(struct rlimit){ 8 << 20, RLIM_INFINITY });\n";
    for (std::size_t f = 0; f < program_.files.size(); ++f)
      if (const File& file = program_.files[f]; file.owner == p)
        text += "\t" + names_.file(static_cast<int>(f)) + " = make_file(" + (file.kind == File::Kind::disk ? "1" : "0") + ", " +
                std::to_string(file.pages) + ");\n";
    text += direct_files(p);
    for (std::size_t r = 0; r < program_.regions.size(); ++r)
      if (program_.regions[r].owner == p && program_.regions[r].backing != Backing::none) text += region(static_cast<int>(r));
    return text;
  }

  std::string direct_files(int root_process) const {
    std::string text;
    for (std::size_t t = 0; t < program_.threads.size(); ++t) {
      int process = program_.threads[t].process;
      while (!root(process)) process = program_.processes[process].parent;
      if (process != root_process) continue;
      for (std::size_t i = 0; i < program_.threads[t].statements.size(); ++i) {
        const Operation& operation = program_.threads[t].statements[i].operation;
        const std::string slot = std::to_string(first_slot_[t] + static_cast<int>(i));
        if (const auto* read = std::get_if<op::DirectRead>(&operation))
          text += "\tdirect_file(" + slot + ", " + names_.page(read->cell) + ", " + std::to_string(read->value) + ");\n";
        else if (std::holds_alternative<op::DirectWrite>(operation)) text += "\tdirect_file(" + slot + ", NULL, 0);\n";
      }
    }
    return text;
  }

  std::string region(int r) const {
    const Region& region = program_.regions[r];
    const std::string name = names_.region(r), pages = std::to_string(region.pages);
    const Protection both{true, true}, first = region.initial ? both : region.protection;
    std::string text = "\tneed(mmap(" + name + ", " + pages + " * PAGE, " + mapping(speech_, region.backing, first, region.file) +
                       ", 0) == " + name + ", \"mmap\");\n";
    if (!region.initial) return text;
    text += "\tfill(" + name + ", " + pages + ", " + std::to_string(*region.initial) + ");\n";
    if (region.protection != both)
      text +=
          "\tneed(!mprotect(" + name + ", " + pages + " * PAGE, " + protection_text(region.protection) + "), \"mprotect\");\n";
    return text;
  }

  bool has_uffd(int p) const {
    return std::ranges::any_of(threads_of_[p], [this](int thread) {
      return std::ranges::any_of(program_.threads[thread].statements, [](const Statement& s) { return is_uffd(s.operation); });
    });
  }
  // A child has its parent's descriptor, and must not keep it open.
  std::string opens_uffd(int p) const {
    if (has_uffd(p)) return "\topen_uffd();\n";
    bool inherits = false;
    for (int parent = program_.processes[p].parent; parent >= 0; parent = program_.processes[parent].parent)
      inherits = inherits || has_uffd(parent);
    return inherits ? "\tclose_uffd();\n" : "";
  }

  std::string opens(int p) const {
    std::string text = opens_uffd(p);
    const std::vector<int> devices = opened_first(program_)[p];
    if (speech_.machine == Machine::dmirror)
      for (const int device : devices)
        text += "\t" + names_.device(p, device) + " = open(\"" + device_path(device) + "\", O_RDWR);\n\tneed(" +
                names_.device(p, device) + " >= 0, \"" + device_path(device) + "\");\n";
    const bool pins = speech_.machine == Machine::pinned ? !devices.empty() || opens_pins(p) : has_pins(p);
    if (pins) text += "\topen_pins();\n";
    if (pins && speech_.machine == Machine::pinned && devices.empty()) text += "\tpins_open = 0;\n";
    return text;
  }
  bool opens_pins(int p) const {
    bool opens = false;
    each<op::Open>(program_, [&](int thread, const op::Open&) { opens = opens || program_.threads[thread].process == p; });
    return opens;
  }
  bool has_pins(int p) const {
    bool pins = false;
    each<op::Pin>(program_, [&](int thread, const op::Pin&) { pins = pins || program_.threads[thread].process == p; });
    each<op::Unpin>(program_, [&](int thread, const op::Unpin&) { pins = pins || program_.threads[thread].process == p; });
    return pins;
  }

  // What the process itself looks at in the end. Later pages first: a load may map a whole huge page.
  std::vector<const Observable*> looks_of(int p, Observable::Kind kind) const {
    std::vector<const Observable*> own;
    for (const Observable* o : wanted_)
      if (o->kind == kind && program_.observes[o->observe].process == p) own.push_back(o);
    std::ranges::sort(own, std::ranges::greater{},
                      [this](const Observable* o) { return std::pair(program_.observes[o->observe].cell.page, o); });
    return own;
  }
  std::string looks(int p) const {
    std::string text;
    for (const int phase : phases_) {
      const auto kind = phase == 1 ? Observable::Kind::location : Observable::Kind::value;
      const std::vector<const Observable*> own = looks_of(p, kind);
      if (own.empty()) continue;
      text += "\tWAIT(s->phase >= " + std::to_string(phase) + ");\n";
      if (phase == 2 && has_uffd(p)) text += "\tclose_uffd();\n";
      for (const Observable* o : own)
        text += "\ts->" + names_.member(*o) + " = " + (phase == 1 ? "where(" : "load(") +
                names_.page(program_.observes[o->observe].cell) + ");\n";
      text += "\ts->looked[" + names_.process(p) + "] = " + std::to_string(phase) + ";\n";
    }
    return text;
  }

  bool looks_at(Observable::Kind kind) const {
    return std::ranges::any_of(wanted_, [kind](const Observable* o) { return o->kind == kind; });
  }

  std::string checks() const {
    std::string text;
    if (speech_.machine == Machine::dmirror) {
      std::set<int> devices;
      for (const auto& [opener, device] : descriptors()) devices.insert(device);
      for (const int device : devices)
        text += "\tif (access(\"" + device_path(device) + "\", R_OK | W_OK))\n\t\terr(2, \"" + device_path(device) + "\");\n";
    }
    const auto unless = [&text](const std::string& there, const std::string& what) {
      text += "\tif (!" + there + ")\n\t\terrx(2, \"" + what + "\");\n";
    };
    if (looks_at(Observable::Kind::identity) || looks_at(Observable::Kind::location))
      unless("number(getpid(), (char *)s)", "page frames are hidden in /proc/self/pagemap: root sees them");
    const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
    if (may_have_huge_pages(program_)) {
      unless("says(\"" + folder + "enabled\", \"[always]\")", "huge pages unasked: echo madvise > " + folder + "enabled");
      text.replace(text.rfind("!says"), 1, "");
      if (shares_memory(program_))
        unless("says(\"" + folder + "shmem_enabled\", \"[never]\")",
               "huge pages unasked: echo never > " + folder + "shmem_enabled");
    }
    const auto pages_out = [](const Operation& o) {
      const auto* advise = std::get_if<op::Madvise>(&o);
      return advise && advise->advice == op::Advice::pageout;
    };
    const auto fails = [](const Operation& o) {
      const auto* migrate = std::get_if<op::Migrate>(&o);
      return migrate && migrate->fail > 0;
    };
    const std::string knobs = "/sys/kernel/debug/fail_page_alloc/";
    for (const auto& [knob, value] : {std::pair("ignore-gfp-wait", "N"), {"ignore-gfp-highmem", "N"}, {"min-order", "0"}})
      if (any_operation(program_, fails))
        unless("says(\"" + knobs + knob + "\", \"" + value + "\")", std::string("echo ") + value + " > " + knobs + knob);
    if (any_operation(program_, pages_out)) text += "\tif (says(\"/proc/swaps\", \"\\n/\"))\n\t\terrx(2, \"swapoff -a\");\n";
    return text;
  }

  std::string start() const {
    std::string text;
    for (std::size_t p = 0; p < program_.processes.size(); ++p)
      text += "\t\ts->left[" + names_.process(static_cast<int>(p)) + "] = " + std::to_string(threads_of_[p].size()) + ";\n";
    std::string all = listed([this](const Observable& o) { return "s->" + names_.member(o); });
    for (std::size_t at = all.find(", "); at != all.npos; at = all.find(", ", at)) all.replace(at, 2, " = ");
    if (!all.empty()) text += "\t\t" + all + " = NOT_REACHED;\n";
    for (int p = 0; p < static_cast<int>(program_.processes.size()); ++p)
      if (root(p))
        text += std::string("\t\t") + (speech_.deaths ? "spawn_mortal(" : "spawn(") + names_.process(p) + ", " + names_.run(p) +
                ");\n";
    return text;
  }

  // "WAIT(a && b)" with one text for each process.
  template <typename TextOf>
  std::string wait_for(TextOf text_of) const {
    std::string all;
    for (int p = 0; p < static_cast<int>(program_.processes.size()); ++p)
      if (const std::string each = text_of(p); !each.empty()) all += (all.empty() ? "" : " && ") + each;
    return "\t\tWAIT(" + all + ");\n";
  }

  std::string wait() const {
    std::string text = wait_for(
        [this](int p) { return speech_.deaths ? "at_rest(" + names_.process(p) + ")" : "!s->left[" + names_.process(p) + "]"; });
    const auto phase = [&](int number, Observable::Kind kind) {
      if (std::ranges::find(phases_, number) == phases_.end()) return;
      text += "\t\ts->phase = " + std::to_string(number) + ";\n" + wait_for([&](int p) {
                if (looks_of(p, kind).empty()) return std::string();
                const std::string looked = "s->looked[" + names_.process(p) + "] == " + std::to_string(number);
                return speech_.deaths ? "(dead(" + names_.process(p) + ") || " + looked + ")" : looked;
              });
    };
    phase(1, Observable::Kind::location);
    for (const Observable& o : schema_)
      if (wanted_.contains(&o) && o.kind == Observable::Kind::identity) {
        const Observe& observe = program_.observes[o.observe];
        text += "\t\ts->" + names_.member(o) + " = same(" + names_.process(observe.process) + ", " + names_.page(observe.cell) +
                ", " + names_.process(observe.process2) + ", " + names_.page(observe.cell2) + ");\n";
      }
    phase(2, Observable::Kind::value);
    return text;
  }

  std::string print() const {
    std::string text;
    for (const Observable& o : schema_) {
      if (!wanted_.contains(&o)) continue;
      text += "\t\t\tshow(\"" + o.key + "\", s->" + names_.member(o) + ");\n";
      if (snapshot_of(o)) text += "\t\t\tprintf(\" \\\"%s\\\"\", s->" + names_.member(o) + "_pages);\n";
    }
    return text;
  }

  const Program& program_;
  Names names_;
  Speech speech_;
  std::vector<Observable> schema_;
  std::vector<std::vector<int>> threads_of_;
  std::vector<int> main_of_;  // by process: the thread that its first thread runs; -1: it has none
  std::vector<int> first_slot_;
  std::set<const Observable*> wanted_;
  std::vector<int> phases_;  // of the looks at the end: 1 where pages are, 2 their values
  std::string shows_;
};

}  // namespace

std::string c_text(const Program& program, const Condition& shows, Machine machine, const Story& story) {
  const Generator generator(program, shows, machine);
  return comment(program, machine, story) + assembled(generator.parts());
}

}  // namespace faultline::repro
