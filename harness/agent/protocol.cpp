#include "harness/agent/protocol.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "harness/language/words.h"

namespace faultline::agent {
namespace {

using nlohmann::json;

// Errors of nlohmann::json name types, not keys. To debug a stream, a person needs the key.
template <typename T>
T get(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) throw ProtocolError(std::string("no \"") + key + "\" in the message");
  try {
    if constexpr (std::is_unsigned_v<T> && !std::is_same_v<T, bool>)
      if (!found->is_number_unsigned()) throw ProtocolError(std::string("\"") + key + "\" is not a natural number");
    return found->get<T>();
  } catch (const json::exception&) {
    throw ProtocolError(std::string("\"") + key + "\" has the wrong type");
  }
}

template <typename T>
T get_or(const json& object, const char* key, T otherwise) {
  return object.contains(key) ? get<T>(object, key) : otherwise;
}

const json& part(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) throw ProtocolError(std::string("no \"") + key + "\" in the message");
  return *found;
}

const json& list(const json& object, const char* key) {
  const json& found = part(object, key);
  if (!found.is_array()) throw ProtocolError(std::string("\"") + key + "\" is not a list");
  return found;
}

json to_json(const Parameters& parameters) {
  json object = {{"seed", parameters.seed}, {"cpus", parameters.cpus}, {"offsets", parameters.offsets}};
  if (parameters.disturbances.empty()) return object;
  json& rows = object["disturbances"] = json::array();
  for (const auto& disturbances : parameters.disturbances) {
    json& row = rows.emplace_back(json::array());
    for (const Disturbance& it : disturbances) row.push_back({word(it.kind), it.whom, it.where, it.gap_ns, it.ns});
  }
  return object;
}

Disturbance parse_disturbance(const json& row) {
  const auto refuse = [&row] { return ProtocolError("\"disturbances\" has " + row.dump().substr(0, 80)); };
  if (!row.is_array() || row.size() != 5 || !row[0].is_string()) throw refuse();
  if (!std::all_of(row.begin() + 1, row.end(), [](const json& number) { return number.is_number_integer(); })) throw refuse();
  const auto whom = row[1].get<std::int64_t>(), where = row[2].get<std::int64_t>();
  if (!std::in_range<int>(whom) || !std::in_range<int>(where)) throw refuse();
  for (int kind = 0; kind < disturbance_kinds; ++kind)
    if (row[0] == word(static_cast<Disturbance::Kind>(kind)))
      return {static_cast<Disturbance::Kind>(kind), static_cast<int>(whom), static_cast<int>(where), row[3].get<std::int64_t>(),
              row[4].get<std::int64_t>()};
  throw refuse();
}

// Journals of older versions have no disturbances.
Parameters parse_parameters(const json& object) {
  Parameters parameters{get<std::uint64_t>(object, "seed"),
                        get<std::vector<int>>(object, "cpus"),
                        get<std::vector<std::vector<std::int64_t>>>(object, "offsets"),
                        {}};
  if (!object.contains("disturbances")) return parameters;
  for (const json& row : list(object, "disturbances")) {
    if (!row.is_array()) throw ProtocolError("\"disturbances\" has a row that is not a list");
    std::vector<Disturbance>& disturbances = parameters.disturbances.emplace_back();
    for (const json& disturbance : row) disturbances.push_back(parse_disturbance(disturbance));
  }
  return parameters;
}

// "shares_cpu_tables": the word of the language, with underscores for dashes.
std::string class_name(DeviceClass device_class) {
  std::string name = words::text(words::device_classes, device_class);
  std::ranges::replace(name, '-', '_');
  return name;
}

DeviceClass parse_class(const std::string& name) {
  std::string word = name;
  std::ranges::replace(word, '_', '-');
  if (const auto found = words::find(words::device_classes, word)) return *found;
  throw ProtocolError("unknown device class \"" + name + "\"");
}

json to_json(const Capabilities& can) {
  json object = {{"class", class_name(can.device_class)}};
  for (const Capability& row : capability_table) object[std::string(row.name)] = row.of(can);
  for (const UsmKind& kind : usm_kinds)
    for (const UsmCapability& row : usm_table)
      object["usm_" + std::string(kind.name)][std::string(row.name)] = can.*kind.member.*row.member;
  return object;
}

