// `faultline record` preloads this library, as the first one, into the programs that it runs. Each open and ioctl of a DRM
// or KFD node becomes two lines of the trace: one before it, because a driver may never answer, and one after it. Each
// read of KFD's events becomes one line.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "drm_glue/record/blocks.h"
#include "drm_glue/record/trace_file.h"

namespace faultline::record {
namespace {

// One open() and all duplicates of its descriptor. Never freed: another thread may be using it.
struct Client {
  std::string name, node, driver;
  dev_t device = 0;
  ino_t inode = 0;
  bool events = false;  // this is the descriptor that AMDKFD_IOC_SMI_EVENTS gave to the client of this name
  const Client* before = nullptr;
};
std::atomic<const Client*> last;                        // head of the list of all clients
std::array<std::atomic<const Client*>, 65536> clients;  // by descriptor; we do not see every close
std::atomic<unsigned> count;                            // of clients and requests; a forked child continues it

// > 0 inside a recorded call: the calls that a lower library makes are not recorded.
thread_local int depth = 0;
struct Inside {
  Inside() { ++depth; }
  ~Inside() { --depth; }
};

struct KeepErrno {
  const int value = errno;
  ~KeepErrno() { errno = value; }
};

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

std::string new_name() { return std::to_string(getpid()) + "." + std::to_string(++count); }

// "/dev/dri/renderD128"; empty if the path is not a DRM or KFD node.
std::string node_of(const char* path) {
  if (!path) return "";
  if (std::strcmp(path, "/dev/kfd") == 0) return path;
  if (std::strncmp(path, "/dev/dri/", 9) != 0) return "";
  char real[PATH_MAX];
  return std::strchr(path + 9, '/') && realpath(path, real) ? real : path;  // by-path/...
}

std::string driver_of(const std::string& node) {
  if (node == "/dev/kfd") return "kfd";
  const std::string link = "/sys/class/drm" + node.substr(node.rfind('/')) + "/device/driver";
  char target[PATH_MAX];
  const ssize_t length = readlink(link.c_str(), target, sizeof target);
  const std::string path(target, length < 0 ? 0 : static_cast<std::size_t>(length));
  return path.substr(path.rfind('/') + 1);
}

Client* keep(const Client& given) {
  auto* client = new Client(given);
  client->before = last;
  while (!last.compare_exchange_weak(client->before, client)) {}
  return client;
}

Client* new_client(const std::string& node) { return keep({new_name(), node, driver_of(node)}); }

void identify(int fd, Client& client) {
  struct stat status {};
  if (syscall(SYS_fstat, fd, &status) != 0) return;  // a raw system call, to bypass umockdev
  client.device = status.st_dev;
  client.inode = status.st_ino;
}

std::atomic<const Client*>* slot(int fd) {
  return fd >= 0 && static_cast<std::size_t>(fd) < clients.size() ? &clients[static_cast<std::size_t>(fd)] : nullptr;
}

void write_open(const std::string& request, const Client& client, const char* more) {
  Line line("open");
  line.text("id", request).text("client", client.name).text("node", client.node).text("driver", client.driver);
  line.text("program", program_invocation_short_name).number("t", boot_time());
  if (*more) line.raw(more, "true");
  line.write();
}

// A client for a descriptor that another program had opened; null if it is not one of our nodes.
const Client* inherited(int fd) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const long length = syscall(SYS_readlink, link.c_str(), target, sizeof target - 1);
  if (length <= 0) return nullptr;
  target[length] = '\0';
  const std::string node = node_of(target);
  if (node.empty()) return nullptr;
  Client* const client = new_client(node);
  identify(fd, *client);
  write_open(client->name, *client, "inherited");
  if (auto* at = slot(fd)) *at = client;
  return client;
}

bool is_still(int fd, const Client& client) {
  Client now;
  identify(fd, now);
  return now.device == client.device && now.inode == client.inode;
}

const Client* client_of(int fd) {
  const auto* at = slot(fd);
  const Client* client = at ? at->load() : nullptr;
  return client && !client->events && is_still(fd, *client) ? client : inherited(fd);
}

void note_events(const Client& client, std::uintptr_t argument) {
  const std::string bytes = read_memory(argument, 8);  // struct kfd_ioctl_smi_events_args
  if (bytes.size() != 8) return;
  int fd;
  std::memcpy(&fd, bytes.data() + 4, sizeof fd);
  Client* const events = keep(client);
  events->events = true;
  identify(fd, *events);
  if (auto* at = slot(fd)) *at = events;
}

std::string error_name(int error) {
  const char* name = strerrorname_np(error);
  return name ? name : "E" + std::to_string(error);
}

Line answer(const std::string& request, long result, int error) {
  Line line("answer");
  line.text("id", request).number("t", boot_time()).number("result", result);
  if (result < 0) line.text("error", error_name(error));
  return line;
}

template <class Call>
int opening(const char* path, Call call) {
  if (depth > 0 || !recording()) return call();
  const Inside inside;
  const int errno_before = errno;
  const std::string node = node_of(path);
  if (node.empty()) {
    errno = errno_before;
    return call();
  }
  Client* const client = new_client(node);
  write_open(client->name, *client, "");
  errno = errno_before;
  const int fd = call();
  const KeepErrno keep;
  if (fd >= 0) identify(fd, *client);
  if (auto* at = slot(fd)) *at = client;
  answer(client->name, fd < 0 ? -1 : 0, keep.value).write();
  return fd;
}

int mode_of(int flags, va_list list) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, int) : 0; }
bool duplicates(int command) { return command == F_DUPFD || command == F_DUPFD_CLOEXEC; }

