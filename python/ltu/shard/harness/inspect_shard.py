"""SHARD as a task of inspect_ai, for any of its models that hears; epochs are repeats.

inspect eval ltu/shard -T spec=S.jsonl -T clips=FOLDER --model ltu/demo --epochs 4
"""

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import soundfile
from inspect_ai import Task, task  # type: ignore[import-not-found,unused-ignore]
from inspect_ai.dataset import MemoryDataset, Sample  # type: ignore[import-not-found,unused-ignore]
from inspect_ai.model import (  # type: ignore[import-not-found,unused-ignore]
    ChatMessageUser,
    ContentAudio,
    ContentText,
)
from inspect_ai.scorer import (  # type: ignore[import-not-found,unused-ignore]
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    mean,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import Generate, Solver, TaskState, solver  # type: ignore[import-not-found,unused-ignore]

from ltu.audio import load_audio
from ltu.defaults import SAMPLE_RATE
from ltu.prompt import AUDIO
from ltu.readings import decide
from ltu.shard.harness import inspect_model  # noqa: F401  (registers --model ltu/…)
from ltu.shard.harness.scoring import youden
from ltu.shard.harness.tasks import headline
from ltu.shard.spec.labels import names_label
from ltu.shard.spec.relations import IDENTITY
from ltu.shard.spec.specification import read_spec

OURS = ("ltu", "openai-api")  # take `ltu.first_repeat` in a request: in this process, and ltu-serve


@task
def shard(spec: str, clips: str, relation: str = "hypernym", seed: int = 0) -> Task:
    """The headline's questions of one relation, or of identity, read as `ltu-shard report` reads them.

    spec: what `ltu-shard build` wrote; clips: the folder of its recordings. Epoch k of a model behind this
    engine is answer k of the seed's, as `ltu-shard run` draws it. Metrics: accuracy, and J of a relation.
    """
    rows = headline(read_spec(Path(spec)), relation, Path(clips))
    samples = [
        Sample(id=row["id"], input=[_message(row)], target=row["target"], metadata=row) for row in rows
    ]
    both = names() if relation == IDENTITY else careful()
    return Task(dataset=MemoryDataset(samples, name=f"shard-{relation}"), solver=repeat(seed), scorer=both)


@solver
def repeat(seed: int) -> Solver:
    """One answer; each epoch draws another one of the same seed's."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.model.api not in OURS:
            return await generate(state)
        return await generate(state, seed=seed, extra_body={"ltu": {"first_repeat": state.epoch - 1}})

    return solve


@metric
def ltu_youden() -> Metric:
    """Recall + specificity − 1 over questions; an epoch's answers count by their share."""

    def compute(scores: list[SampleScore]) -> float:
        of = [((s.sample_metadata or {})["target"] == "Yes", s.score.as_float()) for s in scores]
        return youden(of)

    return compute


@scorer(metrics=[mean(), stderr(), ltu_youden()])
def careful() -> Scorer:
    """1 where the careful reading finds the right answer, 0 for the wrong one and for neither."""

    async def score(state: TaskState, target: Target) -> Score:
        said = decide(state.output.completion, state.metadata["term"])
        return Score(value=float(said == target.text.lower()), answer=said)

    return score


@scorer(metrics=[mean(), stderr()])
def names() -> Scorer:
    """1 where the answer names the whole canonical label."""

    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=float(names_label(state.output.completion, target.text)))

    return score


def _message(row: dict[str, Any]) -> ChatMessageUser:
    before, _, after = row["prompt"].partition(AUDIO)
    audio, format = _as_wav(row["file"])
    content = [ContentText(text=before)] if before else []
    return ChatMessageUser(
        content=[*content, ContentAudio(audio=audio, format=format), ContentText(text=after)]
    )


@lru_cache(maxsize=1024)
def _as_wav(file: str) -> tuple[str, str]:
    """The recording in a form that inspect_ai has a name for: WAV and MP3 by path, others as WAV in a URL."""
    if (kind := Path(file).suffix[1:].lower()) in ("wav", "mp3"):
        return file, kind
    data = io.BytesIO()
    soundfile.write(data, load_audio(file).waveform, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return f"data:audio/wav;base64,{base64.b64encode(data.getvalue()).decode()}", "wav"
