#include "engine/engine.h"
#include "engine/plan.h"
#include "support/error.h"
#include "support/memory.h"
#include "support/stopwatch.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#ifdef LTU_CUDA_KERNELS
#include "cuda/audio_encoder.h"
#include "cuda/card.h"
#include "cuda/llama.h"
#endif

namespace ltu {

namespace {

constexpr int64_t logits_batch = 256; // positions: bounds the memory of `logits`
constexpr int64_t repeats_of_row = 4; // answers that share a row, about: SHARD's repeats, most of which agree

// Without products of the back end's own a card's rows have the same bits in any company.
std::unique_ptr<LanguageModel> language_model(const Model &model, Device &device,
                                              [[maybe_unused]] bool batch_invariant) {
#ifdef LTU_CUDA_KERNELS
  if (model.on_card()) {
    const bool narrow = model.quantised() && !batch_invariant;
    return cuda::llama(model, device, std::make_unique<cuda::Card>(device.card()),
                       narrow ? llama_graph(model, device) : nullptr);
  }
#endif
  return llama_graph(model, device);
}

std::unique_ptr<AudioEncoder> audio_encoder(const Model &model, Device &device) {
#ifdef LTU_CUDA_KERNELS
  if (model.audio_on_card())
    return cuda::audio_encoder(model, device, std::make_unique<cuda::Card>(device.card()));
#endif
  return audio_graph(model, device);
}

StepWidth::Options widths(const EngineOptions &options, bool one_at_a_time, int64_t rows_at_once) {
  StepWidth::Options widths;
  if (rows_at_once)
    widths = {.answers = repeats_of_row * rows_at_once,
              .answer_rows = rows_at_once,
              .prompt_positions = rows_at_once,
              .rows = rows_at_once};
  if (options.step_answers)
    widths.answers = widths.answer_rows = options.step_answers;
  if (options.step_prompt_positions)
    widths.prompt_positions = options.step_prompt_positions;
  widths.draft_rows = one_at_a_time ? 1 : options.draft_width;
  return widths;
}

double logprob_of(const std::vector<Candidate> &candidates, int32_t token) {
  return std::log(probability_of(candidates, token));
}

std::optional<int32_t> logprobs_wanted(const Draw &draw) { // so many of the best beside the drawn one
  const Sample *sample = draw.request->sample();
  return sample ? sample->logprobs : std::nullopt;
}

Logprobs logprobs_of(const Draw &draw, const Candidate &chosen, size_t best) {
  Logprobs result{.drawn = std::log(static_cast<double>(chosen.probability)),
                  .raw =
                      static_cast<double>(draw.logits[static_cast<size_t>(chosen.token)]) - draw.raw->log_sum,
                  .best_drawn = {},
                  .best_raw = draw.raw->best};
  for (size_t i = 0; i < std::min(best, draw.candidates.size()); ++i)
    result.best_drawn.emplace_back(draw.candidates[i].token,
                                   std::log(static_cast<double>(draw.candidates[i].probability)));
  return result;
}

} // namespace

Engine::Engine(const std::string &path, const EngineOptions &options)
    : options_(options), device_(options.device, options.threads), model_(path, device_),
      encoder_(audio_encoder(model_, device_)),
      language_(language_model(model_, device_, options.batch_invariant)),
      kv_(model_, device_, options.kv_memory), clips_(model_.audio().embeddings, model_.llama().width),
      scheduler_(kv_.cells(), {.shared_tree = options.tree,
                               .one_at_a_time = options.batch_invariant && !rows_invariant()}),
      width_(widths(options, one_at_a_time(), language_->rows_at_once())),
      steps_under_way_(options.steps_under_way ? options.steps_under_way : language_->steps_under_way()) {
  trim_heap();
}

AudioEmbeddings Engine::encode(const float *features, int64_t clips) {
  const Stopwatch watch;
  AudioEmbeddings result = encoder_->encode(features, clips);
  counters_.clips += clips;
  counters_.encode_seconds += watch.seconds();
  return result;
}

int64_t Engine::add(Query query) {
  scheduler_.add(std::make_unique<Request>(next_id_, std::move(query), model_.llama(), token_bytes_, clips_,
                                           kv_.cells().capacity()));
  return next_id_++;
}

std::vector<Event> Engine::step() {
  const Stopwatch watch;
  std::vector<Event> events = std::exchange(early_, {});
  if (one_at_a_time() && scheduler_.live().empty())
    scheduler_.drop_kept(); // cells follow the order of positions, whatever was there before
  scheduler_.admit(step_answers());
  if (scheduler_.live().empty())
    return events;
  compute(events, [&] {
    Step step = plan(scheduler_, width_, drafts_, [this](int64_t rows) { return seconds_of_step(rows); });
    begin(step);
    finish_step_under_way(events);
    const int64_t prompt_positions = step.prompt_positions;
    if (may_stay_under_way(step))
      leave_under_way(std::move(step));
    else
      finish(step, events);
    (prompt_positions ? counters_.prompt_seconds : counters_.answer_seconds) += watch.seconds();
    width_.learn_prompt(prompt_positions, watch.seconds());
  });
  ++counters_.steps;
  return events;
}

// Whatever breaks off loses the positions of all that is live; a failure the requests, too.
void Engine::compute(std::vector<Event> &events, const std::function<void()> &work) {
  const auto lose_positions = [this] {
    under_way_.reset();
    language_->abandon();
    scheduler_.forget_positions();
  };
  try {
    work();
  } catch (const Interrupted &) {
    lose_positions();
  } catch (const std::exception &error) {
    const std::string why = error.what();
    lose_positions();
    for (const auto &request : scheduler_.take_live())
      events.push_back({.kind = Event::Kind::failed, .query = request->id, .repeat = 0, .stop = why});
  }
  scheduler_.remove_finished();
}

void Engine::begin(Step &step) {
  counters_.prompt_positions += step.prompt_positions;
  counters_.answer_positions += step.answer_positions;
  counters_.draft_positions += step.draft_positions;
  if (step.batch.size() == 0)
    return;
  for (const Draw &draw : step.draws)
    draw.request->under_way = true;
  forward(step.batch);
  request_distributions(step.draws, step);
}

// While the device computes a wide step, the host reads the one before and plans the next. Narrow ones are
// not worth it: two of them take as long as both together, twice.
bool Engine::may_stay_under_way(const Step &step) const {
  const int64_t wide = std::min(width_.answer_rows(), width_.rows());
  return steps_under_way_ > 1 && step.batch.size() >= wide && step.drafts.empty();
}

void Engine::leave_under_way(Step step) {
  const auto by_device = [this](const Draw &draw) {
    const Sampling *sampling = draw.request->sampling();
    return sampling && language_->draws(*sampling) && !logprobs_wanted(draw);
  };
  if (!std::ranges::all_of(step.draws, by_device)) { // their logits don't stay
    distribute(step.draws, step);
    step.drawn = true;
  }
  under_way_ = std::move(step);
}

void Engine::finish_step_under_way(std::vector<Event> &events) {
  if (!under_way_)
    return;
  Step step = std::move(*under_way_);
  under_way_.reset();
  step.behind = true;
  finish(step, events);
}

// Nothing is under way then.
void Engine::settle() {
  compute(early_, [this] { finish_step_under_way(early_); });
}

// Takes the answers of a step further.
void Engine::finish(Step &step, std::vector<Event> &events) {
  for (const Draw &draw : step.draws)
    draw.request->under_way = false;
  if (step.batch.size() > 0)
    sample(step, events);
  finish_walks(events);
  for (Node *node : step.drafts)
    scheduler_.tree().release(node);
}

double Engine::seconds_of_step(int64_t rows) {
  if (kv_.cells().available() < rows)
    return std::numeric_limits<double>::infinity();
  LlamaBatch batch;
  std::vector<int32_t> cells(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) {
    cells[static_cast<size_t>(i)] = kv_.cells().take();
    batch.labels.push_back(0);
    batch.depths.push_back(0);
    batch.paths.push_back(&cells[static_cast<size_t>(i)]);
    batch.outputs.push_back(static_cast<int32_t>(i));
  }
  double seconds = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 2; ++run) {
    const Stopwatch watch;
    forward(batch);
    language_->collect();
    seconds = std::min(seconds, watch.seconds());
  }
  for (const int32_t cell : cells)
    kv_.cells().give_back(cell);
  return seconds;
}