Capabilities parse_capabilities(const json& object) {
  Capabilities can;
  can.device_class = parse_class(get<std::string>(object, "class"));
  for (const Capability& row : capability_table) row.of(can) = get<bool>(object, std::string(row.name).c_str());
  for (const UsmKind& kind : usm_kinds)
    for (const UsmCapability& row : usm_table)
      can.*kind.member.*row.member =
          get<bool>(part(object, ("usm_" + std::string(kind.name)).c_str()), std::string(row.name).c_str());
  return can;
}

json to_json(const Durations& durations) {
  json counts = json::array();
  for (std::size_t i = 0; i < durations.counts.size(); ++i)
    if (durations.counts[i] > 0) counts.push_back({i, durations.counts[i]});
  return {{"longest_ns", durations.longest_ns}, {"counts", counts}};
}

Durations parse_durations(const json& object) {
  Durations durations;
  durations.longest_ns = get<std::uint64_t>(object, "longest_ns");
  for (const auto& [index, count] : get<std::vector<std::pair<std::size_t, std::uint32_t>>>(object, "counts")) {
    if (index >= durations.counts.size()) throw ProtocolError("\"counts\" has a class " + std::to_string(index));
    durations.counts[index] = count;
  }
  return durations;
}

CommandTimes parse_times(const json& object) {
  return {parse_durations(part(object, "waited")), parse_durations(part(object, "ran")), get<std::uint64_t>(object, "commands"),
          get<std::uint64_t>(object, "disordered")};
}

// Replaces bytes that are not UTF-8: the kernel log and device answers may contain any bytes, but JSON may not.
std::string dump(const json& object) { return object.dump(-1, ' ', false, json::error_handler_t::replace); }

json parse_object(std::string_view line) {
  json object = json::parse(line, nullptr, false);
  if (object.is_discarded()) throw ProtocolError("not JSON: " + std::string(line.substr(0, 80)));
  if (!object.is_object()) throw ProtocolError("not a JSON object: " + std::string(line.substr(0, 80)));
  return object;
}

struct RequestWriter {
  json operator()(const HelloRequest&) const { return {{"op", "hello"}}; }
  json operator()(const StopRequest&) const { return {{"op", "stop"}}; }
  json operator()(const GpusRequest&) const { return {{"op", "gpus"}}; }
  json operator()(const QuitRequest&) const { return {{"op", "quit"}}; }
  json operator()(const CrashRequest&) const { return {{"op", "crash"}}; }
  json operator()(const StormRequest& storm) const {
    return {{"op", "storm"},
            {"id", storm.id},
            {"target", storm.target},
            {"kind", storm_word(storm.plan.kind)},
            {"threads", storm.plan.threads},
            {"seed", storm.plan.seed},
            {"ms", storm.plan.milliseconds},
            {"deadline_ms", storm.plan.deadline_ms}};
  }
  json operator()(const RunRequest& run) const {
    json object = {{"op", "run"},
                   {"id", run.id},
                   {"target", run.target},
                   {"text", run.text},
                   {"file", run.file},
                   {"seed", run.plan.seed},
                   {"iterations", run.plan.iterations},
                   {"batch", run.plan.batch},
                   {"deadline_ms", run.plan.deadline_ms}};
    if (run.plan.parameters) object["parameters"] = to_json(*run.plan.parameters);
    return object;
  }
};

