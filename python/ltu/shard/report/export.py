"""A run as JSON Lines in the layout of lm-evaluation-harness's sample logs."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltu.files import write_json_lines
from ltu.shard.score.breakdown import conditions
from ltu.shard.score.scored import Run, Scored
from ltu.shard.spec.relations import IDENTITY


def write_samples(run: Run, folder: Path) -> dict[str, int]:
    """One file for each task and way of asking; gives how many lines each has."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for condition in conditions(run, (IDENTITY, *run.relation_names)):
        way = (condition.task, condition.position, condition.wording)
        path = folder / f"samples_shard_{'_'.join(way)}.jsonl"
        rows = list(samples(run, way))
        write_json_lines(path, rows)
        written[str(path)] = len(rows)
    return written


def samples(run: Run, condition: tuple[str, str, str]) -> Iterator[dict[str, Any]]:
    """One document a question of (task, position, wording); all repeats are its responses."""
    sampling = json.loads(run.row["sampling"])
    arguments = {
        "do_sample": sampling["temperature"] > 0,
        "max_gen_toks": run.row["max_new_tokens"],
        **sampling,
    }
    for s in run.scored:
        asked = s.asked
        if (asked.task, asked.position, asked.wording) != condition or asked.control:
            continue
        clip = run.clips[asked.clip]
        doc = {
            "id": asked.id,
            "audio": clip["file"],
            "audio_hash": clip["hash"],
            "label": s.label,
            "term": asked.term,
            "tiers": asked.tiers.split(",") if asked.tiers else [],
            "clip_seen": asked.clip_seen,
            "term_seen": asked.term_seen,
        }
        target = s.label if asked.task == "identity" else "yes" if asked.expected else "no"
        yield {
            "doc_id": asked.id,
            "doc": doc,
            "target": target,
            "arguments": {"gen_args_0": {"arg_0": asked.prompt, "arg_1": arguments}},
            "resps": [list(s.texts)],
            "filtered_resps": [_filtered(s)],
            "filter": "identity" if asked.task == "identity" else "careful",
            "metrics": ["acc"],
            "doc_hash": _hash(json.dumps(doc, ensure_ascii=False)),
            "prompt_hash": _hash(asked.prompt),
            "target_hash": _hash(target),
            "acc": s.strict if asked.task == "identity" else s.right("careful"),
        }


def _filtered(s: Scored) -> list[Any]:
    return [list(names) for names in s.named] if s.asked.task == "identity" else list(s.decisions["careful"])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