// Draws for every answer that waits, and again for those whose token was a draft: its row is there already.
void Engine::sample(Step &step, std::vector<Event> &events) {
  std::vector<Draw> draws = std::move(step.draws);
  if (draws.empty())
    language_->collect(); // prompts alone
  while (!draws.empty()) {
    if (!std::exchange(step.drawn, false))
      distribute(draws, step);
    std::vector<Draw> next;
    for (const Draw &draw : draws) {
      if (!draw.failure.empty())
        fail(*draw.request, draw.failure, events);
      if (draw.item && draw.request->walk)
        draw.request->walk->expand(scheduler_.tree(), draw.node, draw.item->state, draw.item->drawn,
                                   draw.item->mass, draw.candidates);
      if (draw.item)
        scheduler_.tree().release(draw.node);
      for (const size_t i : draw.answers) {
        Answer &answer = draw.request->answers[i];
        if (!answer.finished) // a request fails as a whole
          advance(*draw.request, answer, draw, events);
        if (!answer.finished && !step.behind)
          follow_drafts(step, draw, i, next);
      }
    }
    draws = std::move(next);
    if (!draws.empty())
      request_distributions(draws, step);
  }
}

void Engine::request_distributions(std::vector<Draw> &draws, const Step &step) {
  std::vector<RowDraw> rows;
  for (Draw &draw : draws)
    if (const Sampling *sampling = draw.request->sampling())
      rows.push_back({step.logits.at(draw.node), draw.history, sampling, &draw.candidates});
  language_->distributions(rows);
}

