// The subcommands. Each adds itself to the command line; `status` gets the exit code when it has run.
// A new one needs a file here, a line below and a line in main.cpp.
#pragma once

#include <CLI/CLI.hpp>

namespace faultline::app {

void add_targets(CLI::App& app, int& status);
void add_predict(CLI::App& app, int& status);
void add_run(CLI::App& app, int& status);
void add_stress(CLI::App& app, int& status);
void add_shrink(CLI::App& app, int& status);
void add_explain(CLI::App& app, int& status);
void add_claims(CLI::App& app, int& status);
void add_score(CLI::App& app, int& status);
void add_repro(CLI::App& app, int& status);
void add_storm(CLI::App& app, int& status);
void add_record(CLI::App& app, int& status);

}  // namespace faultline::app
