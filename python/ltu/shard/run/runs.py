"""What a run is: which questions a model is asked, written down before the first of them is."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from ltu._engine import weight_types
from ltu.errors import Error
from ltu.files import sha256
from ltu.shard.run.asking import Answers
from ltu.shard.run.controls import CONTROLS
from ltu.shard.run.store import Asked, Store
from ltu.shard.spec.prompts import word_prompt
from ltu.shard.spec.specification import Question, Spec, same_truth

TRAINED_CLIPS, TRAINED_TERMS = "ltu.train.clips", "ltu.train.terms"


@dataclass(frozen=True)
class Settings:
    """What makes a run the run that it is, beside model and specification."""

    repeats: int = 4
    seed: int = 0
    controls: bool = False
    tasks: tuple[str, ...] = ()  # none: all of the specification
    words: tuple[str, ...] = ()
    limit: int | None = None
    exact: bool = False
    scores: bool = False
    epsilon: float = 1e-3
    node_budget: int = 4096  # most positions for the exact answer to one question
    untempered: bool = False  # exact answers about terms are those of sampling at temperature 1
    stop_when_decided: str | None = None  # the reading that may end an answer early


def prepare(store: Store, spec: Spec, model: Answers, clips_folder: Path, settings: Settings) -> int:
    """The run with this model, specification and settings: found, or written down whole. Raises Error."""
    settings = replace(settings, tasks=settings.tasks or spec.tasks)
    model_hash = sha256(Path(model.path))
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
        "model": _name(model),
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


def _name(model: Answers) -> str:
    """With the type of its weights, by which files of one model differ."""
    name = str(model.info.get("general.name") or Path(model.path).stem)
    types = {number: type for type, (number, _) in weight_types().items()}
    type = types.get(model.info.get("general.file_type", -1))
    return name if type is None else f"{name}, {type}"


def check_kernels(store: Store, run: int, kernels: str) -> None:
    """Raises Error when an earlier session of the run computed on other kernels."""
    for session in store.rows("sessions", run):
        before = json.loads(session["device"]).get("kernels")
        if before is not None and before != kernels:
            raise Error(
                f"run {run} was computed on {before}; on {kernels} last bits may differ: give --allow-mixed,"
                " or another --out"
            )


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
    chosen = [
        q for q in spec.questions if q.task in (settings.tasks or spec.tasks) and label[q.clip] in wanted
    ]
    if settings.limit is not None and settings.limit < len(chosen):
        kept = set(Random(0).sample(range(len(chosen)), settings.limit))
        chosen = [question for index, question in enumerate(chosen) if index in kept]
    return chosen


def _asked(
    spec: Spec, chosen: Sequence[Question], controls: bool, seen: dict[int, bool], trained_terms: set[str]
) -> Iterator[Asked]:
    """Questions and their controls; ids go on where the specification's end."""
    word = {clip.id: spec.word(clip.label).word for clip in spec.clips}
    relation = {each.name: each for each in spec.relations}
    other = {clip.id: clip.other for clip in spec.clips}
    same = same_truth(spec)
    next_id = max(question.id for question in spec.questions) + 1
    for q in chosen:
        marks = (seen[q.clip], q.term.casefold() in trained_terms)
        about = (q.term, q.term_label, q.expected, ",".join(q.tiers))
        yield Asked(q.id, q.id, "", q.clip, q.task, q.position, q.wording, *about, q.prompt, *marks)
        for control in CONTROLS if controls else ():
            if (control == "word" and q.task == "identity") or (
                control == "other" and (other[q.clip] is None or q.id not in same)
            ):
                continue
            text = word_prompt(relation[q.task], word[q.clip], q.term) if control == "word" else q.prompt
            yield Asked(next_id, q.id, control, q.clip, q.task, q.position, q.wording, *about, text, *marks)
            next_id += 1
