// Who waits, who is live, who holds cells: requests of a model that exists on paper alone.
#include "check.h"
#include "engine/plan.h"
#include "engine/scheduler.h"
#include "support/error.h"
#include <map>
#include <random>

using namespace ltu;

namespace {

const std::vector<std::string> no_bytes;

LlamaConfig paper_model() {
  LlamaConfig llama{};
  llama.vocabulary = 100;
  llama.context = 1000;
  llama.eos = 2;
  return llama;
}

struct World {
  Cells cells;
  ClipStore clips{2, 1};
  Scheduler scheduler;
  StepWidth width{{.answers = 8, .prompt_positions = 16, .draft_rows = 1}};
  Drafts drafts;
  int64_t next_id = 0;

  explicit World(int64_t capacity, Scheduler::Options options = {})
      : cells(capacity), scheduler(cells, options) {}

  int64_t add(std::vector<int32_t> ids, int64_t repeats, int64_t tokens, uint64_t caller = 0) {
    Query query{.ids = std::move(ids), .clips = {}, .mode = Sample{.sampling = {}, .repeats = repeats}};
    query.max_new_tokens = tokens;
    query.caller = caller;
    scheduler.add(std::make_unique<Request>(next_id, std::move(query), paper_model(), no_bytes, clips,
                                            cells.capacity()));
    return next_id++;
  }

