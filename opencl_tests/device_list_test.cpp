#include "opencl_tests/device_list.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace faultline::opencl {
namespace {

// OCL_ICD_VENDORS names a folder. The loader reads it in the child of list_devices().
class Drivers : public ::testing::Test {
 protected:
  Drivers() {
    folder_ = (std::filesystem::temp_directory_path() / "faultline-icd-XXXXXX").string();
    if (!mkdtemp(folder_.data())) ADD_FAILURE() << "mkdtemp";
    setenv("OCL_ICD_VENDORS", folder_.c_str(), 1);
  }
  ~Drivers() override {
    unsetenv("OCL_ICD_VENDORS");
    std::filesystem::remove_all(folder_);
  }
  void add(const std::string& name, const std::string& line) const { std::ofstream(folder_ + "/" + name) << line; }

  std::string folder_;
};

TEST_F(Drivers, NoneIsSaidWithTheFix) {
  const DeviceList list = list_devices();
  EXPECT_TRUE(list.devices.empty());
  ASSERT_EQ(list.troubles.size(), 1u);
  EXPECT_EQ(list.troubles[0],
            "no OpenCL driver is installed (" + folder_ + " has no *.icd file): apt-get install pocl-opencl-icd");
}

TEST_F(Drivers, ABrokenOneIsNamed) {
  add("gone.icd", "libOpenCL-gone.so\n");
  add("empty.icd", "");
  const DeviceList list = list_devices();
  EXPECT_TRUE(list.devices.empty());
  ASSERT_EQ(list.troubles.size(), 2u);
  EXPECT_NE(list.troubles[0].find("empty.icd: cannot be read, or names no library"), std::string::npos) << list.troubles[0];
  EXPECT_NE(list.troubles[1].find("gone.icd: libOpenCL-gone.so: cannot open shared object file"), std::string::npos)
      << list.troubles[1];
}

TEST(DeviceList, TellsWhatPoclHas) {
  const DeviceList list = list_devices();
  for (const Device& device : list.devices) {
    if (device.platform != "pocl") continue;
    EXPECT_TRUE(device.cpu);
    EXPECT_TRUE(device.svm.coarse && device.svm.fine && device.svm.atomics);
    EXPECT_TRUE(device.out_of_order);
    EXPECT_EQ(device.target(), "opencl:pocl/0");
    return;
  }
  GTEST_SKIP() << "PoCL is not installed";
}

TEST(DeviceList, ShortNames) {
  EXPECT_EQ(short_name("Portable Computing Language", "POCL"), "pocl");
  EXPECT_EQ(short_name("rusticl", "MESA"), "rusticl");
  EXPECT_EQ(short_name("NVIDIA CUDA", "NV"), "nv");
  EXPECT_EQ(short_name("Some Platform", ""), "some-platform");
}

}  // namespace
}  // namespace faultline::opencl
