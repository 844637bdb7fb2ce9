// faultline: the command line.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/language/diagnostic.h"
#include "harness/run/verdict.h"
#include "harness/version.h"

namespace {

using faultline::did_you_mean;

constexpr const char* about =
    "A test bench for GPU shared virtual memory: predicts what a scenario may show, runs it\n"
    "on a kernel or a device, and says whether what was seen is allowed.";

constexpr const char* examples =
    "Examples:\n"
    "  faultline targets                         what can be tested here\n"
    "  faultline predict fork.scn                every outcome that a healthy kernel can show\n"
    "  faultline run fork.scn                    on this machine's own mm\n"
    "  faultline run -t lab:dmirror stress/scenarios\n"
    "                                            all of them, in the virtual lab\n"
    "  faultline storm fault -t lab:dmirror      hundreds of device faults at once: how long calls take\n"
    "  faultline stress                          ten minutes of everything on what is here\n"
    "  faultline shrink -t lab:dmirror fork.scn  the smallest scenario that still shows what fork.scn shows\n"
    "  faultline explain fork.scn                how an outcome comes about, or what forbids it\n"
    "  faultline repro fork.scn -o repro.c       one C file that shows the bug, for a mail\n"
    "  faultline claims                          what kernel mail threads claim, decided\n"
    "  faultline record gpu.trace                records requests to GPUs and their answers, for a bug report\n"
    "  faultline score --reference               historic bugs, and what catches each\n"
    "\n"
    "Exit codes: 0 all agree, 1 something was found, 2 bad usage or input, 3 nothing could be\n"
    "decided, 4 the bench itself failed. 'faultline COMMAND --help' tells more.";

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

int usage(const std::string& message, const std::string& suggestion, const std::string& help) {
  std::fprintf(stderr, "faultline: %s%s\nTry '%s --help'.\n", message.c_str(),
               suggestion.empty() ? "" : ("; " + suggestion).c_str(), help.c_str());
  return faultline::exits::usage;
}

int bad_usage(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> used = app.get_subcommands();
  const CLI::App& command = used.empty() ? app : *used.front();
  const std::string help = used.empty() ? "faultline" : "faultline " + command.get_name();
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    const std::vector<std::string> extras = app.remaining(true);
    const std::string word = extras.empty() ? "" : extras.front();
    const bool option = word.starts_with("-");
    return usage((option ? "unknown option '" : "unexpected argument '") + word + "'",
                 option ? did_you_mean(word, option_names(command)) : "", help);
  }
  return usage(error.what(), "", help);
}

int faultline_command(int argc, char** argv) {
  int status = faultline::exits::agree;
  CLI::App app{about, "faultline"};
  app.footer(examples);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.set_version_flag("--version", std::string("faultline ") + faultline::version, "Print the version");
  faultline::app::add_targets(app, status);
  faultline::app::add_predict(app, status);
  faultline::app::add_explain(app, status);
  faultline::app::add_claims(app, status);
  faultline::app::add_score(app, status);
  faultline::app::add_run(app, status);
  faultline::app::add_repro(app, status);
  faultline::app::add_storm(app, status);
  faultline::app::add_stress(app, status);
  faultline::app::add_shrink(app, status);
  faultline::app::add_record(app, status);

  if (argc < 2) {
    std::fputs(app.help().c_str(), stderr);
    return faultline::exits::usage;
  }
  const std::string first = argv[1];
  const std::vector<std::string> commands = command_names(app);
  if (!first.starts_with("-") && std::find(commands.begin(), commands.end(), first) == commands.end()) {
    std::string known;
    for (const std::string& name : commands) known += (known.empty() ? "" : ", ") + name;
    const std::string suggestion = did_you_mean(first, commands);
    return usage("unknown command '" + first + "'", suggestion.empty() ? "there are " + known : suggestion, "faultline");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return bad_usage(app, error);
  } catch (const faultline::app::BadInput& error) {
    std::fputs(error.what(), stderr);
    return faultline::exits::usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "faultline: %s\n", error.what());
    return faultline::exits::bench;
  }
  return status;
}

// A descriptor that the caller closed would become that of the journal, and a message would go there.
void open_standard_streams() {
  for (int fd = ::open("/dev/null", O_RDWR); fd >= 0; fd = ::open("/dev/null", O_RDWR))
    if (fd > STDERR_FILENO) {
      ::close(fd);
      return;
    }
}

// Output that is lost is no success, even if all agreed.
int with_output(int status) {
  const bool written = std::cout.flush().good() && std::fflush(stdout) == 0;
  if (written) return status;
  std::fputs("faultline: standard output could not be written; what it shows is not complete\n", stderr);
  return status == faultline::exits::agree ? faultline::exits::bench : status;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  const int status = with_output(faultline_command(argc, argv));
  // Look at the words themselves: even if the command line could not be parsed, git must not take the error for a bad commit.
  const bool bisects = std::any_of(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--bisect"; });
  return bisects ? faultline::bisect_code(status) : status;
}
