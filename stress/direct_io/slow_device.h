// A block device that is slow on purpose and keeps its data: dm-delay over a RAM disk.
//
// dm-delay holds a request for the time given and only then passes it on, so what a read brings reaches
// memory at the end of that time, and what a write sends is read from memory at the end. (null_blk with
// memory_backed copies at once and only tells of it late: no good here.)
#pragma once

#include <chrono>
#include <string>

namespace faultline::direct_io {

using std::chrono::milliseconds;

class SlowDevice {
 public:
  // Makes /dev/dm-0 of all of `backing`, without delay.
  explicit SlowDevice(const std::string& backing);

  // Of each request from now on, read or write; waits for those under way.
  void delay(milliseconds each);
  milliseconds delay() const { return delay_; }

 private:
  void load_table(milliseconds each);

  std::string backing_;
  long long sectors_;
  int control_;
  milliseconds delay_{0};
};

// Writes the file system image to a block device and mounts it as ext4.
void mount_image(const std::string& image, const std::string& device, const std::string& folder);

}  // namespace faultline::direct_io
