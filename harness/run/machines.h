// The machines of a run: one for each place at most, started when it is first asked for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "harness/run/session.h"

namespace faultline {

class Machines {
 public:
  struct Events {
    std::function<Machine::Spec(const std::string& place, int number)> start;  // how to start the n-th machine of a place
    std::function<void(const nlohmann::json& record)> write;                   // a record `machine` of the journal
    std::function<void(const std::string& status)> status;                     // while a machine starts
    std::function<void(const std::string& line)> note;
    StopAsked stop;
  };
  Machines(Session::Patience patience, Events events) : patience_(patience), events_(std::move(events)) {}

  // The machine that is up in the place, started if there is none. Null if none comes up: failure() says why.
  Session* at(const std::string& place);
  const std::string& failure(const std::string& place) { return places_[place].failure; }
  void end(const std::string& place, const std::string& why);
  void end_all(const std::string& why);

 private:
  struct Place {
    std::unique_ptr<Session> session;
    int started = 0;
    std::string failure;
  };
  Session::Patience patience_;
  Events events_;
  std::map<std::string, Place> places_;
};

}  // namespace faultline
