#include "harness/run/machines.h"

namespace faultline {
namespace {

using nlohmann::json;

constexpr int starts_tried = 3;

}  // namespace

Session* Machines::at(const std::string& name) {
  Place& place = places_[name];
  const std::string shown = name.empty() ? "this machine" : name;
  while (!place.session && place.failure.empty()) {
    const int number = ++place.started;
    const auto write = [&](const std::string& event, json more) {
      more.update({{"place", name}, {"number", number}, {"event", event}});
      events_.write(more);
    };
    try {
      const Machine::Spec spec = events_.start(name, number);
      write("start", {{"command", spec.command}});
      place.session = std::make_unique<Session>(spec, patience_, events_.stop,
                                                [&](const std::string& said) { events_.status(shown + ": " + said); });
      write("hello", {{"hello", json::parse(agent::to_line(agent::Event(place.session->hello())))}});
    } catch (const StartFailure& failure) {
      write("failed", {{"why", failure.what()}, {"words", failure.words}});
      events_.note(shown + " does not start: " + failure.what());
      for (const std::string& word : failure.words) events_.note("  " + word);
      // Try again, because a virtual machine can be unlucky. After the last failure the place counts as not available.
      if (events_.stop() != Stop::none || number >= starts_tried)
        place.failure = failure.what() + (failure.words.empty() ? "" : ": " + failure.words.back());
      else events_.note(shown + " is started again");
    }
  }
  return place.session.get();
}

void Machines::end(const std::string& name, const std::string& why) {
  Place& place = places_[name];
  if (!place.session) return;
  events_.write({{"place", name}, {"number", place.started}, {"event", "end"}, {"why", why}});
  place.session.reset();
}

void Machines::end_all(const std::string& why) {
  for (auto& [name, place] : places_) end(name, why);
}

}  // namespace faultline
