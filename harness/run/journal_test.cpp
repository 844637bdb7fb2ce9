#include "harness/run/journal.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace faultline {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "journal-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::vector<json> records(const std::string& path) {
    std::vector<json> result;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line) && !file.eof();) result.push_back(json::parse(line));
    return result;
  }
  fs::path folder_;
};

TEST_F(JournalTest, AppendsRecordsAndCountsLines) {
  const std::string path = folder_ / "new" / "journal.jsonl";
  {
    Journal journal(path);
    EXPECT_EQ(journal.line(), 0u);
    EXPECT_TRUE(journal.write("run", {{"seed", 7}}));
    EXPECT_TRUE(journal.write("health", {{"lines", {"\xff not UTF-8"}}}));
    EXPECT_EQ(journal.line(), 2u);
  }
  Journal journal(path);
  EXPECT_EQ(journal.line(), 2u);
  journal.sync();
  EXPECT_TRUE(journal.write("end", json::object()));
  const std::vector<json> all = records(path);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]["ev"], "run");
  EXPECT_EQ(all[0]["seed"], 7);
  EXPECT_GT(all[0]["t"].get<double>(), 1e9);
  EXPECT_EQ(all[1]["lines"][0], "\xef\xbf\xbd not UTF-8");
  EXPECT_EQ(all[2]["ev"], "end");
}

// The kernel may cut short the write(2) of a killed process at a page boundary. So the last line can be incomplete.
TEST_F(JournalTest, EveryLineButTheLastIsWholeAfterKill) {
  const std::string path = folder_ / "journal.jsonl";
  const pid_t child = ::fork();
  if (child == 0) {
    Journal journal(path);
    for (int i = 0;; ++i) journal.write("batch", {{"number", i}, {"texts", std::string(3000, 'x')}});
  }
  while (!fs::exists(path) || fs::file_size(path) < 1'000'000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const std::vector<json> all = records(path);
  ASSERT_GT(all.size(), 100u);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i]["number"], i);
}

TEST_F(JournalTest, AFileThatIsNoJournalIsNotTouched) {
  for (const std::string& text : {std::string("scenario fork\nprocess P\n"), std::string("[1, 2]\n"), std::string("{}\n"),
                                  std::string(3 << 20, '\0'), std::string(3 << 20, '{')}) {
    const fs::path path = folder_ / "precious";
    std::ofstream(path) << text;
    EXPECT_THROW(Journal(path.string()), NotAJournal) << text.substr(0, 20);
    std::ifstream file(path);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), text);
  }
  std::ofstream(folder_ / "empty").close();
  EXPECT_TRUE(Journal((folder_ / "empty").string()).write("run", json::object()));
}

TEST_F(JournalTest, OneRunAtATime) {
  const std::string path = folder_ / "journal.jsonl";
  {
    Journal journal(path);
    EXPECT_THROW(Journal{path}, NotAJournal);
    EXPECT_TRUE(journal.write("run", json::object()));
  }
  EXPECT_TRUE(Journal(path).write("run", json::object()));
  EXPECT_EQ(records(path).size(), 2u);
}

TEST_F(JournalTest, HalfALineOfAKilledRunSpoilsNoOther) {
  const std::string path = folder_ / "journal.jsonl";
  EXPECT_TRUE(Journal(path).write("run", json::object()));
  std::ofstream(path, std::ios::app) << "{\"ev\": \"bat";
  Journal journal(path);
  EXPECT_EQ(journal.line(), 2u);
  EXPECT_TRUE(journal.write("end", json::object()));
  EXPECT_EQ(journal.line(), 3u);
  std::ifstream file(path);
  std::string line;
  for (int i = 0; i < 3; ++i) std::getline(file, line);
  EXPECT_EQ(json::parse(line)["ev"], "end");
}

TEST_F(JournalTest, AFullDiskIsToldOnce) {
  Journal journal("/dev/full");
  EXPECT_TRUE(journal.failure().empty());
  EXPECT_FALSE(journal.write("run", json::object()));
  EXPECT_EQ(journal.failure(), "/dev/full: No space left on device");
  EXPECT_FALSE(journal.write("end", json::object()));
  EXPECT_EQ(journal.line(), 0u);
}

TEST_F(JournalTest, WithoutAFileItKeepsNothing) {
  Journal journal;
  EXPECT_TRUE(journal.write("run", json::object()));
  EXPECT_EQ(journal.line(), 0u);
}

TEST_F(JournalTest, AFileThatCannotBeMade) {
  EXPECT_THROW(Journal("/proc/nothing/here.jsonl"), std::system_error);
  EXPECT_THROW(Journal(folder_.string()), std::system_error);
}

}  // namespace
}  // namespace faultline
