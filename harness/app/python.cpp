// The Python module: parse, predict, run, judge. Results are plain dicts and lists. Runs happen in the agent's process, while
// the GIL is released.
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "harness/app/app.h"
#include "harness/app/python_machine.h"
#include "harness/language/diagnostic.h"
#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/language/words.h"
#include "harness/run/known_bugs.h"
#include "harness/run/slice.h"
#include "kernels_ref/predict.h"
#include "results/report.h"

namespace py = pybind11;
using namespace pybind11::literals;

namespace faultline::app {
namespace {

std::vector<std::string> keys_of(const std::vector<Observable>& observables) {
  std::vector<std::string> keys;
  for (const Observable& observable : observables) keys.push_back(observable.key);
  return keys;
}

py::dict to_dict(const std::vector<Observable>& observables, const Outcome& outcome) {
  py::dict result;
  for (std::size_t i = 0; i < observables.size(); ++i) result[py::str(observables[i].key)] = outcome.at(i);
  return result;
}

DeviceClass class_of(const std::string& word) {
  if (const auto found = words::find(words::device_classes, word)) return *found;
  std::string known;
  for (const std::string& each : words::all(words::device_classes)) known += (known.empty() ? "" : ", ") + each;
  throw py::value_error("unknown device class '" + word + "'; there are " + known);
}

using Source = std::variant<std::shared_ptr<Program>, std::string>;

std::shared_ptr<Program> program_of(const Source& source) {
  if (const auto* program = std::get_if<std::shared_ptr<Program>>(&source)) return *program;
  return std::make_shared<Program>(parse(std::get<std::string>(source), "<text>"));
}

std::string text_of(const Source& source) {
  if (const auto* text = std::get_if<std::string>(&source)) return *text;
  return print(*std::get<std::shared_ptr<Program>>(source));
}

// A prediction together with its program, which is needed to read and to project it.
struct Prediction {
  std::shared_ptr<Program> program;
  DeviceClass device_class = DeviceClass::recoverable;
  Allowed allowed;
};

std::shared_ptr<Prediction> predict_source(const Source& source, const std::optional<std::string>& device_class,
                                           const std::optional<std::uint64_t>& states,
                                           const std::vector<std::string>& without = {}) {
  auto result = std::make_shared<Prediction>();
  result->program = program_of(source);
  result->device_class = device_class ? class_of(*device_class) : class_of_claims(*result->program);
  Facets facets;
  facets.device_class = result->device_class;
  for (const std::string& name : without) {
    const std::optional<ref::Rule> rule = ref::named<ref::Rule>(name);
    if (!rule) throw py::value_error("unknown rule '" + name + "' (kernels_ref/mm/rules.h)");
    facets.dropped.set(static_cast<std::size_t>(*rule));
  }
  Budget budget;
  if (states) budget.states = *states;
  Interrupts interrupts;
  {
    const py::gil_scoped_release release;
    result->allowed = predict(*result->program, facets, budget, [&](std::uint64_t) { return interrupts.asked() == Stop::none; });
  }
  interrupts.raise();
  if (!result->allowed.waiting.empty()) {
    // Print the program for the error message, because a Program does not keep its text.
    const Scenario scenario{"<text>", text_of(source), parse(text_of(source), "<text>")};
    throw ParseError(endless_wait(scenario, result->allowed));
  }
  return result;
}

py::list outcomes_of(const Prediction& prediction) {
  py::list list;
  for (const Outcome& outcome : prediction.allowed.outcomes) list.append(to_dict(prediction.allowed.schema, outcome));
  return list;
}

py::list claims_of(const Prediction& prediction) {
  static constexpr const char* states[] = {"holds", "refuted", "undecided"};
  py::list list;
  for (const Claim& claim : prediction.program->claims) {
    const ClaimCheck check = check_claim(claim, prediction.allowed);
    std::string text = print(claim);
    while (text.ends_with('\n')) text.pop_back();
    py::object example = py::none();
    if (check.counterexample) example = to_dict(prediction.allowed.schema, *check.counterexample);
    list.append(py::dict("claim"_a = text, "state"_a = states[static_cast<int>(check.state)], "counterexample"_a = example));
  }
  return list;
}

// The sight that gives a schema with exactly these keys.
std::optional<Sight> sight_of(const Program& program, const std::map<std::string, std::string>& outcome) {
  for (unsigned bits = 0; bits < 16; ++bits) {
    const Sight sight{(bits & 1) == 0, (bits & 2) == 0, (bits & 4) == 0, (bits & 8) == 0};
    const std::vector<std::string> keys = keys_of(schema(program, sight));
    if (keys.size() == outcome.size() &&
        std::all_of(keys.begin(), keys.end(), [&](const std::string& key) { return outcome.contains(key); }))
      return sight;
  }
  return std::nullopt;
}

std::string judge_outcomes(const Source& source, const Prediction& prediction,
                           const std::vector<std::map<std::string, std::string>>& outcomes) {
  const std::shared_ptr<Program> program = program_of(source);
  if (outcomes.empty()) return verdict_text(judge(prediction.allowed, {}));
  const std::optional<Sight> sight = sight_of(*program, outcomes.front());
  if (!sight) throw py::value_error("the outcome's keys are not those of the program's schema");
  const Allowed allowed = project(prediction.allowed, *program, *sight);
  std::vector<Outcome> seen;
  for (const auto& outcome : outcomes) {
    if (sight_of(*program, outcome) != sight) throw py::value_error("the outcomes have different keys");
    Outcome texts;
    for (const Observable& observable : allowed.schema) texts.push_back(outcome.at(observable.key));
    seen.push_back(std::move(texts));
  }
  return verdict_text(judge(allowed, seen));
}

py::dict hello_of(PythonMachine& machine) {
  const agent::HelloEvent& hello = machine.session().hello();
  py::dict targets;
  for (const agent::TargetInfo& target : hello.targets) {
    const Capabilities& can = target.capabilities;
    py::dict told("available"_a = target.available, "why"_a = target.why, "crashed"_a = target.crashed,
                  "device_class"_a = words::text(words::device_classes, can.device_class));
    for (const Capability& row : capability_table) told[py::str(row.name)] = row.of(can);
    for (const UsmKind& kind : usm_kinds) {
      py::dict usm;
      for (const UsmCapability& row : usm_table) usm[py::str(row.name)] = can.*kind.member.*row.member;
      told[py::str("usm_" + std::string(kind.name))] = usm;
    }
    targets[py::str(target.name)] = told;
  }
  return py::dict("agent"_a = hello.agent, "kernel"_a = hello.kernel, "arch"_a = hello.arch, "cpus"_a = hello.cpus,
                  "root"_a = hello.root, "log"_a = hello.log, "targets"_a = targets);
}

py::dict to_dict(const Trial& trial) {
  py::list outcomes;
  for (const auto& [outcome, tally] : trial.seen)
    outcomes.append(py::dict("outcome"_a = to_dict(trial.allowed.schema, outcome), "count"_a = tally.count,
                             "first"_a = tally.iteration, "allowed"_a = allowed_by(trial.allowed, outcome).has_value()));
  py::list forbidden;
  for (const Outcome& outcome : not_allowed(trial)) forbidden.append(to_dict(trial.allowed.schema, outcome));
  py::dict calls;
  for (const DriverCalls::Function& function : trial.calls.functions) calls[py::str(function.name)] = function.calls;
  return py::dict("verdict"_a = verdict_text(verdict(trial)), "reason"_a = reason(trial), "outcomes"_a = outcomes,
                  "not_allowed"_a = forbidden, "allowed"_a = trial.allowed.outcomes.size(),
                  "allowed_seen"_a = allowed_seen(trial), "complete"_a = trial.allowed.complete,
                  "iterations"_a = trial.iterations, "seconds"_a = trial.seconds, "seed"_a = trial.seed,
                  "target"_a = trial.target, "kernel"_a = trial.kernel, "health"_a = trial.health, "known"_a = trial.known,
                  "crash"_a = trial.crash, "hang"_a = trial.hang, "threads"_a = trial.threads, "lost"_a = trial.lost,
                  "words"_a = trial.words, "driver"_a = trial.driver, "calls"_a = calls,
                  "calls_why_none"_a = trial.calls.why_none, "error"_a = trial.error, "skipped"_a = trial.skipped);
}

py::dict run_source(const Source& source, const std::string& target, std::uint64_t iterations, std::optional<std::uint64_t> seed,
                    std::shared_ptr<PythonMachine> machine, std::shared_ptr<Prediction> prediction, double deadline) {
  const TargetWord word = [&] {
    try {
      return parse_target(target);
    } catch (const BadInput& error) {
      throw py::value_error(error.what());
    }
  }();
  const std::shared_ptr<Program> program = program_of(source);
  if (!machine) machine = std::make_shared<PythonMachine>(word.machine(), "", "");
  Interrupts interrupts;
  std::unique_lock<std::mutex> lock(machine->mutex(), std::defer_lock);
  {
    const py::gil_scoped_release release;
    lock.lock();
  }
  Session& session = machine->session();
  const agent::TargetInfo* info = find_target(session.hello(), word.name);
  Trial trial;
  trial.target = target;
  trial.program = *program;
  trial.kernel = session.hello().kernel;
  trial.seed = seed ? *seed : std::random_device{}();
  trial.started = true;
  if (info && info->crashed) {
    trial.crash = info->why;
    return to_dict(trial);
  }
  if (!info || !info->available) throw std::runtime_error("the target " + target + " is not here: " + (info ? info->why : ""));
  trial.skipped = cannot_run(*program, info->capabilities);
  if (!trial.skipped.empty()) return to_dict(trial);
  if (!prediction) {
    prediction = predict_source(program, words::text(words::device_classes, info->capabilities.device_class), {});
  } else if (prediction->device_class != info->capabilities.device_class) {
    throw py::value_error("the prediction is for another device class than the target's");
  }
  trial.skipped = cannot_run(*program, prediction->allowed, info->capabilities);
  if (!trial.skipped.empty()) return to_dict(trial);
  trial.allowed = project(prediction->allowed, *program, info->capabilities.sight);
  trial.skipped = known_bug_in_the_way(trial.allowed.known_bugs, word.name, trial.kernel);
  if (!trial.allowed.undefined.empty()) trial.skipped = "its behaviour is undefined: " + trial.allowed.undefined;
  if (!trial.allowed.unknown.empty()) trial.skipped = "nothing is predicted: " + trial.allowed.unknown;
  if (!trial.skipped.empty()) return to_dict(trial);
  Session::Slice slice;
  slice.target = info->name;
  slice.text = text_of(source);
  slice.file = program->name;
  slice.plan.seed = trial.seed;
  slice.plan.iterations = iterations;
  slice.plan.deadline_ms = static_cast<int>(deadline * 1000);
  {
    const py::gil_scoped_release release;
    run_slice(session, slice, trial, {.raw = {}, .tick = {}, .news = {}, .stop = [&] { return interrupts.asked(); }});
  }
  interrupts.raise();
  return to_dict(trial);
}

}  // namespace

// clang-format off
PYBIND11_MODULE(faultline, module) {
  module.doc() = "Predicts what a scenario of shared virtual memory may show, runs it, and judges what was seen.";

  static PyObject* parse_error = PyErr_NewException("faultline.ParseError", PyExc_ValueError, nullptr);
  module.attr("ParseError") = py::handle(parse_error);
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const ParseError& error) {
      const Diagnostic& diagnostic = error.diagnostic();
      py::object value = py::reinterpret_borrow<py::object>(parse_error)(render(diagnostic));
      value.attr("file") = diagnostic.file;
      value.attr("line") = diagnostic.place.line;
      value.attr("column") = diagnostic.place.column;
      value.attr("message") = diagnostic.message;
      value.attr("suggestion") = diagnostic.suggestion;
      PyErr_SetObject(parse_error, value.ptr());
    }
  });

  py::class_<Program, std::shared_ptr<Program>>(module, "Program")
      .def_readonly("name", &Program::name)
      .def_readonly("doc", &Program::doc)
      .def_property_readonly("threads", [](const Program& program) {
        py::dict threads;
        for (const Thread& thread : program.threads) {
          py::list statements;
          for (const Statement& statement : thread.statements) statements.append(print(program, thread, statement));
          threads[py::str(thread.name)] = statements;
        }
        return threads;
      }, "Statements by thread")
      .def_property_readonly("claims", [](const Program& program) {
        std::vector<std::string> texts;
        for (const Claim& claim : program.claims) texts.push_back(print(claim));
        return texts;
      })
      .def("schema", [](const Program& program, bool faults, bool identity, bool location, bool events) {
        return keys_of(schema(program, {faults, identity, location, events}));
      }, "faults"_a = true, "identity"_a = true, "location"_a = true, "events"_a = true, "Keys of what can be observed")
      .def("print", [](const Program& program) { return print(program); }, "Text that parses to the same program")
      .def("__str__", [](const Program& program) { return print(program); })
      .def("__repr__", [](const Program& program) { return "<faultline.Program " + program.name + ">"; })
      .def("__eq__", [](const Program& a, const Program& b) { return a == b; }, py::is_operator());

  py::class_<Prediction, std::shared_ptr<Prediction>>(module, "Allowed")
      .def_property_readonly("schema", [](const Prediction& each) { return keys_of(each.allowed.schema); })
      .def_property_readonly("outcomes", outcomes_of, "A dict for each allowed outcome")
      .def_property_readonly("complete", [](const Prediction& each) { return each.allowed.complete; })
      .def_property_readonly("states", [](const Prediction& each) { return each.allowed.states; })
      .def_property_readonly("executions", [](const Prediction& each) { return each.allowed.executions; })
      .def_property_readonly("seconds", [](const Prediction& each) { return each.allowed.seconds; })
      .def_property_readonly("undefined", [](const Prediction& each) { return each.allowed.undefined; })
      .def_property_readonly("unknown", [](const Prediction& each) { return each.allowed.unknown; })
      .def_property_readonly("known_bugs", [](const Prediction& each) { return each.allowed.known_bugs; })
      .def_property_readonly("findings", [](const Prediction& each) { return each.allowed.findings; })
      .def_property_readonly("device_class", [](const Prediction& each) {
        return words::text(words::device_classes, each.device_class);
      })
      .def_property_readonly("claims", claims_of)
      .def("__len__", [](const Prediction& each) { return each.allowed.outcomes.size(); });

  py::class_<PythonMachine, std::shared_ptr<PythonMachine>>(module, "Machine")
      .def(py::init<const std::string&, const std::string&, const std::string&>(), "place"_a = "", "kernel"_a = "",
           "append"_a = "", "place: '' for this machine, 'opencl' for it with its OpenCL drivers, 'lab', 'debian13'")
      .def_property_readonly("hello", hello_of)
      .def_property_readonly("started", &PythonMachine::started, "How many times it had to be started")
      .def("crash", &PythonMachine::crash, "Panics the lab's kernel (append='faultline.crash=1')")
      .def("close", &PythonMachine::close)
      .def("__enter__", [](std::shared_ptr<PythonMachine> machine) { return machine; })
      .def("__exit__", [](PythonMachine& machine, const py::args&) { machine.close(); });

  module.def("parse", [](const std::string& text, const std::string& file) {
    return std::make_shared<Program>(parse(text, file));
  }, "text"_a, "file"_a = "<text>", "Scenario text to a Program; raises ParseError");
  module.def("predict", predict_source, "program"_a, "device_class"_a = py::none(), "states"_a = py::none(),
             "without"_a = std::vector<std::string>{},
             "Every outcome that a healthy kernel can show; `states` is the budget, `without` names rules of the "
             "reference to drop");
  module.def("operations", operation_words, "The word that each operation of the language begins with");
  module.def("rules", [] {
    std::vector<std::string> names;
    names.assign(ref::names_of<ref::Rule>.begin(), ref::names_of<ref::Rule>.end());
    return names;
  }, "The rules of the reference, each a thing that a kernel function does");
  module.def("device_classes", [] { return words::all(words::device_classes); }, "Every class that predict() knows");
  module.def("run", run_source, "program"_a, "target"_a = "host", "iterations"_a = 1000, "seed"_a = py::none(),
             "machine"_a = nullptr, "allowed"_a = nullptr, "deadline"_a = 0.0,
             "Runs a program in the agent's process and compares with what is allowed");
  module.def("judge", judge_outcomes, "program"_a, "allowed"_a, "outcomes"_a,
             "The verdict over outcomes, each a dict of key to text");
}
// clang-format on

}  // namespace faultline::app