struct EventWriter {
  json operator()(const StormEvent& event) const {
    json rows = json::array();
    for (const StormRow& row : event.news.rows)
      rows.push_back({{"call", row.call}, {"queue", row.queue}, {"durations", to_json(row.durations)}});
    return {{"ev", "storm"},
            {"id", event.id},
            {"round", event.news.round},
            {"idle", event.news.idle},
            {"rows", rows},
            {"counts", event.news.counts},
            {"levels", event.news.levels},
            {"wrong", event.news.wrong}};
  }
  json operator()(const HelloEvent& hello) const {
    json targets = json::array();
    for (const TargetInfo& target : hello.targets)
      targets.push_back({{"name", target.name},
                         {"available", target.available},
                         {"why", target.why},
                         {"crashed", target.crashed},
                         {"about", target.about},
                         {"capabilities", to_json(target.capabilities)}});
    return {{"ev", "hello"},        {"agent", hello.agent}, {"kernel", hello.kernel}, {"arch", hello.arch},
            {"cpus", hello.cpus},   {"root", hello.root},   {"log", hello.log},       {"log_why", hello.log_why},
            {"files", hello.files}, {"targets", targets}};
  }
  json operator()(const GpusEvent& event) const {
    return {{"ev", "gpus"}, {"gpus", gpus_json(event.list)}, {"why_none", event.list.why_none}};
  }
  json operator()(const BatchEvent& event) const {
    json outcomes = json::array();
    for (const SeenOutcome& seen : event.batch.outcomes)
      outcomes.push_back({{"texts", seen.texts}, {"count", seen.count}, {"first", seen.first}});
    json object = {{"ev", "batch"},
                   {"id", event.id},
                   {"first", event.batch.first},
                   {"count", event.batch.count},
                   {"parameters", to_json(event.batch.parameters)},
                   {"outcomes", outcomes},
                   {"ns", event.batch.ns}};
    const CommandTimes& times = event.batch.times;
    if (times.commands > 0)
      object["times"] = {{"commands", times.commands},
                         {"disordered", times.disordered},
                         {"waited", to_json(times.waited)},
                         {"ran", to_json(times.ran)}};
    return object;
  }
  json operator()(const HealthEvent& event) const { return {{"ev", "health"}, {"id", event.id}, {"lines", event.lines}}; }
  json operator()(const DriverEvent& event) const {
    json object = {{"ev", "driver"}, {"id", event.id}, {"words", event.words}};
    if (event.iteration) object["iteration"] = *event.iteration;
    return object;
  }
  json operator()(const CallsEvent& event) const {
    json object = calls_json(event.calls);
    object["ev"] = "calls";
    object["id"] = event.id;
    return object;
  }
  json operator()(const HangEvent& event) const {
    json threads = json::array();
    for (const ThreadPlace& place : event.hang.threads)
      threads.push_back({{"thread", place.thread},
                         {"tid", place.tid},
                         {"statement", place.statement},
                         {"state", place.state},
                         {"wchan", place.wchan},
                         {"syscall", place.syscall},
                         {"stack", place.stack},
                         {"process", place.process},
                         {"command", place.command},
                         {"pid", place.pid},
                         {"cpu_ms", place.cpu_ms}});
    return {{"ev", "hang"},
            {"id", event.id},
            {"iteration", event.hang.iteration},
            {"stuck", event.hang.stuck},
            {"slow", event.hang.slow},
            {"once", event.hang.once},
            {"set_up", event.hang.set_up},
            {"why", event.hang.why},
            {"threads", threads}};
  }
  json operator()(const CrashEvent& event) const {
    json places = json::array();
    for (const DriverPlace& place : event.crash.places)
      places.push_back({{"function", place.function}, {"thread", place.thread}, {"where", place.where}});
    return {{"ev", "crash"},
            {"id", event.id},
            {"iteration", event.crash.iteration},
            {"what", event.crash.what},
            {"in_call", event.crash.in_call},
            {"places", places}};
  }
  json operator()(const AliveEvent& event) const { return {{"ev", "alive"}, {"id", event.id}}; }
  json operator()(const ErrorEvent& event) const { return {{"ev", "error"}, {"id", event.id}, {"message", event.message}}; }
  json operator()(const SkippedEvent& event) const { return {{"ev", "skipped"}, {"id", event.id}, {"why", event.why}}; }
  json operator()(const DoneEvent& event) const { return {{"ev", "done"}, {"id", event.id}, {"iterations", event.iterations}}; }
};