template <class Call>
int duplicating(int fd, Call call) {
  if (depth > 0 || !recording()) return call();
  const Inside inside;
  const Client* client = slot(fd) ? slot(fd)->load() : nullptr;
  const int copy = call();
  if (auto* at = slot(copy)) *at = client;
  return copy;
}

std::string path(const Block& block) {
  std::string text;
  for (const unsigned each : block.path) text += (text.empty() ? "" : ",") + std::to_string(each);
  return "{\"path\":[" + text + "]";
}

std::string before(const Block& block) {
  std::string text = path(block), loose;
  if (block.filled) text += ",\"filled\":true";
  else text += ",\"bytes\":" + hex(block.bytes);
  if (block.filled || block.bytes.size() < block.wanted) text += ",\"wanted\":" + std::to_string(block.wanted);
  for (const LooseField& each : block.loose) {
    constexpr const char* kinds[] = {"pointer", "address", "descriptor", "time"};
    loose += (loose.empty() ? "[" : ",[") + std::to_string(each.at) + "," + std::to_string(each.bytes) + ",\"" +
             kinds[static_cast<int>(each.kind)] + "\"]";
  }
  return text + (loose.empty() ? "}" : ",\"loose\":[" + loose + "]}");
}

// The blocks that the kernel changed, or may have overwritten with the same bytes.
std::string after(const std::vector<Block>& blocks, bool done) {
  std::string text;
  for (const Block& each : blocks)
    if (const std::string now = read_memory(each.address, each.wanted); now != each.bytes || (each.filled && done))
      text += (text.empty() ? "" : ",") + path(each) + ",\"bytes\":" + hex(now) + "}";
  return text;
}

std::string numeral(unsigned long value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%lx", value);
  return text;
}

