#include "harness/executor/driver_words.h"

#include <algorithm>

namespace faultline {
namespace {

enum : std::uint32_t { silent, speaking, said };

void say(Utterance& to, std::string_view words) {
  std::uint32_t none = silent;
  if (!to.state.compare_exchange_strong(none, speaking)) return;
  const std::size_t size = std::min(words.size(), to.text.size() - 1);
  std::copy_n(words.begin(), size, to.text.begin());
  to.text[size] = '\0';
  to.state.store(said, std::memory_order_release);
}

}  // namespace

void AreaWords::failed(std::string_view words) { say(area_.driver_failed, words); }
void AreaWords::waits(std::string_view words) { say(area_.driver_waits, words); }

std::optional<std::string> words_of(const Utterance& from) {
  if (from.state.load(std::memory_order_acquire) != said) return std::nullopt;
  return std::string(from.text.data());
}

}  // namespace faultline
