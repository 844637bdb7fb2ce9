#include "kernels_ref/engine/schedule.h"

#include <tsl/robin_map.h>

#include <algorithm>
#include <deque>

namespace faultline::ref {

namespace {

struct HashOfHash {
  std::size_t operator()(const Hash128& h) const { return h.low; }
};

struct Node {
  std::uint32_t parent = 0;
  Choice choice;            // from the parent
  const char* label;        // of that choice
  std::uint16_t moves = 0;  // bit per thread that can go on here
};

struct Edge {
  std::uint32_t from, to;
  std::uint8_t thread, way;
  const char* label;
};

// All states, breadth first.
class Breadth {
 public:
  Breadth(const Subject& subject, std::uint64_t max_states) : machine_(subject), subject_(subject), max_states_(max_states) {}

  // `visit` sees every new state; true ends the walk there.
  std::optional<std::uint32_t> walk(const std::function<bool(const Moment&)>& visit, bool keep_edges) {
    exchange_ = !keep_edges;  // for a cycle it matters which of several equal threads moves
    if (const auto found = arrive(0, {}, "", visit, nullptr)) return found;
    std::vector<std::byte> state;
    std::vector<Choice> choices;
    Undo undo;
    while (!frontier_.empty()) {
      const std::uint32_t from = frontier_.front().node;
      state.swap(frontier_.front().state);
      frontier_.pop_front();
      machine_.restore_all(state);
      machine_.choices(choices);
      for (const Choice& c : choices) {
        if (nodes_.size() >= max_states_) {
          complete = false;
          return std::nullopt;
        }
        const char* label = machine_.label(c.thread);
        machine_.save(c.thread, undo);
        machine_.resume(c);
        std::uint32_t to = 0;
        if (const auto found = arrive(from, c, label, visit, &to)) return found;
        if (keep_edges) edges.push_back({from, to, c.thread, c.way, label});
        machine_.undo(c.thread, undo);
      }
    }
    return std::nullopt;
  }

