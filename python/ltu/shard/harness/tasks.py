"""Specification → a folder of task files for lm-evaluation-harness's `--include_path`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltu.files import write_json_lines, write_text
from ltu.prompt import AUDIO
from ltu.shard.spec.ontology import DISTANCES
from ltu.shard.spec.prompts import Cell
from ltu.shard.spec.relations import IDENTITY
from ltu.shard.spec.specification import Spec

PLACEHOLDER = "<audio>"  # the harness's name of [AUDIO]
CELL = Cell("interleaved", "short")  # every model of the harness takes audio inside the text
FUNCTIONS = "from ltu.shard.harness.scoring import audio, identity, relation, youden  # noqa: F401\n"
METRIC = "  - metric: {name}\n    aggregation: {aggregation}\n    higher_is_better: true\n"
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: {kind}
doc_to_audio: !function scoring.audio
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{target}}}}"
target_delimiter: ""
{more}metric_list:
{metrics}metadata:
  version: 1.0
"""
GENERATE = "process_results: !function scoring.{score}\ngeneration_kwargs:\n  until: []\n  do_sample: true\n"
CHOOSE = 'doc_to_choice: ["Yes", "No"]\n'


def write_tasks(spec: Spec, clips: Path, out: Path) -> list[str]:
    """Writes the tasks and returns their names; `…_choice` asks for log-likelihoods instead of an answer."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "scoring.py", FUNCTIONS)
    names = []
    for task in spec.tasks:
        data = out.resolve() / f"{task}.jsonl"
        rows = headline(spec, task, clips)
        write_json_lines(data, ({**row, "prompt": row["prompt"].replace(AUDIO, PLACEHOLDER)} for row in rows))
        mean = METRIC.format(name="acc", aggregation="mean")
        both = mean + METRIC.format(name="j", aggregation="!function scoring.youden")
        score = "identity" if task == IDENTITY else "relation"
        kinds = [("", "generate_until", GENERATE.format(score=score), mean if task == IDENTITY else both)]
        if task != IDENTITY:
            kinds.append(("_choice", "multiple_choice", CHOOSE, mean))
        for ending, kind, more, metrics in kinds:
            name = f"shard_{task}{ending}"
            text = TASK.format(name=name, data=json.dumps(str(data)), kind=kind, more=more, metrics=metrics)
            write_text(out / f"{name}.yaml", text)
            names.append(name)
    return names


def headline(spec: Spec, task: str, clips: Path) -> Iterator[dict[str, Any]]:
    """The questions of the headline: Table 1's interleaved prompt, negatives from elsewhere."""
    by_id = {clip.id: clip for clip in spec.clips}
    for q in spec.questions:
        if q.task == task and q.cell == CELL and (task == IDENTITY or DISTANCES[0] in q.tiers):
            clip = by_id[q.clip]
            target = clip.label if q.expected is None else "Yes" if q.expected else "No"
            file = str((clips / clip.file).resolve())
            what = {"prompt": q.prompt, "term": q.term, "target": target}
            yield {"id": q.id, "file": file, "label": clip.label, **what}
