"""What all requests share: the model, its name, its fingerprint, the clips."""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from ltu.audio import Clip
from ltu.errors import Error
from ltu.files import sha256
from ltu.model import Model
from ltu.query import Query
from ltu.serve.clips import Clips
from ltu.serve.limits import Limits
from ltu.serve.metrics import Metrics
from ltu.serve.problems import Problem
from ltu.submit import Ticket
from ltu.version import __version__

T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """A model that is served under a name."""

    model: Model
    name: str
    fingerprint: str
    """Of model file, kernels and version: equal fingerprints and seeds give equal bits."""
    limits: Limits
    metrics: Metrics
    clips: Clips = field(default_factory=Clips)
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, model: Model, name: str | None = None, limits: Limits | None = None) -> "Service":
        about = model.description()
        facts = [
            sha256(model.path),
            about["kernels"],
            about["device"],
            str(about["batch_invariant"]),
            __version__,
        ]
        digest = hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest()
        return cls(model, name or name_of(model), f"fp_{digest[:16]}", limits or Limits(), Metrics(model))

    @cached_property
    def token_bytes(self) -> list[bytes]:
        return self.model.prompter.token_bytes(self.model.info["llama.vocab_size"])

    def check_model(self, asked: str) -> None:
        if asked != self.name:
            raise Problem(
                404,
                f"there is no model {asked[:80]!r}; this server has {self.name!r}",
                "model",
                "model_not_found",
            )

    async def prepare(self, work: Callable[[], T]) -> T:
        """Decoding, log-mel and tokenizing, one request after the other, beside the loop that serves all.

        Settings that can't be become a Problem.
        """
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except Error as error:
            if type(error) is Error:
                raise Problem(400, str(error)) from None
            raise

    async def submit(self, query: Query, caller: str, stream: bool = False) -> Ticket:
        """Asks; whoever gets the ticket cancels it when nobody reads it any more."""
        ask = partial(self.model.submit, query, stream=stream, caller=caller)
        return await anyio.to_thread.run_sync(ask, limiter=self._limiter)

    @cached_property
    def _limiter(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(1)

    def about(self) -> dict[str, Any]:
        """The model in OpenAI's form; `meta` is ours."""
        model, info = self.model, self.model.info
        meta = {
            "name": info.get("general.name"),
            "license": info.get("general.license"),
            "parameters": info.get("general.size_label"),
            "context": info.get("llama.context_length"),
            "vocabulary": info.get("llama.vocab_size"),
            "sampling": asdict(model.sampling),
            "max_new_tokens": model.max_new_tokens,
            "input_modalities": ["text", "audio"],
            "max_audio_seconds": 10,
        }
        about = {"id": self.name, "object": "model", "created": self.created, "owned_by": "ltu-engine"}
        return about | {"meta": meta}

    def about_clips(self, clips: tuple[Clip, ...]) -> list[dict[str, Any]]:
        """What is said of a request's clips: the hash by which they can be used again."""
        return [
            {"hash": clip.hash, "seconds": clip.seconds, "notes": self.clips.notes(clip)} for clip in clips
        ]


def name_of(model: Model) -> str:
    """The file's general.name as clients write names, or else the file's own name."""
    name = str(model.info.get("general.name") or Path(model.path).stem)
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "ltu"
