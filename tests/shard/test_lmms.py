"""Our model under lmms-eval: answers and log-likelihoods are those that the engine gives."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake import Benchmark
from test_harness import log_likelihood

import ltu

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import tiny_gguf

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")

ROOT = Path(__file__).parents[2]


def instance(kind: str, arguments: tuple[Any, ...]) -> Any:
    from lmms_eval.api.instance import Instance

    return Instance(
        request_type=kind, arguments=arguments, idx=0, metadata={"task": "task", "doc_id": 0, "repeats": 1}
    )


def test_answers_and_scores_are_the_engines(benchmark: Benchmark, tmp_path: Path) -> None:
    from lmms_eval.models import get_model

    from ltu.shard.harness.lmms import Ltu, LtuChat, manifest

    assert get_model  # its registry takes manifests
    assert manifest.chat_class_path == "ltu.shard.harness.lmms.LtuChat"
    path = str(tiny_gguf(tmp_path / "tiny.gguf"))
    own = ltu.load(path, device="cpu", threads=1)
    files = [str(benchmark.folder / clip.file) for clip in benchmark.spec.clips[:3]]
    docs = [{"file": file} for file in files]

    def heard(doc: dict[str, Any]) -> list[str]:
        return [doc["file"]]

    def messages(doc: dict[str, Any]) -> list[dict[str, Any]]:
        parts = [{"type": "text", "text": "Is "}, {"type": "audio", "url": doc["file"]}]
        return [{"role": "user", "content": [*parts, {"type": "text", "text": " a bird?"}]}]

    settings = {"max_new_tokens": 5, "until": ["#"]}
    greedy = {"temperature": 0, "max_new_tokens": 5}
    chat, plain = (kind(path, "cpu", 1) for kind in (LtuChat, Ltu))
    for model in (chat, plain):
        model.task_dict["task"] = {"test": docs}
    asked = [
        instance("generate_until", ("", messages, dict(settings), i, "task", "test"))
        for i in range(len(docs))
    ]
    expected = [own.generate("Is [AUDIO] a bird?", file, **greedy)[0].text.split("#")[0] for file in files]
    assert chat.generate_until(asked) == expected
    before = instance("generate_until", ("Is it a bird?", dict(settings), heard, 0, "task", "test"))
    [answer] = own.generate("Is it a bird?", files[0], format="prepended", **greedy)
    assert plain.generate_until([before]) == [answer.text.split("#")[0]]
    inside = ("Is <audio> a bird?", " yes", heard, 1, "task", "test")
    [result] = plain.loglikelihood([instance("loglikelihood", inside)])
    loss, _ = result.text
    theirs = log_likelihood(own, "Is [AUDIO] a bird?", ltu.load_audio(files[1]), " yes")
    assert loss == pytest.approx(-theirs, abs=1e-3)


@pytest.mark.parametrize(
    ("task", "metric", "flags"),
    [("ltu_sounds", "right", []), ("ltu_sounds_scored", "acc", ["--force_simple"])],
)
def test_its_command_line_runs_to_the_end(tmp_path: Path, task: str, metric: str, flags: list[str]) -> None:
    """The demo model on the tasks in examples/lmms, which it answers rightly."""
    command = [sys.executable, "-m", "lmms_eval", "--model", "ltu", "--model_args", "device=cpu,threads=1"]
    where = ["--include_path", "examples/lmms", "--tasks", task, "--output_path", str(tmp_path)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, *flags, *where], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    [results] = tmp_path.rglob("*_results.json")
    assert json.loads(results.read_text())["results"][task][f"{metric},none"] == 1
