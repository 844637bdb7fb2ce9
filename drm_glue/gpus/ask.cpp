#include "drm_glue/gpus/ask.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "harness/outcome.h"

namespace faultline {
namespace {

// Users and groups are read from their files: the agent is linked statically and has no NSS.
std::string user_name() {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen("/etc/passwd", "re"), fclose);
  while (const passwd* entry = file ? fgetpwent(file.get()) : nullptr)
    if (entry->pw_uid == geteuid()) return entry->pw_name;
  return "$USER";
}

}  // namespace

std::string group_name(unsigned number) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen("/etc/group", "re"), fclose);
  while (const group* entry = file ? fgetgrent(file.get()) : nullptr)
    if (entry->gr_gid == number) return entry->gr_name;
  return std::to_string(number);
}

GpuSvm cannot_open(const std::string& node, int error) {
  GpuSvm svm{.why_not = node + ": " + errno_text(error)};
  struct stat status {};
  if (error != EACCES || stat(node.c_str(), &status) != 0) return svm;
  svm.why_not = "no permission on " + node;
  if ((status.st_mode & 0060) == 0060 && status.st_gid != 0) {
    const std::string name = group_name(status.st_gid);
    svm.why_not += ", which is for the group " + name;
    svm.help = "usermod -aG " + name + " " + user_name() + ", and a new login";
  } else {
    svm.why_not += ", which is for root";
    svm.help = "run as root, or a udev rule that gives the node to a group";
  }
  return svm;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Settings module_parameters(const std::string& module, const std::vector<std::string>& names) {
  Settings result;
  for (const std::string& name : names)
    if (const std::string value = first_line("/sys/module/" + module + "/parameters/" + name); !value.empty())
      result.emplace_back(module + "." + name, value);
  return result;
}

Settings options(const KernelConfig& config, const std::vector<std::string>& names) {
  Settings result;
  for (const std::string& name : names)
    if (config.known()) result.emplace_back(name, config.value(name));
  return result;
}

}  // namespace faultline
