// A departure is a named difference from what today's kernel does. The model of scenarios (mm/, drivers/) departs by a
// rule that it drops (mm/rules.h), a protocol by a variant that it takes on (protocol/machine/variant.h). A departure is
// an enumerator, and its name for a person is the enumerator with dashes: nothing repeats it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace faultline::ref {

namespace departure_detail {

// "cow_flushes" of Rule::cow_flushes, from how the compiler writes the function that it is an argument of.
template <auto value>
constexpr std::string_view enumerator() {
  const std::string_view text = __PRETTY_FUNCTION__;  // "... value = faultline::ref::Rule::cow_flushes; ..." or "...]"
  const std::size_t begin = text.find("value = ") + 8, end = text.find_first_of(";]", begin);
  const std::string_view full = text.substr(begin, end - begin);
  return full.substr(full.rfind(':') + 1);
}

template <auto value>
struct Dashed {
  static constexpr auto letters = [] {
    constexpr std::string_view name = enumerator<value>();
    std::array<char, name.size()> result{};
    for (std::size_t i = 0; i < name.size(); ++i) result[i] = name[i] == '_' ? '-' : name[i];
    return result;
  }();
  static constexpr std::string_view name{letters.data(), letters.size()};
};

template <class Enum, std::size_t... i>
constexpr auto names(std::index_sequence<i...>) {
  return std::array{Dashed<static_cast<Enum>(i)>::name...};
}

}  // namespace departure_detail

// The names of all departures of a kind, in their order.
template <class Enum>
inline constexpr auto departure_names =
    departure_detail::names<Enum>(std::make_index_sequence<static_cast<std::size_t>(Enum::count_)>());

template <class Enum>
constexpr std::string_view departure_name(Enum departure) {
  return departure_names<Enum>[static_cast<std::size_t>(departure)];
}

template <class Enum>
constexpr std::optional<Enum> departure_named(std::string_view name) {
  for (std::size_t i = 0; i < departure_names<Enum>.size(); ++i)
    if (departure_names<Enum>[i] == name) return static_cast<Enum>(i);
  return std::nullopt;
}

}  // namespace faultline::ref