  Schedule path(std::uint32_t node) const {
    Schedule steps;
    for (; node != 0; node = nodes_[node].parent)
      steps.push_back({nodes_[node].choice.thread, nodes_[node].choice.way, nodes_[node].label, {}});
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  std::size_t size() const { return nodes_.size(); }
  std::uint16_t moves(std::uint32_t node) const { return nodes_[node].moves; }

  std::vector<Edge> edges;
  bool complete = true;

 private:
  struct Waiting {
    std::uint32_t node;
    std::vector<std::byte> state;
  };

  std::optional<std::uint32_t> arrive(std::uint32_t parent, Choice choice, const char* label,
                                      const std::function<bool(const Moment&)>& visit, std::uint32_t* id) {
    const bool defined = subject_.arrive(machine_.world());
    const auto [at, fresh] = ids_.insert({machine_.hash(exchange_), static_cast<std::uint32_t>(nodes_.size())});
    const std::uint32_t node = at->second;
    if (id) *id = node;
    if (!fresh) return std::nullopt;
    std::vector<Choice> choices;
    if (defined) machine_.choices(choices);
    std::uint16_t moves = 0;
    for (const Choice& c : choices) moves |= static_cast<std::uint16_t>(1 << c.thread);
    nodes_.push_back({parent, choice, label, moves});
    const bool end = defined && choices.empty();
    if (visit({machine_.world(), end, end && machine_.someone_waits()})) return node;
    if (choices.empty()) return std::nullopt;
    frontier_.push_back({node, {}});
    machine_.save_all(frontier_.back().state);
    return std::nullopt;
  }

  Machine machine_;
  const Subject& subject_;
  const std::uint64_t max_states_;
  bool exchange_ = true;
  tsl::robin_map<Hash128, std::uint32_t, HashOfHash> ids_;
  std::vector<Node> nodes_;
  std::deque<Waiting> frontier_;
};

// Strongly connected components (Tarjan), without recursion: the component of each node.
std::vector<std::uint32_t> components(std::size_t nodes, const std::vector<Edge>& edges,
                                      const std::vector<std::uint32_t>& first) {
  constexpr std::uint32_t unset = ~0u;
  std::vector<std::uint32_t> index(nodes, unset), low(nodes), component(nodes, unset), stack, open;
  std::vector<std::uint32_t> next(first.begin(), first.end() - 1);
  std::uint32_t count = 0, components = 0;
  for (std::uint32_t root = 0; root < nodes; ++root) {
    if (index[root] != unset) continue;
    stack.push_back(root);
    while (!stack.empty()) {
      const std::uint32_t n = stack.back();
      if (index[n] == unset) {
        index[n] = low[n] = count++;
        open.push_back(n);
      }
      if (next[n] < first[n + 1]) {
        const std::uint32_t to = edges[next[n]++].to;
        if (index[to] == unset) stack.push_back(to);
        else if (component[to] == unset) low[n] = std::min(low[n], index[to]);
        continue;
      }
      stack.pop_back();
      if (!stack.empty()) low[stack.back()] = std::min(low[stack.back()], low[n]);
      if (low[n] != index[n]) continue;
      while (true) {
        const std::uint32_t member = open.back();
        open.pop_back();
        component[member] = components;
        if (member == n) break;
      }
      ++components;
    }
  }
  return component;
}

// A cycle through `edge` inside its component, `edge` first.
Schedule cycle_from(const Edge& edge, const std::vector<Edge>& edges, const std::vector<std::uint32_t>& first,
                    const std::vector<std::uint32_t>& component) {
  std::vector<std::int64_t> came(first.size() - 1, -1);  // edge by which the node was reached
  std::deque<std::uint32_t> queue{edge.to};
  Schedule back;
  while (!queue.empty() && edge.to != edge.from && came[edge.from] < 0) {
    const std::uint32_t n = queue.front();
    queue.pop_front();
    for (std::uint32_t e = first[n]; e < first[n + 1]; ++e) {
      const std::uint32_t to = edges[e].to;
      if (component[to] != component[edge.from] || came[to] >= 0 || to == edge.to) continue;
      came[to] = e;
      queue.push_back(to);
    }
  }
  for (std::uint32_t n = edge.from; n != edge.to; n = edges[came[n]].from) {
    const Edge& e = edges[came[n]];
    back.push_back({e.thread, e.way, e.label, {}});
  }
  back.push_back({edge.thread, edge.way, edge.label, {}});
  std::reverse(back.begin(), back.end());
  return back;
}

}  // namespace

std::string schedule_text(const Schedule& schedule, const std::vector<std::string>& names) {
  std::vector<std::size_t> width;
  for (const std::string& name : names) width.push_back(name.size());
  for (const ScheduleStep& s : schedule) width[s.thread] = std::max({width[s.thread], s.label.size() + 2, s.heading.size()});
  // A thread that never moves has no column.
  std::vector<bool> moves(names.size(), false);
  for (const ScheduleStep& s : schedule) moves[s.thread] = true;
  std::string text = "   ";
  for (std::size_t t = 0; t < names.size(); ++t)
    if (moves[t]) text += "  " + names[t] + std::string(width[t] - names[t].size(), ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  text += "\n";
  const bool headed = std::any_of(schedule.begin(), schedule.end(), [](const ScheduleStep& s) { return !s.heading.empty(); });
  for (std::size_t i = 0; i < schedule.size(); ++i) {
    const ScheduleStep& s = schedule[i];
    std::string before;
    for (int t = 0; t < s.thread; ++t)
      if (moves[t]) before += std::string(width[t] + 2, ' ');
    if (!s.heading.empty()) text += "   " + before + "  " + s.heading + "\n";
    const std::string number = std::to_string(i + 1);
    text +=
        std::string(number.size() < 3 ? 3 - number.size() : 0, ' ') + number + before + (headed ? "    " : "  ") + s.label + "\n";
  }
  return text;
}

Found shortest(const Subject& subject, const std::function<bool(const Moment&)>& goal, std::uint64_t max_states) {
  Breadth breadth(subject, max_states);
  const auto node = breadth.walk(goal, false);
  return {node ? std::optional(breadth.path(*node)) : std::nullopt, breadth.complete};
}

LivelockFound find_livelock(const Subject& subject, std::uint64_t max_states) {
  Breadth breadth(subject, max_states);
  breadth.walk([](const Moment&) { return false; }, true);
  if (!breadth.complete) return {std::nullopt, false};
  std::vector<Edge>& edges = breadth.edges;  // in the order of their first node
  std::vector<std::uint32_t> first(breadth.size() + 1, 0);
  for (const Edge& e : edges) ++first[e.from + 1];
  for (std::size_t n = 0; n < breadth.size(); ++n) first[n + 1] += first[n];
  const std::vector<std::uint32_t> component = components(breadth.size(), edges, first);
  // Of each component: who moves within it, and who can move in all of its states.
  const std::uint32_t count = component.empty() ? 0 : *std::max_element(component.begin(), component.end()) + 1;
  std::vector<std::uint16_t> moved(count, 0), always(count, 0xffff);
  std::vector<const Edge*> inside(count, nullptr);
  for (const Edge& e : edges) {
    if (component[e.from] != component[e.to]) continue;
    moved[component[e.from]] |= static_cast<std::uint16_t>(1 << e.thread);
    if (!inside[component[e.from]]) inside[component[e.from]] = &e;
  }
  for (std::uint32_t n = 0; n < breadth.size(); ++n) always[component[n]] &= breadth.moves(n);
  const Edge* worst = nullptr;
  for (std::uint32_t c = 0; c < count; ++c)
    if (inside[c] && !(always[c] & ~moved[c]) && (!worst || inside[c]->from < worst->from)) worst = inside[c];
  if (!worst) return {};
  return {Livelock{breadth.path(worst->from), cycle_from(*worst, edges, first, component)}, true};
}

}  // namespace faultline::ref