int requesting(int fd, unsigned long number, void* argument) {
  const auto call = [&] { return next<int (*)(int, unsigned long, void*)>("ioctl")(fd, number, argument); };
  if (depth > 0 || !recording()) return call();
  const Inside inside;
  const int errno_before = errno;
  const Client* client = client_of(fd);
  errno = errno_before;
  if (!client) return call();

  const std::string id = new_name();
  const Known known = look_up(client->driver, static_cast<std::uint32_t>(number));
  const auto address = reinterpret_cast<std::uintptr_t>(argument);
  std::vector<Block> blocks;
  if (_IOC_SIZE(number) != 0) blocks = read_blocks(address, _IOC_SIZE(number), known.shape);
  if (_IOC_DIR(number) == _IOC_READ && known.shape) blocks[0].filled = true;
  std::string memory;
  for (const Block& each : blocks) memory += (memory.empty() ? "" : ",") + before(each);
  Line ask("ask");
  ask.text("id", id).text("client", client->name).number("thread", gettid()).number("t", boot_time());
  ask.text("number", numeral(number));
  if (!known.name.empty()) ask.text("name", known.name);
  if (!known.shape) ask.raw("followed", "false");
  if (blocks.empty()) ask.text("value", numeral(address));
  else ask.raw("memory", "[" + memory + "]");
  ask.write();

  errno = errno_before;
  const int result = call();
  const KeepErrno keep;
  memory = after(blocks, result >= 0);
  if (result >= 0 && !blocks.empty() && blocks[0].bytes.empty()) complain("arguments cannot be read here");
  Line answered = answer(id, result, keep.value);
  if (!memory.empty()) answered.raw("memory", "[" + memory + "]");
  answered.write();
  if (result >= 0 && known.name == "AMDKFD_IOC_SMI_EVENTS") note_events(*client, address);
  return result;
}

ssize_t reading(int fd, void* buffer, std::size_t bytes) {
  static const auto call = next<ssize_t (*)(int, void*, std::size_t)>("read");
  const auto* at = slot(fd);
  const Client* client = at ? at->load() : nullptr;
  const ssize_t got = call(fd, buffer, bytes);
  if (got <= 0 || !client || !client->events || depth > 0 || !is_still(fd, *client)) return got;
  const Inside inside;
  const KeepErrno keep;
  Line line("events");
  line.text("client", client->name).number("t", boot_time());
  line.text("text", {static_cast<const char*>(buffer), static_cast<std::size_t>(got)}).write();
  return got;
}

}  // namespace
}  // namespace faultline::record

using namespace faultline::record;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = mode_of(flags, list);
  va_end(list);
  return opening(path, [&] { return next<int (*)(const char*, int, int)>("open")(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = mode_of(flags, list);
  va_end(list);
  return opening(path, [&] { return next<int (*)(const char*, int, int)>("open64")(path, flags, mode); });
}

int openat(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = mode_of(flags, list);
  va_end(list);
  return opening(path, [&] { return next<int (*)(int, const char*, int, int)>("openat")(folder, path, flags, mode); });
}

int openat64(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const int mode = mode_of(flags, list);
  va_end(list);
  return opening(path, [&] { return next<int (*)(int, const char*, int, int)>("openat64")(folder, path, flags, mode); });
}

// Programs built with _FORTIFY_SOURCE call these.
int __open_2(const char* path, int flags) { return open(path, flags); }
int __open64_2(const char* path, int flags) { return open64(path, flags); }
int __openat_2(int folder, const char* path, int flags) { return openat(folder, path, flags); }
int __openat64_2(int folder, const char* path, int flags) { return openat64(folder, path, flags); }

int dup(int fd) noexcept {
  return duplicating(fd, [&] { return next<int (*)(int)>("dup")(fd); });
}
int dup2(int fd, int copy) noexcept {
  return duplicating(fd, [&] { return next<int (*)(int, int)>("dup2")(fd, copy); });
}
int dup3(int fd, int copy, int flags) noexcept {
  return duplicating(fd, [&] { return next<int (*)(int, int, int)>("dup3")(fd, copy, flags); });
}

int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  const auto call = [&] { return next<int (*)(int, int, void*)>("fcntl")(fd, command, argument); };
  return duplicates(command) ? duplicating(fd, call) : call();
}

int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  const auto call = [&] { return next<int (*)(int, int, void*)>("fcntl64")(fd, command, argument); };
  return duplicates(command) ? duplicating(fd, call) : call();
}

ssize_t read(int fd, void* buffer, std::size_t bytes) { return reading(fd, buffer, bytes); }

int close(int fd) {
  // is_still() would not notice a reuse among anonymous inodes: they all share one inode.
  if (auto* at = slot(fd)) *at = nullptr;
  return next<int (*)(int)>("close")(fd);
}

int ioctl(int fd, unsigned long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  void* argument = va_arg(list, void*);
  va_end(list);
  return requesting(fd, number, argument);
}
}
