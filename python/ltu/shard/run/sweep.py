"""A run's open questions → answers in the store."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
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
    failures: dict[int, str] = {}
    began: dict[int, float] = {}
    heard: dict[int, str | None] = {}

    def sound(ask: Ask) -> list[Clip] | AudioError:
        try:
            heard = sound_of(ask, clips)
            model.prepare(heard)
        except AudioError as error:
            return error
        return heard

    def queries() -> Iterator[Query]:
        groups = [list(group) for _, group in groupby(enumerate(asks), lambda item: item[1].played)]
        sounds = ahead(sound, (group[0][1] for group in groups), model.clip_threads)
        for group, played in zip(groups, sounds, strict=True):
            if isinstance(played, AudioError):
                failures[group[0][1].clip] = str(played)
                continue
            for index, ask in group:
                sequence = model.prompter.sequence(ask.prompt, played, ask.format)
                began[index], heard[index] = time.time(), played[0].hash if played else None
                yield from queries_of(ask, sequence, index, row["repeats"], row["seed"], settings, model)

    finished: list[Answered] = []
    recorded = time.time()

    def flush() -> None:
        nonlocal recorded
        store.record(run, finished, failures.items())
        count = sum(len(group.questions) for group in finished)
        summary.answered += count
        finished.clear()
        recorded = time.time()
        progress(count)

    partial: dict[int, list[Answer]] = defaultdict(list)
    try:
        for answer in model.answers(queries()):
            partial[answer.tag].append(answer)
            ask = asks[answer.tag]
            if len(partial[answer.tag]) == answers_of(ask, row["repeats"], settings):
                now = time.time()
                timing = (heard.pop(answer.tag), now, now - began.pop(answer.tag))
                finished.append(answered(ask, labels, timing, partial.pop(answer.tag)))
                if now - recorded > COMMIT_SECONDS:
                    flush()
    finally:
        flush()
        store.end_session(session)
    summary.seconds = time.time() - started
    summary.failures = {clips[id]["file"]: reason for id, reason in sorted(failures.items())}
    return summary