  // One step of a model that always says the repeat's number; returns the rows of each request.
  std::map<int64_t, int64_t> step() {
    scheduler.admit(width.answers());
    Step step = plan(scheduler, width, drafts, [](int64_t) { return 1.0; });
    std::map<int64_t, int64_t> rows;
    for (const Draw &draw : step.draws)
      for (const size_t i : draw.answers) {
        Answer &answer = draw.request->answers[i];
        ++rows[draw.request->id];
        CHECK(answer.cursor.node == draw.node);
        answer.tokens.push_back(static_cast<int32_t>(10 + answer.repeat));
        if (std::ssize(answer.tokens) == draw.request->max_new_tokens) {
          answer.finished = true;
          if (draw.request->unfinished() == 0)
            scheduler.keep(*draw.request, answer.cursor);
          scheduler.let_go(answer.cursor);
        }
      }
    scheduler.remove_finished();
    return rows;
  }
};

void repeats_share_their_prompt() {
  World world(100);
  world.add({1, 5, 6, 7}, 4, 3);
  CHECK(world.step()[0] == 4);
  CHECK(world.cells.available() == 96);
  world.step();
  CHECK(world.cells.available() == 92); // four answers said four things
  world.step();
  CHECK(world.scheduler.idle());
  CHECK(world.cells.available() == 96); // the prompt is kept
  world.scheduler.drop_kept();
  CHECK(world.cells.available() == 100);
}

void what_a_prompt_finds_in_the_tree_is_counted() {
  World world(100);
  world.add({1, 5, 6, 7}, 1, 1);
  world.step();
  const int64_t id = world.add({1, 5, 6, 8, 9}, 1, 2);
  world.step();
  CHECK(world.scheduler.find(id)->found == 3);
}

void a_light_caller_starts_beside_a_heavy_one() {
  World world(10'000);
  for (int i = 0; i < 100; ++i)
    world.add({1, 5, 6}, 4, 50, 1);
  for (int i = 0; i < 5; ++i)
    world.step();
  const int64_t light = world.add({1, 9}, 2, 3, 2);
  for (int i = 0; i < 3; ++i)
    CHECK(world.step()[light] == 2); // from the next step on, with all that it wants
  CHECK(!world.scheduler.find(light));
}

void one_request_with_many_repeats_does_not_keep_others_waiting() {
  World world(10'000);
  world.add({1, 5, 6}, 500, 50, 1);
  world.step();
  const int64_t light = world.add({1, 9}, 1, 2, 2);
  CHECK(world.step()[light] == 1);
}

void callers_share_the_rows_of_a_step() {
  World world(10'000);
  for (uint64_t caller = 1; caller <= 3; ++caller)
    for (int i = 0; i < 3; ++i)
      world.add({1, static_cast<int32_t>(caller)}, 4, 20, caller);
  world.step();
  std::map<uint64_t, int64_t> of_caller;
  for (const auto &[id, rows] : world.step())
    of_caller[static_cast<uint64_t>(id / 3)] += rows;
  for (const auto &[caller, rows] : of_caller)
    CHECK(rows == 2 || rows == 3 || rows == 4);
  CHECK(of_caller.size() == 3);
}

void more_callers_than_rows_all_come_to_an_end() {
  World world(10'000);
  for (uint64_t caller = 0; caller < 30; ++caller)
    world.add({1, static_cast<int32_t>(caller)}, 3, 4, caller);
  for (int i = 0; i < 400 && !world.scheduler.idle(); ++i)
    world.step();
  CHECK(world.scheduler.idle());
}

// Whatever the cache's size, answers end with all that they were to say, and no cell is lost.
void short_caches_delay_answers_and_lose_nothing() {
  std::mt19937 random(11);
  for (int trial = 0; trial < 300; ++trial) {
    World world(20 + static_cast<int64_t>(random() % 60), {.shared_tree = random() % 4 != 0});
    int64_t asked = 0;
    for (int i = 0; i < 12; ++i) {
      std::vector<int32_t> ids{1};
      for (size_t n = random() % 8; n > 0; --n)
        ids.push_back(5 + static_cast<int32_t>(random() % 2));
      world.add(std::move(ids), 1 + static_cast<int64_t>(random() % 4),
                1 + static_cast<int64_t>(random() % 12), random() % 3);
      ++asked;
    }
    int steps = 0;
    while (!world.scheduler.idle() && steps < 5000) {
      world.step();
      ++steps;
      if (random() % 50 == 0)
        world.scheduler.forget_positions(); // a step that failed
    }
    CHECK(world.scheduler.idle());
    world.scheduler.drop_kept();
    CHECK(world.cells.available() == world.cells.capacity());
  }
}

void prompts_are_kept_by_their_cells() {
  World world(4000);
  for (int32_t i = 0; i < 60; ++i) {
    std::vector<int32_t> ids{1, i};
    ids.resize(100, 7);
    world.add(std::move(ids), 1, 1);
  }
  while (!world.scheduler.idle())
    world.step();
  const int64_t kept = world.cells.capacity() - world.cells.available();
  CHECK(kept > 800 && kept <= 1000); // a quarter of the cache
}

void impossible_queries_are_refused_and_leave_no_clip() {
  World world(50);
  CHECK_THROWS(world.add({}, 1, 1), PromptError);
  CHECK_THROWS(world.add({1, 100}, 1, 1), PromptError);
  CHECK_THROWS(world.add({1, -1}, 1, 1), PromptError);
  CHECK_THROWS(world.add({1}, 0, 1), PromptError);
  CHECK_THROWS(world.add({1}, 1, 60), PromptError);
  CHECK_THROWS(world.add(std::vector<int32_t>(51, 1), 1, 1), PromptError);
  CHECK(world.scheduler.idle());
}

void steps_with_prompts_are_short_while_somebody_reads() {
  StepWidth width({});
  CHECK(width.prompt_positions(true) == 256); // nothing is known yet
  width.learn_prompt(256, 4.6);
  CHECK(width.prompt_positions(false) == 256);
  CHECK(width.prompt_positions(true) < 10);
  for (int i = 0; i < 50; ++i)
    width.learn_prompt(256, 0.01);
  CHECK(width.prompt_positions(true) == 256);
}

void drafts_fill_the_width_that_yields_most() {
  StepWidth width({});
  const auto seconds = [](int64_t rows) { return rows <= 4 ? 1.0 : 10.0; }; // free up to four rows
  int64_t rows = 0;
  for (int i = 0; i < 20; ++i)
    rows = width.draft_rows(seconds);
  CHECK(rows == 4);
  CHECK(!StepWidth({.draft_rows = 1}).drafts());
}

void drafts_follow_what_was_said_before() {
  Drafts drafts;
  drafts.learn(std::vector<int32_t>{5, 6, 7, 8});
  CHECK(drafts.propose(std::vector<int32_t>{1}, std::vector<int32_t>{5, 6}, 4) ==
        (std::vector<int32_t>{7, 8}));
  CHECK(drafts.propose(std::vector<int32_t>{20, 21, 22, 23}, std::vector<int32_t>{20, 21}, 1) ==
        (std::vector<int32_t>{22}));
  CHECK(Drafts().propose(std::vector<int32_t>{1}, std::vector<int32_t>{2}, 3).empty());
}

} // namespace

int main() {
  repeats_share_their_prompt();
  what_a_prompt_finds_in_the_tree_is_counted();
  a_light_caller_starts_beside_a_heavy_one();
  one_request_with_many_repeats_does_not_keep_others_waiting();
  callers_share_the_rows_of_a_step();
  more_callers_than_rows_all_come_to_an_end();
  short_caches_delay_answers_and_lose_nothing();
  prompts_are_kept_by_their_cells();
  impossible_queries_are_refused_and_leave_no_clip();
  steps_with_prompts_are_short_while_somebody_reads();
  drafts_fill_the_width_that_yields_most();
  drafts_follow_what_was_said_before();
}
