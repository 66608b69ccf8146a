#pragma once
#include "cuda/attention_plan.h"
#include "cuda/card.h"
#include "cuda/rows.h"

namespace ltu::cuda {

// Each row attends to the cells of its path; heads of 64 or 128 elements. queries, out: [n, heads × size];
// keys, values: [cells, kv heads × size]; order, blocks, groups: an AttentionPlan's, on the card.
void path_attention(Card &card, const Half *queries, const Half *keys, const Half *values,
                    const int32_t *order, const PathBlock *blocks, const int32_t *groups, int64_t group_count,
                    const Heads &heads, Half *out, int64_t n);

} // namespace ltu::cuda
