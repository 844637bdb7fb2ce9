#include "stress/campaign/features.h"

#include <algorithm>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "harness/queries.h"

namespace faultline {
namespace {

// The operation without the names in it: "what it is".
std::string kind_of(const Operation& operation) {
  std::string text = std::to_string(operation.index());
  std::visit(
      [&](const auto& o) {
        if constexpr (requires { o.via; }) text += o.via.cpu() ? "c" : "d";
        if constexpr (requires { o.advice; }) text += "." + std::to_string(static_cast<int>(o.advice));
        if constexpr (requires { o.protection; }) text += "." + std::to_string(2 * o.protection.read + o.protection.write);
        if constexpr (requires { o.backing; }) text += "." + std::to_string(static_cast<int>(o.backing));
        if constexpr (requires { o.to_device; }) text += o.to_device ? "+" : "-";
        if constexpr (requires { o.fail; }) text += o.fail > 0 ? "f" : "";
        if constexpr (requires { o.read; }) text += o.read ? "r" : "w";
        if constexpr (requires { o.dontunmap; }) text += o.dontunmap ? "k" : "m";
        if constexpr (requires { o.check; }) text += o.check ? "?" : "!";
        if constexpr (requires { o.order; }) text += "." + std::to_string(static_cast<int>(o.order));
      },
      operation);
  return text;
}

std::vector<int> regions_of(const Operation& operation) {
  std::vector<int> regions;
  std::visit(
      [&](const auto& o) {
        for (const PageRange& pages : pages_of(o)) regions.push_back(pages.region);
      },
      operation);
  return regions;
}

// Operations that name no page (fork, exit ...) meet those of every region.
bool meet(const std::vector<int>& one, const std::vector<int>& other) {
  if (one.empty() || other.empty()) return true;
  return std::ranges::any_of(one, [&](int region) { return std::ranges::find(other, region) != other.end(); });
}

std::string memory_of(const Program& program, const std::vector<int>& regions) {
  if (regions.empty()) return "-";
  const Region& region = program.regions[static_cast<std::size_t>(regions.front())];
  return std::to_string(static_cast<int>(region.backing)) + (region.initial ? "p" : "e") + (region.pages > 1 ? "n" : "1");
}

std::uint64_t number(const std::string& text) { return std::hash<std::string>{}(text); }

}  // namespace

Features features(const Program& program) {
  struct Done {
    std::size_t thread;
    std::string kind;
    std::vector<int> regions;
  };
  std::vector<Done> all;
  Features result;
  for (std::size_t thread = 0; thread < program.threads.size(); ++thread)
    for (const Statement& statement : program.threads[thread].statements) {
      if (std::holds_alternative<op::Barrier>(statement.operation) || std::holds_alternative<op::Delay>(statement.operation))
        continue;
      all.push_back({thread, kind_of(statement.operation), regions_of(statement.operation)});
      result.insert(number(all.back().kind + " on " + memory_of(program, all.back().regions)));
    }
  for (const Done& one : all)
    for (const Done& other : all)
      if (one.thread < other.thread && meet(one.regions, other.regions))
        result.insert(number(std::min(one.kind, other.kind) + " against " + std::max(one.kind, other.kind)));
  return result;
}

Features features(const Program& program, const Allowed& allowed) {
  Features result;
  for (std::size_t i = 0; i < allowed.schema.size(); ++i) {
    const Observable& observable = allowed.schema[i];
    std::string what = std::to_string(static_cast<int>(observable.kind));
    if (observable.statement >= 0)
      what = kind_of(program.threads[static_cast<std::size_t>(observable.thread)]
                         .statements[static_cast<std::size_t>(observable.statement)]
                         .operation);
    for (const Outcome& outcome : allowed.outcomes) {
      std::string text = outcome[i];
      // Which value it was means nothing by itself.
      if (!text.empty() && text.front() >= '0' && text.front() <= '9')
        text = text.find('@') == text.npos ? "value" : "moved value";
      result.insert(number(what + " gives " + text));
    }
  }
  return result;
}

std::size_t fresh(const Features& features, const Features& known) {
  return static_cast<std::size_t>(std::ranges::count_if(features, [&](std::uint64_t each) { return !known.contains(each); }));
}

}  // namespace faultline
