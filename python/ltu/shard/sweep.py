"""Specification and model → answers in the store."""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

import numpy as np

from ltu.audio import Clip, load_audio
from ltu.errors import AudioError, Error
from ltu.prompt import Format, PromptSequence
from ltu.query import Answer, Query
from ltu.reading import Reading
from ltu.sampling import Sampling
from ltu.shard.controls import CONTROLS, noise, silence
from ltu.shard.decide import HEADLINE
from ltu.shard.prompts import RELATIONS, word_prompt
from ltu.shard.spec import Question, Spec
from ltu.shard.store import Answered, Asked, Store

COMMIT_SECONDS = 1.0
YES, NO = ("Yes", "yes"), ("No", "no")  # what log-odds are of, untempered
TRAINED_CLIPS, TRAINED_TERMS = "ltu.train.clips", "ltu.train.terms"


class Prompts(Protocol):
    def sequence(
        self, prompt: str, clips: Sequence[Clip] = (), format: Format = "interleaved"
    ) -> PromptSequence: ...
    def continuation(self, text: str) -> list[int]: ...


class Answers(Protocol):
    """What a sweep needs of a model; ltu.Model is one."""

    path: str
    info: Mapping[str, Any]
    sampling: Sampling
    max_new_tokens: int

    @property
    def prompter(self) -> Prompts: ...
    def answers(self, queries: Iterable[Query]) -> Iterator[Answer]: ...


@dataclass(frozen=True)
class Settings:
    """What makes a run the run that it is, beside model and specification."""

    repeats: int = 4
    seed: int = 0
    controls: bool = False
    tasks: tuple[str, ...] = RELATIONS
    words: tuple[str, ...] = ()
    limit: int | None = None
    exact: bool = False
    scores: bool = False
    epsilon: float = 1e-3


@dataclass
class Summary:
    """What a session did."""

    run: int
    questions: int
    answered_before: int
    answered: int = 0
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)


def prepare(store: Store, spec: Spec, model: Answers, clips_folder: Path, settings: Settings) -> int:
    """The run with this model, specification and settings: found, or written down whole. Raises Error."""
    model_hash = file_hash(Path(model.path))
    sampling = json.dumps(asdict(model.sampling))
    selection = json.dumps({k: v for k, v in asdict(settings).items() if k not in ("repeats", "seed")})
    what = [model_hash, spec.hash, settings.repeats, settings.seed, sampling, model.max_new_tokens, selection]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()
    if (found := store.run_with_key(key)) is not None:
        return found
    chosen = select(spec, settings)
    if not chosen:
        raise Error("no question is left by --tasks, --words and --limit; ask for more")
    trained_clips = set(model.info.get(TRAINED_CLIPS, ()))
    trained_terms = {str(term).casefold() for term in model.info.get(TRAINED_TERMS, ())}
    seen = {clip.id: clip.hash in trained_clips for clip in spec.clips}
    asked = list(_asked(spec, chosen, settings.controls, seen, trained_terms))
    run = {
        "key": key,
        "created": time.time(),
        "model": str(model.info.get("general.name") or Path(model.path).stem),
        "model_sha256": model_hash,
        "spec": str(spec.header.get("name", "")),
        "spec_sha256": spec.hash,
        "repeats": settings.repeats,
        "seed": settings.seed,
        "sampling": sampling,
        "max_new_tokens": model.max_new_tokens,
        "selection": selection,
        "header": json.dumps(spec.header),
        "licence": str(model.info.get("general.license", "")),
    }
    words = [(word.label, json.dumps(word.to_json())) for word in spec.words]
    clips = [
        (c.id, c.label, str((clips_folder / c.file).resolve()), c.recording, c.hash, c.other, seen[c.id])
        for c in spec.clips
    ]
    return store.add_run(run, words, clips, asked)


def select(spec: Spec, settings: Settings) -> list[Question]:
    """The questions that tasks, words and limit leave; a limit takes a random part, the same each time."""
    names = {name.casefold() for name in settings.words}
    known = {word.label.casefold(): word.label for word in spec.words} | {
        word.word.casefold(): word.label for word in spec.words
    }
    if unknown := names - set(known):
        raise Error(
            f"--words: {', '.join(sorted(unknown))} not in the specification; ltu-shard list shows them"
        )
    wanted = {known[name] for name in names} or {word.label for word in spec.words}
    label = {clip.id: clip.label for clip in spec.clips}
    chosen = [q for q in spec.questions if q.task in settings.tasks and label[q.clip] in wanted]
    if settings.limit is not None and settings.limit < len(chosen):
        kept = set(Random(0).sample(range(len(chosen)), settings.limit))
        chosen = [question for index, question in enumerate(chosen) if index in kept]
    return chosen


def _asked(
    spec: Spec, chosen: Sequence[Question], controls: bool, seen: dict[int, bool], trained_terms: set[str]
) -> Iterator[Asked]:
    """Questions and their controls; ids go on where the specification's end."""
    word = {clip.id: spec.word(clip.label).word for clip in spec.clips}
    other = {clip.id: clip.other for clip in spec.clips}
    next_id = max(question.id for question in spec.questions) + 1
    for q in chosen:
        marks = (seen[q.clip], q.term.casefold() in trained_terms)
        about = (q.term, q.term_label, q.expected, ",".join(q.tiers))
        yield Asked(q.id, q.id, "", q.clip, q.task, q.position, q.wording, *about, q.prompt, *marks)
        for control in CONTROLS if controls else ():
            if (control == "word" and q.task == "identity") or (control == "other" and other[q.clip] is None):
                continue
            text = word_prompt(q.task, word[q.clip], q.term) if control == "word" else q.prompt
            yield Asked(next_id, q.id, control, q.clip, q.task, q.position, q.wording, *about, text, *marks)
            next_id += 1


