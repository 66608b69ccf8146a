"""Our model under lmms-eval: answers and log-likelihoods are those that the engine gives."""

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
    [(score, _)] = plain.loglikelihood([instance("loglikelihood", inside)])
    theirs = log_likelihood(own, "Is [AUDIO] a bird?", ltu.load_audio(files[1]), " yes")
    assert score == pytest.approx(theirs, abs=1e-3)
