#pragma once
#include "engine/drafts.h"
#include "engine/scheduler.h"
#include "engine/step.h"
#include "engine/step_width.h"
#include <functional>

namespace ltu {

// The step that comes next: the next position of every live answer and walk, prompts, and drafts where there
// is room. `seconds`: what StepWidth::draft_rows measures with.
Step plan(Scheduler &scheduler, StepWidth &width, const Drafts &drafts,
          const std::function<double(int64_t rows)> &seconds);

} // namespace ltu
