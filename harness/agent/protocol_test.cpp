#include "harness/agent/protocol.h"

#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

void round_trip(const Request& request) {
  const std::string line = to_line(request);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(parse_request(line), request) << line;
}

void round_trip(const Event& event) {
  const std::string line = to_line(event);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(parse_event(line), event) << line;
}

std::string refusal(const std::string& line) {
  try {
    (void)parse_request(line);
  } catch (const ProtocolError& error) {
    return error.what();
  }
  return "(accepted)";
}

TEST(AgentProtocol, RequestsComeBack) {
  round_trip(Request{HelloRequest{}});
  round_trip(Request{StopRequest{}});
  round_trip(Request{GpusRequest{}});
  round_trip(Request{QuitRequest{}});
  round_trip(Request{CrashRequest{}});
  RunRequest run{7, "dmirror", "scenario s\n  \"a doc\"\n", "a.scn", {}};
  run.plan = {UINT64_MAX, 1'000'000'000'000, 5, 123, std::nullopt};
  round_trip(Request{run});
  run.plan.parameters = Parameters{UINT64_MAX, {-1, 0, 3}, {{0, 20'000}, {7, 8}}, {}};
  round_trip(Request{run});
  using Kind = Disturbance::Kind;
  run.plan.parameters->disturbances = {{{Kind::stall, 1, 2, 0, 10}, {Kind::nap, 0, 0, 0, 2'000'000'000}},
                                       {{Kind::preempt, 3, 0, 500, 70'000}, {Kind::signals, 2, 0, 0, 10'000}}};
  round_trip(Request{run});
}

TEST(AgentProtocol, StormsComeBack) {
  for (const StormWord& each : storm_words)
    round_trip(Request{StormRequest{8, "dmirror", {each.kind, 1024, UINT64_MAX, 60'000, 20'000}}});
  StormNews news{.round = 3, .idle = true, .counts = {{"pins", 7}}, .levels = {{"memory KiB", -4}}, .wrong = {"a \"b\""}};
  news.rows.push_back({"munmap", storms::queue_classes - 1, {}});
  news.rows[0].durations.note(123'456);
  round_trip(Event{StormEvent{8, news}});
  const std::string good = R"({"op":"storm","id":1,"target":"host","kind":"fault","threads":4,"seed":1,"ms":5})";
  EXPECT_EQ(refusal(good), "(accepted)");
  const auto with = [&](const std::string& from, const std::string& to) {
    return refusal(std::string(good).replace(good.find(from), from.size(), to));
  };
  EXPECT_EQ(with("fault", "flood"), "unknown storm \"flood\"");
  EXPECT_EQ(with(":4", ":0"), "\"threads\" is not from 1 to 1024");
  EXPECT_EQ(with(":4", ":1025"), "\"threads\" is not from 1 to 1024");
  EXPECT_EQ(with("\"ms\":5", "\"ms\":-5"), "\"ms\" is not a natural number");
  EXPECT_THROW(parse_event(R"({"ev":"storm","id":1,"round":1,"idle":false,"rows":[{"call":"x","queue":99,)"
                           R"("durations":{"longest_ns":1,"counts":[]}}],"counts":{},"levels":{},"wrong":[]})"),
               ProtocolError);
}

TEST(AgentProtocol, EventsComeBack) {
  Capabilities can;
  can.device_class = DeviceClass::recoverable;
  can.sight = {true, false, false, true, false};
  can.migrate = true;
  can.usm_shared = {true, true, false, true};
  can.device_address = true;
  Capabilities pins;
  pins.device_class = DeviceClass::pinned;
  pins.pin = true;
  round_trip(Event{HelloEvent{"1",
                              "6.1 #1",
                              "x86_64",
                              2,
                              true,
                              false,
                              "why",
                              {{"a", true, "", "PoCL 3.1", can}, {"b", false, "no", "", {}, true}, {"c", true, "", "", pins}}}});
  const Gpu mi200{.render_node = "/dev/dri/renderD128",
                  .card_node = "/dev/dri/card0",
                  .bus = "0000:03:00.0",
                  .vendor = 0x1002,
                  .device = 0x7408,
                  .revision = 1,
                  .driver = "amdgpu",
                  .driver_version = "3.49.0",
                  .chip = "gfx90a",
                  .vram = std::uint64_t{1} << 36,
                  .firmware = {{"MEC", "0x44"}, {"SDMA", "0x8"}},
                  .parameters = {{"amdgpu.noretry", "-1"}},
                  .configuration = {{"CONFIG_HSA_AMD", "y"}},
                  .resets = "VRAM lost 0 times",
                  .power = "active",
                  .svm = {true, true, "why", "help"},
                  .unknown = {"a", "b"}};
  round_trip(Event{GpusEvent{{{mi200, Gpu{.bus = "vgem"}}, ""}}});
  round_trip(Event{GpusEvent{{{}, "no render node in /dev/dri"}}});
  Batch batch{100, 3, {9, {-1}, {{5}}}, {{{"ok", "7@b[1]"}, 2, 100}, {{"-", "zero"}, 1, 101}}, 12'345};
  round_trip(Event{BatchEvent{7, batch}});
  round_trip(Event{HealthEvent{7, {"WARNING: x", "Call Trace:"}}});
  round_trip(Event{DriverEvent{7, 3, "clFinish: CL_DEVICE_NOT_AVAILABLE\nline 2"}});
  round_trip(Event{DriverEvent{7, std::nullopt, "GPU 0000:03:00.0 (amdgpu) refused an access: ..."}});
  round_trip(Event{CallsEvent{7, {{{"dmirror_fault", "device faults", 12, 1}}, {"nouveau_range_fault: gone"}, "why"}}});
  round_trip(
      Event{HangEvent{7, {31, true, false, {{"P.t", 91, "#1 (line 4)", "D", "w", "s", {"a", "b"}, "P", "agent", 90, 12}}}}});
  round_trip(Event{HangEvent{7, {31, false, false, {}, true, "", {"why", "and why"}}}});
  round_trip(Event{HangEvent{7, {31, false, false, {}, false, "P opens its devices", {"why"}}}});
  round_trip(Event{CrashEvent{7, {31, "took SIGSEGV at address 0x8", true, {{"clFinish", "P.t", "at #1 (line 4)"}}}}});
  round_trip(Event{CrashEvent{7, {0, "ended the process with status 3", false, {}}}});
  round_trip(Event{AliveEvent{7}});
  round_trip(Event{ErrorEvent{7, "what"}});
  round_trip(Event{SkippedEvent{7, "why"}});
  round_trip(Event{DoneEvent{7, 1000}});
}

TEST(AgentProtocol, BytesThatAreNoTextDoNotBreakTheStream) {
  const std::string line = to_line(Event{HealthEvent{0, {"a\xff\nb"}}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(std::get<HealthEvent>(parse_event(line)).lines.size(), 1u);
}

TEST(AgentProtocol, RefusalsNameTheKey) {
  EXPECT_EQ(refusal("nonsense"), "not JSON: nonsense");
  EXPECT_EQ(refusal("[1]"), "not a JSON object: [1]");
  EXPECT_EQ(refusal("{}"), "no \"op\" in the message");
  EXPECT_EQ(refusal(R"({"op":"fly"})"), "unknown op \"fly\"");
  EXPECT_EQ(refusal(R"({"op":"run","id":-1})"), "\"id\" is not a natural number");
  EXPECT_EQ(refusal(R"({"op":"run","id":1,"target":7})"), "\"target\" has the wrong type");
  EXPECT_EQ(refusal(R"({"op":"run","id":1,"target":"h","text":"t","seed":1,"iterations":2,"parameters":{"seed":1}})"),
            "no \"cpus\" in the message");
  const auto disturbed = [](const std::string& rows) {
    return refusal(R"({"op":"run","id":1,"target":"h","text":"t","seed":1,"iterations":2,"parameters":)"
                   R"({"seed":1,"cpus":[0],"offsets":[[0]],"disturbances":)" +
                   rows + "}}");
  };
  EXPECT_EQ(disturbed(R"([[["stall",0,0,0,10]]])"), "(accepted)");
  EXPECT_EQ(disturbed("7"), "\"disturbances\" is not a list");
  EXPECT_EQ(disturbed("[7]"), "\"disturbances\" has a row that is not a list");
  EXPECT_EQ(disturbed(R"([[["quake",0,0,0,10]]])"), "\"disturbances\" has [\"quake\",0,0,0,10]");
  EXPECT_EQ(disturbed(R"([[["stall",0,0,10]]])"), "\"disturbances\" has [\"stall\",0,0,10]");
  EXPECT_EQ(disturbed(R"([[["stall",0,0.5,0,10]]])"), "\"disturbances\" has [\"stall\",0,0.5,0,10]");
  EXPECT_EQ(disturbed(R"([[["stall",4294967296,0,0,10]]])"), "\"disturbances\" has [\"stall\",4294967296,0,0,10]");
  EXPECT_THROW((void)parse_event(R"({"ev":"gpus","why_none":"","gpus":[{"bus":"0000:03:00.0"}]})"), ProtocolError);
  EXPECT_THROW((void)parse_event(R"({"ev":"gpus","why_none":"","gpus":7})"), ProtocolError);
  EXPECT_THROW(
      (void)parse_event(
          R"({"ev":"calls","id":1,"why_none":"","not_counted":[],"functions":[{"name":"f","what":"w","calls":-1,"missed":0}]})"),
      ProtocolError);
}

TEST(AgentProtocol, TimesOfCommands) {
  BatchEvent event{3, {}};
  event.batch.times.note(1, 2, 5, 1000);
  event.batch.times.note(1, 0, 5, 9);
  round_trip(Event{event});
  std::string line = to_line(Event{event});
  EXPECT_EQ(to_line(Event{BatchEvent{3, {}}}).find("times"), std::string::npos);
  line.replace(line.find("[[3,1]]"), 7, "[[999,1]]");
  EXPECT_THROW((void)parse_event(line), ProtocolError);
}

TEST(AgentProtocol, OptionalKeysHaveDefaults) {
  const auto run =
      std::get<RunRequest>(parse_request(R"({"op":"run","id":1,"target":"h","text":"t","seed":1,"iterations":2,"new":"key"})"));
  EXPECT_EQ(run.plan.batch, 0u);
  EXPECT_EQ(run.plan.deadline_ms, 0);
  EXPECT_EQ(run.plan.parameters, std::nullopt);
  EXPECT_EQ(run.file, "scenario");
}

TEST(LineReader, CutsAsBytesCome) {
  LineReader reader;
  EXPECT_EQ(reader.next(), std::nullopt);
  reader.feed("on");
  EXPECT_EQ(reader.next(), std::nullopt);
  reader.feed("e\ntwo\n\nthr");
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), "two");
  EXPECT_EQ(reader.next(), "");
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_EQ(reader.pending(), 3u);
}

}  // namespace
}  // namespace faultline::agent
