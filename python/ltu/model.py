"""The Python API: a loaded model, and the one way to ask it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast, overload

import numpy as np
import numpy.typing as npt

from ltu import checks
from ltu.audio import AudioInput, Clip, load_clips
from ltu.embeddings import Embeddings, folder_for
from ltu.errors import Error, ModelFileError
from ltu.front_end import FrontEnd
from ltu.hub import local_path
from ltu.owner import Owner
from ltu.prompt import Format, Prompter, PromptSequence
from ltu.query import Answer, Distribution, Exact, Likely, Query, Sample, Score
from ltu.readings import Reading
from ltu.sampling import Sampling, SamplingFields
from ltu.stream import Stream
from ltu.submit import Add, Ticket

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ltu import _engine

Audio = Clip | AudioInput
Float32 = npt.NDArray[np.float32]
Embedded = tuple[bytes, Float32]  # content hash of a clip, its embeddings [32, width]

CLIP_THREADS = 8  # that read clips for it, at most
DECISION_TEMPERATURE = "ltu.decision.temperature"
TOKENIZER_KEY = "tokenizer.huggingface.json"
KEYS = {  # that only this side of the engine reads
    TOKENIZER_KEY: str,
    "ltu.prompt.template": str,
    "ltu.prompt.bos": bool,
    "ltu.sampling.max_new_tokens": int,
}


def load(
    path: str | PathLike[str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    *,
    kv_memory: int | None = None,
    tree: bool = True,
    draft_width: int | None = None,
    batch_invariant: bool = False,
    embeddings: str | PathLike[str] | None = None,
) -> Model:
    """Opens a model file; without a path the demo model, which is built once into the user's cache.

    path: of a file, or "hf:org/repo[:type]", a file of the Hugging Face Hub (`ltu.hub`).

    device: "auto" (the first that is no CPU, else the CPU), "cpu", or a back end that was built, with its
    device's number: "cuda", "cuda:1", "vulkan", "metal", … threads: of the CPU; None: physical cores, no more
    than the container grants.
    kv_memory: bytes that the KV cache may take, None: a quarter of the machine's memory. draft_width:
    positions up to which drafted tokens fill a step, None: measured, 1: no drafts. tree: False to compute
    each answer's prompt by itself. These three change how long answers take, never the answers, on a CPU.
    batch_invariant: on other devices an answer's last bits follow from what is computed beside it; True
    computes each answer alone, in steps of equal shapes, and takes longer. CUDA cards need it for quantised
    files alone, and leave out the back end's products for it.
    embeddings: a folder that keeps the clips' embeddings, as float16, for the next time; answers then follow
    from the rounded ones.
    Raises ModelFileError, or Error for an unknown device.
    """
    from ltu import _engine  # here, because audio and prompts need no engine

    checks.text("device", device)
    checks.flag("tree", tree)
    checks.flag("batch_invariant", batch_invariant)
    for name, value in (("threads", threads), ("kv_memory", kv_memory), ("draft_width", draft_width)):
        if value is not None:
            checks.whole(name, value, 0, 1 << 63 if name == "kv_memory" else 1 << 31)
    if path is None:
        from ltu.demo_model import demo_model_path

        path = demo_model_path()
    path = local_path(checks.path("the path of the model", path))
    if "://" in path and not Path(path).exists():
        raise ModelFileError(f"{path}: is an address on the web; download the file, or give hf:org/repo")
    with checks.path_bytes(path) as encoded:
        engine = _engine.Engine(
            encoded, device, threads or 0, kv_memory or 0, tree, draft_width or 0, batch_invariant
        )
    folder = None
    if embeddings is not None:
        kept = Path(checks.path("the folder of embeddings", embeddings))
        if kept.exists() and not kept.is_dir():
            raise Error(f"{kept}: is no folder; embeddings are kept in one")
        folder = folder_for(kept, Path(path), engine.description()["kernels"])
    return Model(engine, path, folder)


class Model:
    """One model on one device. Any number of threads may ask it; all that they ask is computed together.

    `with ltu.load(...) as model:` or `close()` gives its memory back; so does dropping it.
    """

    def __init__(self, engine: _engine.Engine, path: str, folder: Path | None = None) -> None:
        self.path = path
        info = engine.metadata()
        for key, kind in KEYS.items():
            if not isinstance(info.get(key), kind):
                raise ModelFileError(f"{path}: key {key} is missing or no {kind.__name__}; convert it again")
        tokenizer, bos = info.pop(TOKENIZER_KEY), info.get("tokenizer.ggml.bos_token_id")
        if info["ltu.prompt.bos"] and bos is None:
            raise ModelFileError(f"{path}: key tokenizer.ggml.bos_token_id is missing; convert it again")
        self.info: Mapping[str, Any] = info
        self.sampling = Sampling(
            info.get("general.sampling.temp", 1.0),
            info.get("general.sampling.top_k", 0),
            info.get("general.sampling.top_p", 1.0),
            info.get("general.sampling.penalty_repeat", 1.0),
        )
        self.max_new_tokens: int = info["ltu.sampling.max_new_tokens"]
        self.width: int = info["llama.embedding_length"]
        try:
            self.prompter = Prompter(
                tokenizer,
                info["ltu.prompt.template"],
                bos if info["ltu.prompt.bos"] else None,
                info["llama.vocab_size"],
            )
        except Exception as error:  # tokenizers raises bare exceptions
            raise ModelFileError(f"{path}: {TOKENIZER_KEY}: {error}; convert the model again") from error
        front_end = FrontEnd.of_file(info, path)
        self._engine = engine
        description = engine.description()
        at_once: int = description["clips_at_once"]
        self._embeddings = Embeddings(
            engine.encode,
            front_end,
            folder,
            at_once=at_once,
            shape=(info.get("ltu.audio.embedding_count"), self.width),
        )
        # On the CPU clips gain nothing from company, and reading ahead takes cores from the steps.
        self.clip_threads: int = 1 if at_once == 1 else min(description["threads"], CLIP_THREADS)
        self._room: int = description["step_answers"]
        self._knows_token_bytes = False
        self._owner = Owner(engine)
        weakref.finalize(self, self._owner.close).atexit = False  # the owner sees to that itself

    def close(self) -> None:
        """Ends what is asked and gives the engine's thread back. Raises nothing when it is closed already."""
        self._owner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise Error("a model can't be pickled or copied to another process; load it there")

    def __repr__(self) -> str:
        about = self._owner.description
        return (
            f"Model({self.info.get('general.name', 'unnamed')!r}, {self.path!r}, on {about['device']}, "
            f"{about['weight_bytes'] / 1e6:.0f} MB of weights)"
        )

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def encode(self, clip: Clip) -> Float32:
        """float32[32, width]: the clip in the language model's embedding space. Raises AudioError."""
        self.prepare([clip])
        return self._owner.call(lambda _: self._embeddings.of(clip))

    def prepare(self, clips: Iterable[Clip]) -> None:
        """Computes features of clips that will be asked about, from any thread (`clip_threads` of them pay).

        Raises AudioError.
        """
        self._embeddings.prepare(clips)

    def query(
        self,
        prompt: str,
        audio: Audio | Sequence[Audio] | None = None,
        repeats: int = 1,
        seed: int = 0,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        format: Format = "interleaved",
        mode: Sample | Exact | Score | Literal["sample", "exact", "score"] = "sample",
        tag: Any = None,
        **settings: Any,
    ) -> Query:
        """A prompt with one clip per [AUDIO] as a query, for `submit` and `answers`.

        settings: fields of Sampling (temperature=0) and of the mode's record (epsilon=0.01).
        Raises PromptError, AudioError, and Error for settings that can't be.
        """
        fields: Any = {
            name: settings.pop(name) for name in SamplingFields.__annotations__ if name in settings
        }
        sequence = self.prompter.sequence(prompt, load_clips(audio), format)
        how = self._sampling(sampling, fields)
        return Query(sequence, repeats, seed, how, max_new_tokens, mode, tag, **settings)

    def submit(self, query: Query, *, stream: bool = True, caller: Hashable = None) -> Ticket:
        """Asks a query and returns at once; the ticket gives tokens as they come and answers as they finish.

        stream: False saves a little where nobody reads tokens. caller: queries of different callers take
        turns; None: the calling thread. Raises AudioError for a clip without sound.
        """
        ticket = Ticket(query, self._owner, self.prompter)
        self._owner.submit(
            ticket, self._add(query, stream, threading.get_ident() if caller is None else caller)
        )
        return ticket

    def answers(self, queries: Iterable[Query]) -> Iterator[Answer]:
        """Asks each query and yields answers as they finish, in any order.

        Queries are read in a thread of their own and only when the engine has room for one, so the iterable
        may be endless, and one that blocks delays nothing that is asked. When the caller stops early, what is
        unfinished is cancelled. Raises PromptError for a query longer than the context, AudioError for a clip
        without sound.
        """
        caller = object()
        stream = Stream(
            queries, self._owner, self.prompter, lambda query: self._add(query, False, caller), self._room
        )
        return stream.answers()

    @overload
    def generate(
        self,
        prompt: str,
        audio: Audio | Sequence[Audio] | None = ...,
        repeats: int = ...,
        seed: int = ...,
        sampling: Sampling | None = ...,
        max_new_tokens: int | None = ...,
        format: Format = ...,
        stream: Literal[False] = ...,
        **fields: Unpack[SamplingFields],
    ) -> list[Answer]: ...
    @overload
    def generate(
        self,
        prompt: str,
        audio: Audio | Sequence[Audio] | None = ...,
        repeats: int = ...,
        seed: int = ...,
        sampling: Sampling | None = ...,
        max_new_tokens: int | None = ...,
        format: Format = ...,
        *,
        stream: Literal[True],
        **fields: Unpack[SamplingFields],
    ) -> Iterator[str]: ...
    def generate(
        self,
        prompt: str,
        audio: Audio | Sequence[Audio] | None = None,
        repeats: int = 1,
        seed: int = 0,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        format: Format = "interleaved",
        stream: bool = False,
        **fields: Unpack[SamplingFields],
    ) -> list[Answer] | Iterator[str]:
        """Answers to a prompt with one clip per [AUDIO], in order of repeat.

        sampling, max_new_tokens: None takes the file's; single fields (temperature=0) take their place in
        it. format "prepended": clips before the text, which then holds no [AUDIO]. stream: an iterator over
        pieces of the text of one answer. Raises PromptError when [AUDIO]s and clips differ in number or the
        prompt is longer than the context, AudioError.
        """
        query = self.query(prompt, audio, repeats, seed, sampling, max_new_tokens, format, **fields)
        if stream:
            if repeats != 1:
                raise Error(f"stream gives the text of one answer, not of {repeats}; use repeats=1")
            return self._pieces(query)
        return self._ask(query)

    def generate_ids(
        self,
        sequence: Sequence[int | Clip],
        repeats: int = 1,
        seed: int = 0,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        **fields: Unpack[SamplingFields],
    ) -> list[list[int]]:
        """Ids that follow a sequence of token ids and clips, one list for each repeat, EOS left out."""
        query = Query(sequence, repeats, seed, self._sampling(sampling, fields), max_new_tokens)
        return [list(answer.token_ids) for answer in self._ask(query)]

    def answer_distribution(
        self,
        prompt: str,
        audio: Audio | Sequence[Audio] | None = None,
        term: str = "",
        reading: str = "careful",
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        format: Format = "interleaved",
        epsilon: float = 1e-3,
        node_budget: int = 4096,
        calibrated: bool = False,
        **fields: Unpack[SamplingFields],
    ) -> Distribution:
        """The exact probabilities that a sampled answer says yes, no or neither: no sampling noise.

        `term` is what the prompt asks about ("bird"): a reading takes claims about it into account. A
        sampler's temperature sharpens them; `calibrated` asks at temperature 1 and divides the log-odds of
        yes against no by the file's `ltu.decision.temperature`, which `ltu-shard calibrate` fits.
        """
        exact = Exact(Reading(reading, term), epsilon, node_budget)
        if calibrated:
            fields["temperature"] = 1.0
        query = self.query(prompt, audio, 1, 0, sampling, max_new_tokens, format, exact, **fields)
        (answer,) = self._ask(query)
        found = cast(Distribution, answer.distribution)
        return found.at_temperature(float(self.info.get(DECISION_TEMPERATURE, 1.0))) if calibrated else found

    def likely_answers(
        self,
        prompt: str,
        audio: Audio | Sequence[Audio] | None = None,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        format: Format = "interleaved",
        epsilon: float = 1e-2,
        node_budget: int = 4096,
        **fields: Unpack[SamplingFields],
    ) -> Likely:
        """Whole answers with exact probabilities, until all others have less than `epsilon` together."""
        exact = Exact(None, epsilon, node_budget)
        query = self.query(prompt, audio, 1, 0, sampling, max_new_tokens, format, exact, **fields)
        (answer,) = self._ask(query)
        return cast(Likely, answer.likely)

    def score(
        self,
        prompt: str,
        continuations: Sequence[str],
        audio: Audio | Sequence[Audio] | None = None,
        sampling: Sampling | None = None,
        format: Format = "interleaved",
        end: bool = False,
        **fields: Unpack[SamplingFields],
    ) -> list[float]:
        """Log-likelihood (nats) of each continuation after the prompt; all of them share one tree.

        sampling: None takes the model's own distribution, else the sampler's (-inf: never drawn). end: that
        the answer ends behind the continuation, too.
        """
        given = checks.texts("continuations", continuations)
        ids = tuple(tuple(self.prompter.continuation(text)) for text in given)
        query = self.query(prompt, audio, 1, 0, sampling, None, format, Score(ids, end), **fields)
        return [answer.logprob for answer in self._ask(query)]

    def logits(self, sequence: Sequence[int | Clip]) -> Float32:
        """float32[positions, vocabulary] of a sequence of token ids and clips; a clip is 32 positions."""
        whole = PromptSequence.of(sequence)
        self.prepare(whole.clips)
        return self._owner.call(lambda engine: engine.logits(whole.ids, self._embedded(whole.clips)))

    def description(self) -> dict[str, Any]:
        """Device, processor features, kernels, threads, bytes of weights and KV cache, times so far (s)."""
        return self._owner.call(lambda engine: engine.description())

    def _ask(self, query: Query) -> list[Answer]:
        return self.submit(query, stream=False).result()

    def _pieces(self, query: Query) -> Iterator[str]:
        ticket = self.submit(query)
        try:
            yield from (token.text for token in ticket.tokens() if token.text)
        finally:
            self._owner.cancel([ticket], wait=True)

    def _sampling(self, sampling: Sampling | None, fields: SamplingFields) -> Sampling | None:
        return replace(sampling or self.sampling, **fields) if fields else sampling

    def _add(self, query: Query, stream: bool, caller: Hashable) -> Add:
        """How the engine is given a query; what needs no engine is done now, by the caller's thread."""
        from ltu import _engine

        self.prepare(query.sequence.clips)
        neutral = query.sampling is None and isinstance(query.mode, Score)
        sampling = None if neutral else (query.sampling or self.sampling).engine()
        mode = _engine_mode(query, sampling, stream)
        tokens = self.max_new_tokens if query.max_new_tokens is None else query.max_new_tokens
        reads = getattr(query.mode, "reading", None) or getattr(query.mode, "stop_when_decided", None)

        def add(engine: _engine.Engine) -> int:
            if reads and not self._knows_token_bytes:
                engine.set_token_bytes(self.prompter.token_bytes(self.info["llama.vocab_size"]))
                self._knows_token_bytes = True
            clips = self._embedded(query.sequence.clips)
            return engine.add(
                _engine.Query(query.sequence.ids, clips, mode, query.seed, tokens, hash(caller) % (1 << 64))
            )

        return add

    def _embedded(self, clips: Iterable[Clip]) -> list[Embedded]:
        return [(bytes.fromhex(clip.hash), self._embeddings.of(clip)) for clip in clips]


def _engine_mode(
    query: Query, sampling: _engine.Sampling | None, stream: bool
) -> _engine.Sample | _engine.Exact | _engine.Score:
    from ltu import _engine

    mode = query.mode
    if isinstance(mode, Score):
        return _engine.Score(mode.continuations, sampling, mode.end)
    assert sampling is not None
    if isinstance(mode, Exact):
        reading = mode.reading.automaton() if mode.reading else None
        return _engine.Exact(sampling, reading, mode.epsilon, mode.node_budget)
    stop = mode.stop_when_decided.automaton() if mode.stop_when_decided else None
    return _engine.Sample(sampling, query.repeats, mode.first_repeat, stop, stream, mode.logprobs)
