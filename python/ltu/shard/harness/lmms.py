"""An LTU model for lmms-eval: answers in the order of a task's parts, and log-likelihoods about audio.

    lmms-eval --model ltu --model_args gguf=m.gguf,device=cpu --tasks …

Tasks with messages keep text and recordings in their order. The text of others has recordings where it says
[AUDIO] or <audio>; where it says neither they stand before it (the prepended format).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lmms_eval.api.instance import (  # type: ignore[import-not-found,unused-ignore]
    GenerationResult,
    Instance,
)
from lmms_eval.api.model import lmms  # type: ignore[import-not-found,unused-ignore]
from lmms_eval.models.registry_v2 import ModelManifest  # type: ignore[import-not-found,unused-ignore]

from ltu.audio import load_audio
from ltu.errors import PromptError
from ltu.model import load
from ltu.prompt import AUDIO, Format, PromptSequence
from ltu.query import Query
from ltu.sampling import Sampling
from ltu.shard.harness.tasks import PLACEHOLDER

GREEDY = Sampling(temperature=0)
SETTINGS = ("temperature", "top_k", "top_p", "repetition_penalty")
manifest = ModelManifest("ltu", simple_class_path=f"{__name__}.Ltu", chat_class_path=f"{__name__}.LtuChat")


class Ltu(lmms):  # type: ignore[misc,unused-ignore]
    """Tasks that give a text and a list of recordings, among them those of log-likelihoods."""

    def __init__(
        self, gguf: str | None = None, device: str = "auto", threads: int | None = None, **_: Any
    ) -> None:
        """Without gguf the demo model."""
        super().__init__()
        self.model = load(gguf, device, None if threads is None else int(threads))

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """One answer each, cut at the first of `until`; greedy unless the task samples."""
        return self._answers([(self._listed(r.args[0], *r.args[2:6]), r.args[1]) for r in requests])

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Raises PromptError."""
        raise PromptError("this model answers one question; tasks of several rounds ask for another")

    def loglikelihood(self, requests: list[Instance]) -> list[GenerationResult]:
        """(loss of the continuation, whether greedy decoding gives it), untempered.

        lmms-eval takes the least: its models return losses. It makes text of a bare pair (0.7.3), but not of
        what a GenerationResult holds.
        """
        pairs = []
        for request in requests:
            context, target, visual, doc_id, task, split = request.args
            if callable(target):
                target = target(self.task_dict[task][split][doc_id])
            sequence = self._listed(context, visual, doc_id, task, split)
            pairs.append((sequence, tuple(self.model.prompter.continuation(target))))
        score = [Query(s, mode="score", continuations=(ids,), tag=i) for i, (s, ids) in enumerate(pairs)]
        follow = [
            Query(s, sampling=GREEDY, max_new_tokens=len(ids), tag=i) for i, (s, ids) in enumerate(pairs)
        ]
        scores = {answer.tag: answer.logprob for answer in self.model.answers(score)}
        greedy = {answer.tag: answer.token_ids for answer in self.model.answers(follow)}
        return [GenerationResult((-scores[i], greedy[i] == ids)) for i, (_, ids) in enumerate(pairs)]

    def _listed(self, text: str, visual: Any, doc_id: int, task: str, split: str) -> PromptSequence:
        heard = visual(self.task_dict[task][split][doc_id]) or []
        text = text.replace(PLACEHOLDER, AUDIO)
        format: Format = "interleaved" if AUDIO in text or not heard else "prepended"
        return self.model.prompter.sequence(text, [load_audio(audio) for audio in heard], format)

    def _answers(self, asked: Sequence[tuple[PromptSequence, dict[str, Any]]]) -> list[str]:
        queries = [
            Query(
                sequence,
                sampling=self._sampling(settings),
                max_new_tokens=settings.get("max_new_tokens"),
                tag=index,
            )
            for index, (sequence, settings) in enumerate(asked)
        ]
        texts = {answer.tag: answer.text for answer in self.model.answers(queries)}
        return [_cut(texts[i], settings.get("until") or []) for i, (_, settings) in enumerate(asked)]

    def _sampling(self, asked: dict[str, Any]) -> Sampling:
        if not asked.get("do_sample"):
            return GREEDY
        given = {name: asked[name] for name in SETTINGS if asked.get(name) is not None}
        return replace(self.model.sampling, **given)


class LtuChat(Ltu):
    """Tasks that give messages."""

    is_simple = False

    def generate_until(self, requests: list[Instance]) -> list[str]:
        asked = []
        for request in requests:
            _, messages, settings, doc_id, task, split = request.args
            asked.append((self._joined(messages(self.task_dict[task][split][doc_id])), settings))
        return self._answers(asked)

    def _joined(self, messages: Sequence[dict[str, Any]]) -> PromptSequence:
        """The parts of the one message in their order. Raises PromptError for other media and history."""
        if [message["role"] for message in messages] != ["user"]:
            raise PromptError("this model answers one user message, without system text or history")
        text, clips = "", []
        for part in messages[0]["content"]:
            if part["type"] == "audio":
                text += AUDIO
                clips.append(load_audio(part.get("url", part.get("audio"))))
            elif part["type"] == "text":
                text += part["text"]
            else:
                raise PromptError(f"this model reads text and audio, not {part['type']}")
        return self.model.prompter.sequence(text, clips)


def _cut(text: str, until: str | Sequence[str]) -> str:
    for end in [until] if isinstance(until, str) else until:
        text = text.split(end)[0] if end else text
    return text