HelloEvent parse_hello(const json& object) {
  HelloEvent hello{get<std::string>(object, "agent"),
                   get<std::string>(object, "kernel"),
                   get<std::string>(object, "arch"),
                   get<int>(object, "cpus"),
                   get<bool>(object, "root"),
                   get<bool>(object, "log"),
                   get_or<std::string>(object, "log_why", {}),
                   {},
                   get_or<std::string>(object, "files", {})};
  for (const json& target : list(object, "targets"))
    hello.targets.push_back({get<std::string>(target, "name"), get<bool>(target, "available"), get<std::string>(target, "why"),
                             get<std::string>(target, "about"), parse_capabilities(part(target, "capabilities")),
                             get_or<bool>(target, "crashed", false)});
  return hello;
}

GpusEvent parse_gpus_event(const json& object) {
  try {
    return {{parse_gpus(list(object, "gpus")), get<std::string>(object, "why_none")}};
  } catch (const json::exception& error) {
    throw ProtocolError(std::string("\"gpus\": ") + error.what());
  }
}

BatchEvent parse_batch(const json& object) {
  BatchEvent event{get<std::uint64_t>(object, "id"), {}};
  event.batch.first = get<std::uint64_t>(object, "first");
  event.batch.count = get<std::uint64_t>(object, "count");
  event.batch.parameters = parse_parameters(part(object, "parameters"));
  event.batch.ns = get<std::uint64_t>(object, "ns");
  if (object.contains("times")) event.batch.times = parse_times(part(object, "times"));
  for (const json& seen : list(object, "outcomes"))
    event.batch.outcomes.push_back(
        {get<std::vector<std::string>>(seen, "texts"), get<std::uint64_t>(seen, "count"), get<std::uint64_t>(seen, "first")});
  return event;
}

StormEvent parse_storm_event(const json& object) {
  StormEvent event{get<std::uint64_t>(object, "id"), {}};
  StormNews& news = event.news;
  news.round = get<std::uint64_t>(object, "round");
  news.idle = get<bool>(object, "idle");
  for (const json& row : list(object, "rows"))
    news.rows.push_back({get<std::string>(row, "call"), get<int>(row, "queue"), parse_durations(part(row, "durations"))});
  for (const StormRow& row : news.rows)
    if (row.queue < 0 || row.queue >= storms::queue_classes)
      throw ProtocolError("\"queue\" has a class " + std::to_string(row.queue));
  news.counts = get<std::map<std::string, std::uint64_t>>(object, "counts");
  news.levels = get<std::map<std::string, std::int64_t>>(object, "levels");
  news.wrong = get<std::vector<std::string>>(object, "wrong");
  return event;
}

CallsEvent parse_calls(const json& object) {
  CallsEvent event{get<std::uint64_t>(object, "id"),
                   {{}, get<std::vector<std::string>>(object, "not_counted"), get<std::string>(object, "why_none")}};
  for (const json& function : list(object, "functions"))
    event.calls.functions.push_back({get<std::string>(function, "name"), get<std::string>(function, "what"),
                                     get<std::uint64_t>(function, "calls"), get<std::uint64_t>(function, "missed")});
  return event;
}

HangEvent parse_hang(const json& object) {
  HangEvent event{get<std::uint64_t>(object, "id"), {}};
  event.hang.iteration = get<std::uint64_t>(object, "iteration");
  event.hang.stuck = get<bool>(object, "stuck");
  event.hang.slow = get_or<bool>(object, "slow", false);
  event.hang.once = get_or<bool>(object, "once", false);
  event.hang.set_up = get_or<std::string>(object, "set_up", {});
  event.hang.why = get_or<std::vector<std::string>>(object, "why", {});
  for (const json& place : list(object, "threads"))
    event.hang.threads.push_back({get<std::string>(place, "thread"), get<int>(place, "tid"), get<std::string>(place, "statement"),
                                  get<std::string>(place, "state"), get<std::string>(place, "wchan"),
                                  get<std::string>(place, "syscall"), get<std::vector<std::string>>(place, "stack"),
                                  get_or<std::string>(place, "process", {}), get_or<std::string>(place, "command", {}),
                                  get_or<int>(place, "pid", 0), get_or<std::int64_t>(place, "cpu_ms", 0)});
  return event;
}

