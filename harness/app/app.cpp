#include "harness/app/app.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include <sys/wait.h>
#include <unistd.h>

#include "harness/language/diagnostic.h"
#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "kernels_ref/predict.h"

namespace faultline::app {
namespace fs = std::filesystem;
namespace {

std::atomic<int> signals{0};

void on_signal(int) {
  // The third signal ends the process without waiting for anything.
  if (signals.fetch_add(1) >= 2) ::_exit(130);
}

// A terminal that closes says so several times over: that is still one wish to end in good order.
void on_hangup(int) {
  int none = 0;
  signals.compare_exchange_strong(none, 1);
}

std::vector<std::string> files_of(const std::string& path) {
  std::vector<std::string> files;
  if (!fs::is_directory(path)) return {path};
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path))
    if (entry.path().extension() == ".scn" && !entry.is_directory()) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  if (files.empty()) throw BadInput("faultline: " + path + ": no scenario (*.scn) in this folder\n");
  return files;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string executable() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).string();
}

}  // namespace

std::string project_root(const std::string& start) {
  if (const std::string given = environment("FAULTLINE_ROOT"); !given.empty()) return given;
  for (fs::path folder = fs::path(start).parent_path(); !folder.empty(); folder = folder.parent_path()) {
    std::error_code error;
    if (fs::exists(folder / "ci" / "lab", error)) return folder.string();
    if (folder == folder.root_path()) break;
  }
  return fs::current_path().string();
}

std::string project_root() { return project_root(executable()); }

std::vector<std::string> paths_or_all(const std::vector<std::string>& paths, const std::string& root) {
  const std::string all = root + "/stress/scenarios";
  std::error_code error;
  return paths.empty() && fs::is_directory(all, error) ? std::vector{all} : paths;
}

std::vector<Scenario> load_scenarios(const std::vector<std::string>& paths) {
  std::vector<Scenario> scenarios;
  std::set<std::string> seen;
  std::string wrong;
  for (const std::string& path : paths) {
    try {
      for (const std::string& file : files_of(path)) {
        if (!seen.insert(file).second) continue;
        try {
          Scenario scenario;
          scenario.file = file;
          scenario.program = parse_file(file);
          std::ifstream stream(file, std::ios::binary);
          scenario.text.assign(std::istreambuf_iterator<char>(stream), {});
          scenarios.push_back(std::move(scenario));
        } catch (const ParseError& error) {
          wrong += render(error.diagnostic());
        }
      }
    } catch (const BadInput& error) {
      wrong += error.what();
    } catch (const fs::filesystem_error& error) {
      wrong += "faultline: " + path + ": " + error.code().message() + "\n";
    }
  }
  if (!wrong.empty()) throw BadInput(wrong);
  return scenarios;
}

GivenCondition parse_condition(const Program& program, const std::string& condition) {
  // Appended as a claim, so that it is parsed and checked like one.
  GivenCondition given{{}, print(program) + "sometimes " + condition + "\n"};
  try {
    given.condition = parse(given.text, "CONDITION").claims.back().condition;
  } catch (const ParseError& error) {
    throw BadInput(render(error.diagnostic()));
  }
  return given;
}

const std::vector<std::string>& places() {
  static const std::vector<std::string> all = {"lab", "debian13"};
  return all;
}

std::vector<std::string> target_words() {
  return {"host",       "pinned",  "dmirror", "lab:host", "lab:pinned",    "lab:dmirror",
          "lab:amdgpu", "nouveau", "amdgpu",  "opencl",   "debian13:host", "debian13:opencl"};
}

TargetWord parse_target(const std::string& word) {
  TargetWord target{"", word};
  for (const std::string& place : places())
    if (word.starts_with(place + ":")) target = {place, word.substr(place.size() + 1)};
  const std::vector<std::string> words = target_words();
  const std::string family = target.has_devices() ? TargetWord{target.place, target.family()}.word() : word;
  if (std::find(words.begin(), words.end(), family) == words.end()) {
    const std::string suggestion = did_you_mean(word, words);
    std::string known;
    for (const std::string& each : words) known += (known.empty() ? "" : ", ") + each;
    throw BadInput("faultline: unknown target '" + word + "'" +
                   (suggestion.empty() ? "; there are " + known : "; " + suggestion) + "\n");
  }
  return target;
}

