#include "stress/direct_io/slow_device.h"

#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "stress/direct_io/door.h"

namespace faultline::direct_io {
namespace {

constexpr const char* name = "slow";

dm_ioctl request(std::size_t bytes) {
  dm_ioctl r{};
  r.version[0] = DM_VERSION_MAJOR;
  r.data_size = static_cast<std::uint32_t>(bytes);
  r.data_start = sizeof r;
  std::strcpy(r.name, name);
  return r;
}

}  // namespace

SlowDevice::SlowDevice(const std::string& backing) : backing_(backing) {
  std::uint64_t bytes = 0;
  must(::ioctl(File(backing, O_RDONLY), BLKGETSIZE64, &bytes), "size of " + backing);
  sectors_ = static_cast<long long>(bytes / 512);
  control_ = must(::open("/dev/mapper/control", O_RDWR | O_CLOEXEC), "open /dev/mapper/control");
  dm_ioctl create = request(sizeof create);
  must(::ioctl(control_, DM_DEV_CREATE, &create), "DM_DEV_CREATE");
  delay(milliseconds(0));
}

void SlowDevice::delay(milliseconds each) {
  load_table(each);
  dm_ioctl resume = request(sizeof resume);  // suspends first, which drains requests; the file system is not frozen
  resume.flags = DM_SKIP_LOCKFS_FLAG;
  must(::ioctl(control_, DM_DEV_SUSPEND, &resume), "DM_DEV_SUSPEND");
  delay_ = each;
}

void SlowDevice::load_table(milliseconds each) {
  const std::string parameters = backing_ + " 0 " + std::to_string(each.count());
  struct {
    dm_ioctl head;
    dm_target_spec target;
    char parameters[64];
  } table{};
  static_assert(sizeof table == sizeof table.head + sizeof table.target + sizeof table.parameters);
  if (parameters.size() >= sizeof table.parameters) throw std::length_error("the name of " + backing_);
  table.head = request(sizeof table);
  table.head.target_count = 1;
  table.target.length = static_cast<std::uint64_t>(sectors_);
  std::strcpy(table.target.target_type, "delay");
  std::strcpy(table.parameters, parameters.c_str());
  must(::ioctl(control_, DM_TABLE_LOAD, &table), "DM_TABLE_LOAD delay " + parameters);
}

void mount_image(const std::string& image, const std::string& device, const std::string& folder) {
  {
    const File from(image, O_RDONLY), to(device, O_WRONLY);
    std::vector<char> block(1 << 20);
    while (const ssize_t got = must(::read(from, block.data(), block.size()), "read " + image))
      must(::write(to, block.data(), static_cast<std::size_t>(got)), "write " + device);
    must(::fsync(to), "fsync " + device);
  }
  must(::mkdir(folder.c_str(), 0700), "mkdir " + folder);
  must(::mount(device.c_str(), folder.c_str(), "ext4", MS_NOATIME, ""), "mount " + device);
}

}  // namespace faultline::direct_io
