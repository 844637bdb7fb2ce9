// The weather: each choice of hardware is made in both ways, within its bounds, and none is made in calm.
#include "drm_glue/softgpu/weather.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "drm_glue/softgpu/vmhub.h"

namespace faultline::softgpu {
namespace {

using Choice = std::function<std::int64_t(Weather&)>;

struct Row {
  const char* name;
  Choice choice;
  std::int64_t least, most, calm;
};

std::vector<Row> rows() {
  const auto time = [](nanoseconds (Weather::*member)()) {
    return [member](Weather& weather) { return (weather.*member)().count(); };
  };
  return {{"a late doorbell", time(&Weather::doorbell), 0, 2'000'000, 0},
          {"SDMA's packets", time(&Weather::packet), 0, 300'000, 0},
          {"pages of a copy", time(&Weather::page_of_copy), 0, 200'000, 0},
          {"command processors", time(&Weather::command_processor), 0, 1'000'000, 0},
          {"invalidations", time(&Weather::invalidation), 0, 500'000, 0},
          {"interrupts", time(&Weather::interrupt), 0, 500'000, 0},
          {"a fault's way", time(&Weather::fault), 0, 3'000'000, 0},
          {"a retry", time(&Weather::retry), 20'000, 1'020'000, 100'000},
          {"a fault told again", time(&Weather::fault_again), 2'000'000, 32'000'000, 20'000'000},
          {"times that a fault is told", [](Weather& weather) { return static_cast<std::int64_t>(weather.times_told()); }, 1,
           Weather::flood, 1},
          {"another walk", [](Weather& weather) { return std::int64_t{weather.walk_again()}; }, 0, 1, 0},
          {"a translation forgotten", [](Weather& weather) { return std::int64_t{weather.forget_translation()}; }, 0, 1, 0},
          {"a later page first", [](Weather& weather) { return std::int64_t{weather.look_ahead()}; }, 0, 1, 0}};
}

TEST(Weather, ChoosesAllThatHardwareMay) {
  for (const Row& row : rows()) {
    Weather weather(5);
    std::set<std::int64_t> seen;
    for (int i = 0; i < 30'000; ++i) seen.insert(row.choice(weather));
    EXPECT_GE(*seen.begin(), row.least) << row.name;
    EXPECT_LE(*seen.rbegin(), row.most) << row.name;
    EXPECT_GE(seen.size(), 2u) << row.name << " never varies";
    EXPECT_GT(*seen.rbegin(), row.most / 2) << row.name << " is never late";
  }
}

TEST(Weather, CalmIsAlwaysTheSame) {
  for (const Row& row : rows()) {
    Weather calm(0);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(row.choice(calm), row.calm) << row.name;
  }
}

TEST(Weather, FollowsFromItsSeed) {
  for (const Row& row : rows()) {
    Weather one(9), same(9);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(row.choice(one), row.choice(same)) << row.name;
  }
}

class SetTime : public Time {
 public:
  nanoseconds now() const override { return now_; }
  void pass(nanoseconds span) { now_ += span; }

 private:
  nanoseconds now_{0};
};

// A hub and the IH ring of the driver, which lies at the beginning of VRAM.
struct HubAndRing {
  explicit HubAndRing(std::uint64_t seed) : weather(seed) {
    using namespace osssys;
    ih.set_gpu_address([](std::uint64_t address) { return Physical{address, false}; });
    (*registers)[IH_RB_CNTL] =
        IH_RB_CNTL__RB_ENABLE.set(1) | IH_RB_CNTL__RB_SIZE.set(16) | IH_RB_CNTL__WPTR_OVERFLOW_ENABLE.set(1);
  }
  void fault(std::uint64_t page) { hub.tell({1, page * gpu_page, true, true, false}, 0); }
  // The pages whose faults were told since it was last read, in order.
  std::vector<std::uint32_t> told() {
    time.pass(std::chrono::milliseconds(10));
    ih.run();
    std::vector<std::uint32_t> pages;
    std::uint32_t& rptr = (*registers)[osssys::IH_RB_RPTR];
    for (; rptr != (*registers)[osssys::IH_RB_WPTR]; rptr = (rptr + Ih::vector_bytes) % (4u << 16)) {
      std::uint32_t page = 0;
      std::memcpy(&page, vram.data() + rptr + 16, sizeof page);
      pages.push_back(page);
    }
    return pages;
  }

  SetTime time;
  std::unique_ptr<RegisterFile> registers = std::make_unique<RegisterFile>();
  std::vector<std::byte> vram = std::vector<std::byte>(1 << 20);
  const vfio_user::DmaMap dma;
  const Memory memory{vram, dma};
  Weather weather;
  Log log{time, "", ""};
  Ih ih{*registers, memory, time, weather, log, [] {}};
  VmHub hub{"hub", VmHub::mmhub(), *registers, memory, time, weather, log, ih};
};

// How often the driver's IH ring overflows, though the driver has read all of it before each fault is told.
std::size_t overflows(std::uint64_t seed, int faults) {
  HubAndRing device(seed);
  std::size_t seen = 0;
  for (int i = 0; i < faults; ++i) {
    device.fault(7);
    device.time.pass(std::chrono::milliseconds(10));
    device.ih.run();
    std::uint32_t& wptr = (*device.registers)[osssys::IH_RB_WPTR];
    if (wptr & osssys::IH_RB_WPTR__RB_OVERFLOW.mask) ++seen;
    wptr &= ~osssys::IH_RB_WPTR__RB_OVERFLOW.mask;
    (*device.registers)[osssys::IH_RB_RPTR] = wptr;
  }
  return seen;
}

// How often a fault is told after a later one.
int overtaken(bool settled) {
  HubAndRing device(3);
  int times = 0;
  for (int i = 0; i < 300; ++i) {
    device.fault(1);
    if (settled) device.hub.settle();
    device.fault(2);
    const std::vector<std::uint32_t> pages = device.told();
    times += !std::ranges::is_sorted(pages);
  }
  return times;
}

TEST(Weather, FaultsOfAccessesThatWaitOvertakeEachOther) { EXPECT_GT(overtaken(false), 10); }
TEST(Weather, NoneIsToldAfterThoseOfAnAccessThatBeganWhenItsOwnHadEnded) { EXPECT_EQ(overtaken(true), 0); }

TEST(Weather, AFloodOfFaultsOverflowsTheRingOfTheDriver) {
  const std::size_t seen = overflows(5, 20'000);
  EXPECT_GE(seen, 1u);
  EXPECT_LE(seen, 40u) << "that is rare";
  EXPECT_EQ(overflows(0, 20'000), 0u) << "in calm it is told once";
}

}  // namespace
}  // namespace faultline::softgpu