std::function<Machine::Spec(const std::string&, int)> machines(const std::string& root, const LabOptions& lab,
                                                               const std::string& prefix) {
  return [=](const std::string& place, int number) {
    Machine::Spec spec;
    spec.name = place.empty() ? "local" : place;
    const std::string files = prefix + spec.name + "-" + std::to_string(number);
    if (!prefix.empty()) spec.errors = files + ".log";
    if (place.empty() || place == "opencl") {
      const std::string own = environment("FAULTLINE_AGENT");
      const std::string name = place.empty() ? "faultline-agent" : "faultline-agent-opencl";
      const std::string beside = (fs::path(executable()).parent_path() / name).string();
      const std::string agent = fs::exists(beside) ? beside : root + "/build/" + name;
      if (own.empty()) spec.command = {agent, "--stdio"};
      else spec.command = {"/bin/sh", "-c", "exec " + own};
      return spec;
    }
    const std::string own = environment("FAULTLINE_LAB");
    if (own.empty()) spec.command = {root + "/ci/lab"};
    else spec.command = {"/bin/sh", "-c", "exec " + own + " \"$@\"", "lab"};
    const bool boots = place == "lab" || place == "lab-gpu";
    const std::string agent = root + (boots ? "/build/faultline-agent" : "/build/faultline-agent-opencl");
    spec.command.insert(spec.command.end(), {boots ? "boot" : "chroot", "--agent", agent});
    if (!boots) return spec;  // it runs on this machine's kernel: no console, and no choice of a kernel
    spec.console = files + ".console";
    if (place == "lab-gpu") {
      spec.command.insert(spec.command.end(), {"--softgpu", root + "/build/softgpu"});
      if (!lab.gpu.empty()) spec.command.push_back("--softgpu-options=" + lab.gpu);
      if (!lab.modules.empty()) spec.command.insert(spec.command.end(), {"--modules", lab.modules});
      spec.device_log = spec.console + ".gpu";
    }
    if (!lab.kernel.empty()) spec.command.insert(spec.command.end(), {"--kernel", lab.kernel});
    if (!lab.flavour.empty()) spec.command.insert(spec.command.end(), {"--flavour", lab.flavour});
    if (!lab.append.empty()) spec.command.push_back("--append=" + lab.append);
    spec.command.insert(spec.command.end(), {"--console", "{console}"});
    return spec;
  };
}

Answer answer_of(const std::string& shell_command) {
  Answer answer;
  std::FILE* pipe = ::popen((shell_command + " 2>&1").c_str(), "r");
  if (!pipe) return answer;
  std::array<char, 4096> bytes;
  while (std::size_t got = std::fread(bytes.data(), 1, bytes.size(), pipe)) answer.words.append(bytes.data(), got);
  const int status = ::pclose(pipe);
  answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  while (answer.words.ends_with('\n')) answer.words.pop_back();
  return answer;
}

Predictor reference() {
  auto known = std::make_shared<std::map<std::pair<std::string, DeviceClass>, Allowed>>();
  return [known](const Program& program, DeviceClass device_class, const std::function<bool(std::uint64_t)>& keep_going) {
    const auto key = std::pair(print(program), device_class);
    if (const auto found = known->find(key); found != known->end()) return found->second;
    bool whole = true;
    Facets facets;
    facets.device_class = device_class;
    Allowed allowed =
        predict(program, facets, {}, [&](std::uint64_t states) { return whole = whole && (!keep_going || keep_going(states)); });
    if (whole) known->emplace(key, allowed);  // do not cache an interrupted prediction
    return allowed;
  };
}

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART, so that blocked calls return and their callers check for a stop
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction before {};
  if (::sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;  // nohup
  action.sa_handler = on_hangup;
  ::sigaction(SIGHUP, &action, nullptr);
}

Stop stop_asked() {
  const int count = signals.load();
  return count == 0 ? Stop::none : count == 1 ? Stop::soon : Stop::now;
}

}  // namespace faultline::app
