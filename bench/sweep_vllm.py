"""vLLM's part of bench/sweep.py, for a Python that has vLLM (which wants a PyTorch of its own).

    python bench/sweep_vllm.py MODEL_FOLDER OPTIONS

`OPTIONS`: JSON with `dtype` and what SamplingParams takes. Each line that is read names a file of prompts'
embeddings, list of [positions, width]; the line that is written has the ids of all their answers as JSON.
"""

import json
import os
import sys

import torch
from vllm import LLM, SamplingParams


def main() -> None:
    folder, options = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # vLLM and its workers print there
    dtype = options.pop("dtype")
    model = LLM(
        folder, dtype=dtype, skip_tokenizer_init=True, enable_prompt_embeds=True, max_model_len=512, seed=0
    )
    sampling = SamplingParams(detokenize=False, **options)
    for line in sys.stdin:
        prompts = [{"prompt_embeds": rows.to(getattr(torch, dtype))} for rows in torch.load(line.strip())]
        found = model.generate(prompts, sampling, use_tqdm=False)
        ids = [list(answer.token_ids) for prompt in found for answer in prompt.outputs]
        print(json.dumps(ids), file=answers, flush=True)


if __name__ == "__main__":
    main()