CrashEvent parse_crash(const json& object) {
  CrashEvent event{get<std::uint64_t>(object, "id"),
                   {get<std::uint64_t>(object, "iteration"), get<std::string>(object, "what"), get<bool>(object, "in_call"), {}}};
  for (const json& place : list(object, "places"))
    event.crash.places.push_back(
        {get<std::string>(place, "function"), get<std::string>(place, "thread"), get<std::string>(place, "where")});
  return event;
}

RunRequest parse_run(const json& object) {
  RunRequest run;
  run.id = get<std::uint64_t>(object, "id");
  run.target = get<std::string>(object, "target");
  run.text = get<std::string>(object, "text");
  run.file = get_or<std::string>(object, "file", "scenario");
  run.plan.seed = get<std::uint64_t>(object, "seed");
  run.plan.iterations = get<std::uint64_t>(object, "iterations");
  run.plan.batch = get_or<std::uint64_t>(object, "batch", 0);
  run.plan.deadline_ms = get_or<int>(object, "deadline_ms", 0);
  if (object.contains("parameters")) run.plan.parameters = parse_parameters(part(object, "parameters"));
  return run;
}

StormRequest parse_storm(const json& object) {
  StormRequest storm{get<std::uint64_t>(object, "id"), get<std::string>(object, "target"), {}};
  const auto word = get<std::string>(object, "kind");
  const auto kind = storm_kind(word);
  if (!kind) throw ProtocolError("unknown storm \"" + word + "\"");
  storm.plan = {*kind, get<int>(object, "threads"), get<std::uint64_t>(object, "seed"), get<std::uint64_t>(object, "ms"),
                get_or<int>(object, "deadline_ms", 0)};
  if (storm.plan.threads < 1 || storm.plan.threads > storms::most_threads)
    throw ProtocolError("\"threads\" is not from 1 to " + std::to_string(storms::most_threads));
  return storm;
}

}  // namespace

std::string to_line(const Request& request) { return dump(std::visit(RequestWriter{}, request)); }
std::string to_line(const Event& event) { return dump(std::visit(EventWriter{}, event)); }

Request parse_request(std::string_view line) {
  const json object = parse_object(line);
  const auto op = get<std::string>(object, "op");
  if (op == "hello") return HelloRequest{};
  if (op == "run") return parse_run(object);
  if (op == "storm") return parse_storm(object);
  if (op == "stop") return StopRequest{};
  if (op == "gpus") return GpusRequest{};
  if (op == "quit") return QuitRequest{};
  if (op == "crash") return CrashRequest{};
  throw ProtocolError("unknown op \"" + op + "\"");
}

Event parse_event(std::string_view line) {
  const json object = parse_object(line);
  const auto ev = get<std::string>(object, "ev");
  if (ev == "hello") return parse_hello(object);
  if (ev == "gpus") return parse_gpus_event(object);
  if (ev == "batch") return parse_batch(object);
  if (ev == "storm") return parse_storm_event(object);
  if (ev == "health") return HealthEvent{get<std::uint64_t>(object, "id"), get<std::vector<std::string>>(object, "lines")};
  if (ev == "hang") return parse_hang(object);
  if (ev == "crash") return parse_crash(object);
  if (ev == "alive") return AliveEvent{get<std::uint64_t>(object, "id")};
  if (ev == "driver")
    return DriverEvent{get<std::uint64_t>(object, "id"),
                       object.contains("iteration") ? std::optional(get<std::uint64_t>(object, "iteration")) : std::nullopt,
                       get<std::string>(object, "words")};
  if (ev == "calls") return parse_calls(object);
  if (ev == "error") return ErrorEvent{get<std::uint64_t>(object, "id"), get<std::string>(object, "message")};
  if (ev == "skipped") return SkippedEvent{get<std::uint64_t>(object, "id"), get<std::string>(object, "why")};
  if (ev == "done") return DoneEvent{get<std::uint64_t>(object, "id"), get<std::uint64_t>(object, "iterations")};
  throw ProtocolError("unknown ev \"" + ev + "\"");
}

std::optional<std::string> LineReader::next() {
  const std::size_t end = buffer_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return line;
}

}  // namespace faultline::agent
