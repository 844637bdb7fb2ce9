// Enumerators as text: Rule::cow_flushes is "cow-flushes". The text comes from the enumerator itself, so a new enumerator is
// named in one place. For enums that count from 0 and end with count_.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace faultline::ref {

namespace enumerator_detail {

// "cow_flushes" for Rule::cow_flushes. The compiler's text for this function contains the argument.
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

}  // namespace enumerator_detail

// The names of all enumerators, in order.
template <class Enum>
inline constexpr auto names_of =
    enumerator_detail::names<Enum>(std::make_index_sequence<static_cast<std::size_t>(Enum::count_)>());

template <class Enum>
constexpr std::string_view name_of(Enum value) {
  return names_of<Enum>[static_cast<std::size_t>(value)];
}

template <class Enum>
constexpr std::optional<Enum> named(std::string_view name) {
  for (std::size_t i = 0; i < names_of<Enum>.size(); ++i)
    if (names_of<Enum>[i] == name) return static_cast<Enum>(i);
  return std::nullopt;
}

}  // namespace faultline::ref
