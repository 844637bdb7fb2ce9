// A block device that is slow on purpose and keeps its data: dm-delay over a RAM disk.
//
// dm-delay holds each request for a given time and then passes it on. So the data of a read reaches memory at the end of
// that time, and the data of a write leaves memory at the end. (null_blk with memory_backed is no use here: it copies at
// once and only reports the end late.)
#pragma once

#include <chrono>
#include <string>

namespace faultline::direct_io {

using std::chrono::milliseconds;

class SlowDevice {
 public:
  // Makes /dev/dm-0 over all of `backing`, without delay.
  explicit SlowDevice(const std::string& backing);

  // Sets the delay of each later request, read or write. Waits for requests in flight.
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