@dataclass(frozen=True)
class Ask:
    """One query and the questions that it answers. `sound` is what is played, `clip` where it comes from."""

    sound: str  # "clip", "noise", "silence" or "" for a prompt without audio
    clip: int
    prompt: str
    format: Format
    term: str
    questions: tuple[int, ...]


def plan(pending: Sequence[Asked], other: Mapping[int, int | None]) -> list[Ask]:
    """Each distinct query once, all about one clip together (they share its embeddings and prefix)."""
    groups: dict[tuple[int, int, str, str, Format, str], list[int]] = defaultdict(list)
    for q in pending:
        format: Format = "prepended" if q.position == "prepended" else "interleaved"
        if q.control == "word":
            where, sound, format = (1, 0), "", "interleaved"
        elif q.control == "silence":
            where, sound = (1, 0), "silence"
        else:
            heard = other[q.clip] if q.control == "other" else q.clip
            assert heard is not None
            where, sound = (0, heard), "noise" if q.control == "noise" else "clip"
        groups[(*where, sound, q.prompt, format, q.term)].append(q.id)
    ordered = sorted(groups.items(), key=lambda item: (item[0][:3], item[1]))
    return [
        Ask(sound, clip, text, form, term, tuple(ids)) for (_, clip, sound, text, form, term), ids in ordered
    ]


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
    clips = {row["id"]: row for row in store.rows("clips", run)}
    asks = plan(pending, {id: clip["other"] for id, clip in clips.items()})
    summary = Summary(run, row["asked"], row["asked"] - len(pending))
    session = store.start_session(run, device)
    failures: dict[int, str] = {}
    began: dict[int, float] = {}
    heard: dict[int, str | None] = {}

    def queries() -> Iterator[Query]:
        at: tuple[str, int] | None = None
        sound: list[Clip] = []
        for index, ask in enumerate(asks):
            if ask.clip in failures and ask.sound in ("clip", "noise"):
                continue
            if (ask.sound, ask.clip) != at:
                try:
                    sound = _sound(ask, clips)
                except AudioError as error:
                    failures[ask.clip] = str(error)
                    continue
                at = (ask.sound, ask.clip)
            sequence = model.prompter.sequence(ask.prompt, sound, ask.format)
            began[index], heard[index] = time.time(), sound[0].hash if sound else None
            yield from _queries(ask, sequence, index, row["repeats"], row["seed"], settings, model)

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
            if len(partial[answer.tag]) == _expected(ask, row["repeats"], settings):
                now = time.time()
                timing = (heard.pop(answer.tag), now, now - began.pop(answer.tag))
                finished.append(_answered(ask, timing, partial.pop(answer.tag)))
                if now - recorded > COMMIT_SECONDS:
                    flush()
    finally:
        flush()
        store.end_session(session)
    summary.seconds = time.time() - started
    summary.failures = {clips[id]["file"]: reason for id, reason in sorted(failures.items())}
    return summary


def _queries(
    ask: Ask,
    sequence: PromptSequence,
    tag: int,
    repeats: int,
    seed: int,
    settings: Mapping[str, Any],
    model: Answers,
) -> Iterator[Query]:
    """What one question takes: its repeats and, if it is about a term, exact probabilities and log-odds."""
    yield Query(sequence, repeats, seed, model.sampling, model.max_new_tokens, tag=tag)
    if ask.term and settings["exact"]:
        how = {"mode": "exact", "reading": Reading(HEADLINE, ask.term), "epsilon": settings["epsilon"]}
        yield Query(sequence, 1, seed, model.sampling, model.max_new_tokens, tag=tag, **how)
    if ask.term and settings["scores"]:
        ids = tuple(tuple(model.prompter.continuation(text)) for text in (*YES, *NO))
        yield Query(sequence, mode="score", continuations=ids, tag=tag)


def _expected(ask: Ask, repeats: int, settings: Mapping[str, Any]) -> int:
    more = settings["exact"] + settings["scores"] * len((*YES, *NO)) if ask.term else 0
    return repeats + int(more)


def _answered(ask: Ask, timing: tuple[str | None, float, float], answers: Sequence[Answer]) -> Answered:
    """All answers of one question, in whatever order they came."""
    ordered = sorted(answers, key=lambda answer: answer.repeat)
    drawn = [a for a in ordered if a.stop not in ("exact", "given")]
    exact = next((a.distribution for a in ordered if a.stop == "exact"), None)
    given = [a.logprob for a in ordered if a.stop == "given"]
    yes, no = (np.logaddexp.reduce(side) for side in (given[: len(YES)], given[len(YES) :]))
    odds = float(yes - no) if given else None
    repeats = tuple((a.text, a.token_ids, a.logprob, a.stop) for a in drawn)
    return Answered(ask.questions, *timing, repeats, exact, odds)


def _sound(ask: Ask, clips: Mapping[int, Any]) -> list[Clip]:
    """Raises AudioError for a clip that cannot be read or has changed."""
    if not ask.sound:
        return []
    if ask.sound == "silence":
        return [silence()]
    row = clips[ask.clip]
    clip = load_audio(row["file"])
    if clip.hash != row["hash"]:
        raise AudioError(f"{row['file']}: is not the recording that the specification was built from")
    return [noise(clip) if ask.sound == "noise" else clip]


def file_hash(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