// What each draw can come to: by the device where it can, else by our threads.
void Engine::distribute(std::vector<Draw> &draws, const Step &step) {
  language_->collect();
  std::vector<Draw *> left;
  for (Draw &draw : draws)
    if (draw.candidates.empty() || logprobs_wanted(draw)) {
      draw.logits = language_->logits(step.logits.at(draw.node));
      left.push_back(&draw);
    }
  device_.pool().run(static_cast<uint32_t>(left.size()), [&](uint32_t i) {
    Draw &draw = *left[i];
    try {
      const Sampling *sampling = draw.request->sampling();
      if (draw.candidates.empty())
        draw.candidates =
            sampling ? distribution(draw.logits, draw.history, *sampling) : softmax(draw.logits);
      if (const std::optional<int32_t> best = logprobs_wanted(draw))
        draw.raw = raw_logprobs(draw.logits, static_cast<size_t>(*best));
    } catch (const std::exception &error) { // concerns this request alone
      draw.failure = error.what();
    }
  });
}

void Engine::follow_drafts(Step &step, const Draw &draw, size_t number, std::vector<Draw> &next) {
  Answer &answer = draw.request->answers[number];
  const auto drafted = draw.node->children.find(answer.tokens.back());
  if (drafted == draw.node->children.end() || !step.logits.contains(drafted->second.get()))
    return;
  Node *node = drafted->second.get();
  scheduler_.tree().descend(answer.cursor.node, node);
  answer.cursor.path.push_back(node->cell);
  ++counters_.taken_drafts;
  const auto same = std::find_if(next.begin(), next.end(), [&](const Draw &other) {
    return other.request == draw.request && other.node == node;
  });
  if (same != next.end())
    same->answers.push_back(number);
  else
    next.push_back({draw.request, node, answer.history, {number}});
}

void Engine::advance_given(Request &request, Answer &answer, const Draw &draw, std::vector<Event> &events) {
  const std::vector<int32_t> &given = request.score()->continuations[static_cast<size_t>(answer.repeat)];
  if (answer.tokens.size() < given.size()) {
    const int32_t token = given[answer.tokens.size()];
    answer.logprob += logprob_of(draw.candidates, token);
    answer.tokens.push_back(token);
    remember(answer.history, token);
  }
  if (answer.tokens.size() == given.size()) {
    if (request.score()->end)
      answer.tokens.pop_back();
    finish(request, answer, "given", events);
  }
}

void Engine::advance(Request &request, Answer &answer, const Draw &draw_, std::vector<Event> &events) {
  const Sample *sample = request.sample();
  if (!sample)
    return advance_given(request, answer, draw_, events);
  const double uniform = request.stream.uniform(static_cast<uint64_t>(answer.repeat), answer.tokens.size());
  const Candidate &chosen = draw(draw_.candidates, uniform);
  const double logprob = std::log(static_cast<double>(chosen.probability));
  answer.logprob += logprob;
  if (model_.llama().is_end(chosen.token))
    return finish(request, answer, "eos", events);
  answer.tokens.push_back(chosen.token);
  remember(answer.history, chosen.token);
  if (sample->logprobs)
    answer.logprobs.push_back(logprobs_of(draw_, chosen, static_cast<size_t>(*sample->logprobs)));
  if (sample->stream) {
    Event event{.kind = Event::Kind::token,
                .query = request.id,
                .repeat = answer.repeat,
                .token = chosen.token,
                .logprob = logprob};
    if (sample->logprobs)
      event.logprobs.push_back(answer.logprobs.back());
    events.push_back(std::move(event));
  }
  if (Reading *reading = sample->stop_when_decided.get()) {
    answer.state = reading->run(answer.state, token_bytes_[static_cast<size_t>(chosen.token)]);
    if (reading->decided(answer.state) != undecided)
      return finish(request, answer, "decided", events);
  }
  if (std::ssize(answer.tokens) == request.max_new_tokens)
    finish(request, answer, "length", events);
}

