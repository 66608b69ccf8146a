"""A run's open questions → answers in the store."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ltu.audio import Clip
from ltu.errors import AudioError
from ltu.query import Answer, Query
from ltu.shard.run.ahead import ahead
from ltu.shard.run.asking import Answers, Ask, answered, answers_of, plan, queries_of, sound_of
from ltu.shard.run.store import Answered, Store

COMMIT_SECONDS = 1.0


@dataclass
class Summary:
    """What a session did."""

    run: int
    questions: int
    answered_before: int
    answered: int = 0
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)


def sweep(
    model: Answers, store: Store, run: int, progress: Callable[[int], None], device: dict[str, Any]
) -> Summary:
    """Asks what is not yet answered. `progress` is told how many more questions are. Hold `store.writing()`.

    Raises Error when the file cannot be written; what is answered by then stays.
    """
    started = time.time()
    row = store.run(run)
    settings = json.loads(row["selection"])
    pending = store.pending(run)
    clips = {clip["id"]: clip for clip in store.rows("clips", run)}
    asks = plan(pending, {id: clip["other"] for id, clip in clips.items()})
    labels = {q.id: clips[q.clip]["label"] for q in pending}
    summary = Summary(run, row["asked"], row["asked"] - len(pending))
    session = store.start_session(run, device)
    asking = _Asking(model, asks, clips, row["repeats"], row["seed"], settings)
    finished: list[Answered] = []
    recorded = time.time()

    def flush() -> None:
        nonlocal recorded
        store.record(run, finished, asking.failures.items())
        count = sum(len(group.questions) for group in finished)
        summary.answered += count
        finished.clear()
        recorded = time.time()
        progress(count)

    partial: dict[int, list[Answer]] = defaultdict(list)
    try:
        for answer in model.answers(asking.queries()):
            partial[answer.tag].append(answer)
            ask = asks[answer.tag]
            if len(partial[answer.tag]) == answers_of(ask, row["repeats"], settings):
                now = time.time()
                heard, began = asking.asked.pop(answer.tag)
                timing = (heard, now, now - began)
                finished.append(answered(ask, labels, timing, partial.pop(answer.tag)))
                if now - recorded > COMMIT_SECONDS:
                    flush()
    finally:
        flush()
        store.end_session(session)
    summary.seconds = time.time() - started
    summary.failures = {clips[id]["file"]: reason for id, reason in sorted(asking.failures.items())}
    return summary


class _Asking:
    """The queries, and what is to be known of each when its answers come."""

    def __init__(
        self,
        model: Answers,
        asks: Sequence[Ask],
        clips: Mapping[int, Any],
        repeats: int,
        seed: int,
        settings: Mapping[str, Any],
    ) -> None:
        self._model, self._asks, self._clips = model, asks, clips
        self._repeats, self._seed, self._settings = repeats, seed, settings
        self.failures: dict[int, str] = {}  # by clip
        self.asked: dict[int, tuple[str | None, float]] = {}  # index → hash of the clip, moment

    def queries(self) -> Iterator[Query]:
        """In their order, each tagged with its index. Clips are read ahead; one that fails is left out."""
        groups = [list(group) for _, group in groupby(enumerate(self._asks), lambda item: item[1].played)]
        sounds = ahead(self._sound, (group[0][1] for group in groups), self._model.clip_threads)
        for group, sound in zip(groups, sounds, strict=True):
            if isinstance(sound, AudioError):
                self.failures[group[0][1].clip] = str(sound)
                continue
            for index, ask in group:
                sequence = self._model.prompter.sequence(ask.prompt, sound, ask.format)
                self.asked[index] = sound[0].hash if sound else None, time.time()
                yield from queries_of(
                    ask, sequence, index, self._repeats, self._seed, self._settings, self._model
                )

    def _sound(self, ask: Ask) -> list[Clip] | AudioError:
        try:
            sound = sound_of(ask, self._clips)
            self._model.prepare(sound)
        except AudioError as error:
            return error
        return sound
