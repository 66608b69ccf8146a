"""What a card computes against our CPU kernels, and whether answers keep their bits in other company.

    python bench/gpu/agreement.py [--device cuda] [--json FILE]

Tiny models: head sizes 64 and 128, grouped heads, every kind of weights; logits of 1 to 300 rows at once,
and sampled answers asked alone, together and in another order.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ltu

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from tiny import HEADS, tiny_gguf

ROWS = (1, 2, 8, 9, 16, 17, 33, 64, 65, 100, 256, 300)
TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_k")


def answers(model: ltu.Model, order: list[int], together: bool) -> dict[tuple[int, int], object]:
    sampling = ltu.Sampling(temperature=0.7, top_k=40, top_p=0.95, repetition_penalty=1.1)
    prompts = ["what is this?", "a dog or a cat, or what else", "hear", "say yes or no"]
    queries = [
        model.query(f"{prompts[i % 4]} {i}", repeats=4, seed=i, sampling=sampling, max_new_tokens=12, tag=i)
        for i in order
    ]
    asked = [queries] if together else [[query] for query in queries]
    return {(a.tag, a.repeat): (a.token_ids, a.logprob) for part in asked for a in model.answers(part)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    record = []
    for (size, group), heads in HEADS.items():
        for outtype in TYPES:
            start = time.time()
            path = tiny_gguf(
                Path(tempfile.mkdtemp()) / "t.gguf", context=512, outtype=outtype, feed_forward=512, **heads
            )
            ours, card = ltu.load(path, device="cpu"), ltu.load(path, device=options.device)
            rng, worst, where = np.random.default_rng(0), 0.0, 0
            for rows in ROWS:
                ids = [int(i) for i in rng.integers(3, 260, rows)]
                a, b = ours.logits(ids), card.logits(ids)
                error = float(np.linalg.norm(a - b) / np.linalg.norm(a))
                if not error <= worst:
                    worst, where = error, rows
            order = list(range(40))
            together = answers(card, order, True)
            random.Random(1).shuffle(order)
            other = answers(card, order, True)
            alone = answers(card, order[:10], False)
            row = {
                "head_size": size,
                "heads_a_key": group,
                "type": outtype,
                "kernels": card.description()["kernels"],
                "relative_error": worst,
                "at_rows": where,
                "answers": len(together),
                "other_in_another_order": sum(together[k] != other[k] for k in together),
                "other_alone": sum(together[k] != alone[k] for k in alone),
            }
            print(row, f"{time.time() - start:.1f} s", flush=True)
            record.append(row)
            ours.close()
            card.close()
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