void Engine::finish_walks(std::vector<Event> &events) {
  for (const auto &request : scheduler_.live()) {
    if (!request->walking || request->under_way || !request->walk->finished())
      continue;
    events.push_back({.kind = Event::Kind::finished,
                      .query = request->id,
                      .repeat = 0,
                      .stop = "exact",
                      .masses = request->walk->masses(),
                      .nodes = request->walk->nodes(),
                      .found = request->found.value_or(0),
                      .answers = std::move(request->walk->answers())});
    request->walk->abandon(scheduler_.tree());
    request->walk.reset();
    request->walking = false;
    scheduler_.keep(*request, request->prompt);
    scheduler_.let_go(request->prompt);
  }
}

void Engine::finish(Request &request, Answer &answer, const char *stop, std::vector<Event> &events) {
  answer.finished = true;
  if (request.unfinished() == 0 || one_at_a_time())
    scheduler_.keep(request, answer.cursor);
  scheduler_.let_go(answer.cursor);
  if (width_.drafts() && request.by_token())
    drafts_.learn(answer.tokens);
  events.push_back({.kind = Event::Kind::finished,
                    .query = request.id,
                    .repeat = answer.repeat,
                    .tokens = std::move(answer.tokens),
                    .logprob = answer.logprob,
                    .logprobs = std::move(answer.logprobs),
                    .stop = stop,
                    .found = request.found.value_or(0)});
}

// Gives back what a request holds; its answers are finished.
void Engine::release(Request &request) {
  if (request.walk) {
    scheduler_.restart(request);
    request.walk.reset();
  }
  for (Answer &answer : request.answers) {
    answer.finished = true;
    scheduler_.let_go(answer.cursor);
  }
}

void Engine::fail(Request &request, const std::string &why, std::vector<Event> &events) {
  if (request.unfinished() == 0)
    return;
  release(request);
  events.push_back({.kind = Event::Kind::failed, .query = request.id, .repeat = 0, .stop = why});
}

std::vector<Event> Engine::cancel(int64_t id, std::optional<int64_t> repeat) {
  if (const Request *request = scheduler_.find(id); request && request->under_way)
    settle();
  std::vector<Event> events;
  Request *request = scheduler_.find(id);
  if (!request)
    return events;
  if (request->walk) {
    release(*request);
    events.push_back({.kind = Event::Kind::finished, .query = id, .repeat = 0, .stop = "cancelled"});
  }
  for (Answer &answer : request->answers)
    if (!answer.finished && (!repeat || answer.repeat == *repeat))
      finish(*request, answer, "cancelled", events);
  if (request->unfinished() == 0)
    scheduler_.remove(id);
  return events;
}

std::vector<float> Engine::logits(const std::vector<int32_t> &ids, const std::vector<Clip> &clips,
                                  bool last_only) {
  const Request request(0, {.ids = ids, .clips = clips, .mode = Sample{}, .max_new_tokens = 1},
                        model_.llama(), token_bytes_, clips_, kv_.cells().capacity());
  settle();
  const int64_t end = std::ssize(request.labels);
  if (one_at_a_time() && scheduler_.live().empty())
    scheduler_.drop_kept();
  scheduler_.make_room(end);
  std::vector<int32_t> path(request.labels.size());
  for (int32_t &cell : path)
    cell = kv_.cells().take();
  const auto compute = [&] {
    std::vector<float> result;
    for (int64_t begin = 0; begin < end; begin += logits_batch) {
      LlamaBatch batch;
      for (int64_t i = begin; i < std::min(end, begin + logits_batch); ++i) {
        batch.labels.push_back(request.labels[static_cast<size_t>(i)]);
        batch.depths.push_back(static_cast<int32_t>(i));
        batch.paths.push_back(path.data());
        if (!last_only || i + 1 == end)
          batch.outputs.push_back(static_cast<int32_t>(i - begin));
      }
      const bool wanted = !batch.outputs.empty();
      if (!wanted)
        batch.outputs.push_back(0);
      forward(batch);
      language_->collect();
      for (int64_t i = 0; wanted && i < std::ssize(batch.outputs); ++i) {
        const std::span<const float> row = language_->logits(i);
        result.insert(result.end(), row.begin(), row.end());
      }
    }
    return result;
  };
  const auto give_back = [&] {
    for (const int32_t cell : path)
      kv_.cells().give_back(cell);
  };
  try {
    std::vector<float> result = compute();
    give_back();
    return result;
  } catch (...) {
    language_->abandon();
    give_back();
    throw;
  }
}

} // namespace ltu
