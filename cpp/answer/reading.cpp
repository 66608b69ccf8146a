#include "answer/reading.h"
#include <algorithm>
#include <set>
#include <utility>

namespace ltu {

namespace {

bool is_word(unsigned char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         byte == '_';
}

} // namespace

Reading::Reading(ReadingProgram program) : program_(std::move(program)) {
  number({});
}

int32_t Reading::run(int32_t state, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t after = states_[static_cast<size_t>(state)].next[byte];
    if (after < 0) {
      after = number(read(*states_[static_cast<size_t>(state)].configuration, byte));
      states_[static_cast<size_t>(state)].next[byte] = after;
    }
    state = after;
  }
  return state;
}

int32_t Reading::number(Configuration configuration) {
  const auto [place, fresh] =
      numbers_.try_emplace(std::move(configuration), static_cast<int32_t>(states_.size()));
  if (fresh) {
    State &state = states_.emplace_back();
    state.configuration = &place->first;
    state.next.fill(-1);
    state.decided = settled(place->first);
    Configuration ended = place->first;
    complete(ended, true);
    state.at_end = decision(ended);
  }
  return place->second;
}

int32_t Reading::rule_of(int32_t position) const {
  return position < 0 ? -1 - position : program_.positions[static_cast<size_t>(position)].rule;
}

// No letter follows: phrases that end here have matched. Of these the one that began earliest wins, then
// the earlier rule; what can't win over it any more is dropped.
void Reading::complete(Configuration &c, bool at_end) const {
  for (size_t g = 0; g < c.groups.size(); ++g) {
    int32_t matched = -1;
    for (int32_t &position : c.groups[g]) {
      if (position >= 0 && !program_.positions[static_cast<size_t>(position)].last)
        continue;
      const int32_t rule = rule_of(position);
      if (program_.rules[static_cast<size_t>(rule)].at == ReadingProgram::At::end && !at_end)
        continue;
      if (matched < 0 || rule < matched)
        matched = rule;
    }
    if (matched < 0 || (!program_.by_position && c.best >= 0 && matched >= c.best))
      continue;
    c.best = matched;
    if (program_.by_position)
      c.groups.resize(g + 1);
    std::erase_if(c.groups[g], [&](int32_t position) { return rule_of(position) >= matched; });
    return;
  }
}

// One of `same_letters` is read when it is whole; what turns out to be none is read as it stands.
Reading::Configuration Reading::read(Configuration c, unsigned char byte) const {
  const std::string letter = std::exchange(c.letter, {}) + static_cast<char>(byte);
  const auto same = program_.same_letters.lower_bound(letter);
  if (same == program_.same_letters.end() || !same->first.starts_with(letter)) {
    for (const char held : std::string_view(letter).substr(0, letter.size() - 1))
      c = step(std::move(c), static_cast<unsigned char>(held));
    return letter.size() > 1 ? read(std::move(c), byte) : step(std::move(c), byte);
  }
  if (same->first == letter)
    return step(std::move(c), same->second);
  c.letter = letter;
  return c;
}

Reading::Configuration Reading::step(Configuration c, unsigned char byte) const {
  const bool word = is_word(byte);
  if (!word)
    complete(c, false);
  Configuration after{
      .groups = {}, .best = c.best, .opened = c.opened || word, .in_word = word, .letter = {}};
  std::set<int32_t> taken;
  const auto keep = [&](Group &group, int32_t position) {
    if (taken.insert(position).second)
      group.push_back(position);
  };
  const auto enter = [&](Group &group, int32_t position) {
    if (program_.positions[static_cast<size_t>(position)].bytes[byte])
      keep(group, position);
  };
  for (const Group &group : c.groups) {
    Group next;
    for (const int32_t position : group) {
      const bool waits_for_end = position < 0;
      const bool ended = !waits_for_end && !word && program_.positions[static_cast<size_t>(position)].last &&
                         program_.rules[static_cast<size_t>(rule_of(position))].at == ReadingProgram::At::end;
      if (!word && (waits_for_end || ended))
        keep(next, -1 - rule_of(position));
      if (!waits_for_end)
        for (const int32_t follower : program_.positions[static_cast<size_t>(position)].follow)
          enter(next, follower);
    }
    if (!next.empty())
      after.groups.push_back(std::move(next));
  }
  if (!c.in_word && (c.best < 0 || !program_.by_position)) { // phrases begin behind no letter
    Group fresh;
    for (size_t rule = 0; rule < program_.rules.size(); ++rule) {
      const bool allowed = program_.rules[rule].at != ReadingProgram::At::start || !c.opened;
      const bool can_win = c.best < 0 || static_cast<int32_t>(rule) < c.best;
      if (allowed && can_win)
        for (const int32_t position : program_.rules[rule].first)
          enter(fresh, position);
    }
    if (!program_.by_position && !after.groups.empty())
      after.groups.front().insert(after.groups.front().end(), fresh.begin(), fresh.end());
    else if (!fresh.empty())
      after.groups.push_back(std::move(fresh));
  }
  for (Group &group : after.groups)
    std::sort(group.begin(), group.end());
  return after;
}

Decision Reading::decision(const Configuration &c) const {
  return c.best < 0 ? program_.decisions - 1 : program_.rules[static_cast<size_t>(c.best)].decision;
}

// With a match found, only phrases that are partly read can win over it, or any better rule where the order
// decides.
Decision Reading::settled(const Configuration &c) const {
  if (c.best < 0)
    return undecided;
  const Decision found = decision(c);
  const auto differs = [&](int32_t rule) {
    return program_.rules[static_cast<size_t>(rule)].decision != found;
  };
  for (const Group &group : c.groups)
    for (const int32_t position : group)
      if (differs(rule_of(position)))
        return undecided;
  for (int32_t rule = 0; !program_.by_position && rule < c.best; ++rule)
    if (differs(rule))
      return undecided;
  return found;
}

} // namespace ltu
