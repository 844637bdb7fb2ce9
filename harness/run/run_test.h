// For tests of whole runs, with fake_agent.py in the place of machines.
#pragma once

#include "harness/run/run.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "harness/language/parser.h"

namespace faultline {

namespace fs = std::filesystem;
using nlohmann::json;

inline Scenario scenario(const std::string& name) {
  Scenario result;
  result.file = name + ".scn";
  result.text = "scenario " + name + "\nprocess P\n  a: 1 pages anon rw = 7\n  r0 = load a[0]\n";
  result.program = parse(result.text, result.file);
  return result;
}

inline Allowed seven(const Program& program, DeviceClass, const std::function<bool(std::uint64_t)>&) {
  Allowed allowed;
  allowed.schema = schema(program);
  allowed.outcomes = {{"7"}};
  allowed.complete = true;
  return allowed;
}

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "run-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    options_.targets = {{"", "host"}};
    options_.iterations = 500;
    options_.deadline_ms = 100;
    options_.patience.grace = std::chrono::milliseconds(300);
    options_.machine = [this](const std::string& place, int number) {
      machines_++;
      Machine::Spec spec;
      spec.name = place;
      spec.command = {"/usr/bin/python3", "harness/run/fake_agent.py"};
      spec.command.insert(spec.command.end(), words_.begin(), words_.end());
      if (!place.empty()) {
        spec.console = folder_ / (place + std::to_string(number));
        spec.errors = spec.console + ".log";
        spec.device_log = log_;
        spec.command.insert(spec.command.end(), {"--console", "{console}"});
      }
      return spec;
    };
    events_.note = [this](const std::string& line) { notes_.push_back(line); };
    events_.trial = [this](const Trial& trial) { told_.push_back(trial.program.name); };
  }
  void TearDown() override { fs::remove_all(folder_); }

  RunResult go(const std::vector<std::string>& words, const std::vector<std::string>& names = {"one", "two"}) {
    words_ = words;
    std::vector<Scenario> scenarios;
    for (const std::string& name : names) scenarios.push_back(scenario(name));
    Journal journal(path());
    return run(scenarios, options_, predictor_, journal, events_);
  }
  std::string path() const { return folder_ / "journal.jsonl"; }
  std::vector<json> records(const std::string& event) {
    std::vector<json> result;
    std::ifstream file(path());
    for (std::string line; std::getline(file, line);)
      if (json record = json::parse(line); record["ev"] == event) result.push_back(record);
    return result;
  }

  fs::path folder_;
  std::string log_;  // of a GPU in software
  std::vector<std::string> words_;
  RunOptions options_;
  RunEvents events_;
  Predictor predictor_ = seven;
  std::vector<std::string> notes_;
  std::vector<std::string> told_;
  int machines_ = 0;
};

}  // namespace faultline
