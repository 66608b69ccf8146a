"""The Python API: a loaded model, and the one way to ask it."""

from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast, overload

import numpy as np
import numpy.typing as npt

from ltu.audio import Clip, load_audio
from ltu.embeddings import Embeddings, folder_for
from ltu.errors import Error, ModelFileError
from ltu.prompt import Format, Prompter, PromptSequence
from ltu.query import Answer, Distribution, Likely, Query
from ltu.readings import Reading
from ltu.sampling import Sampling

if TYPE_CHECKING:
    from ltu import _engine

Audio = Clip | str | PathLike[str] | BinaryIO | npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Embedded = tuple[bytes, Float32]  # content hash of a clip, its embeddings [32, width]

TOKENIZER_KEY = "tokenizer.huggingface.json"
KEYS = {  # that only this side of the engine reads
    TOKENIZER_KEY: str,
    "tokenizer.ggml.bos_token_id": int,
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
) -> "Model":
    """Opens a model file; without a path the demo model, which is built once into the user's cache.

    device: "auto", "cpu", "cuda[:N]", "vulkan[:N]" or "metal". threads: of the CPU, None: physical cores.
    kv_memory: bytes that the KV cache may take, None: a quarter of the machine's memory. draft_width:
    positions up to which guessed tokens fill a step, None: measured, 1: no guesses. tree: False to compute
    each answer's prompt by itself. These three change how long answers take, never the answers, on a CPU.
    batch_invariant: on other devices an answer's last bits follow from what is computed beside it; True
    computes each answer alone, in steps of equal shapes, and takes longer.
    embeddings: a folder that keeps the clips' embeddings, as float16, for the next time; answers then follow
    from the rounded ones.
    Raises ModelFileError, or Error for an unknown device.
    """
    from ltu import _engine  # here, because audio, training and conversion need no engine

    if path is None:
        from ltu.demo import demo_model_path

        path = demo_model_path()
    engine = _engine.Engine(
        fspath(path), device, threads or 0, kv_memory or 0, tree, draft_width or 0, batch_invariant
    )
    folder = None
    if embeddings is not None:
        folder = folder_for(Path(embeddings), Path(path), engine.description()["kernels"])
    return Model(engine, fspath(path), folder)


class Model:
    """One model on one device. Use it from one thread; several threads need a model each."""

    def __init__(self, engine: "_engine.Engine", path: str, folder: Path | None = None) -> None:
        self.path = path
        info = engine.metadata()
        for key, kind in KEYS.items():
            if not isinstance(info.get(key), kind):
                raise ModelFileError(f"{path}: key {key} is missing or no {kind.__name__}; convert it again")
        tokenizer, bos = info.pop(TOKENIZER_KEY), info["tokenizer.ggml.bos_token_id"]
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
                tokenizer, info["ltu.prompt.template"], bos if info["ltu.prompt.bos"] else None
            )
        except Exception as error:  # tokenizers raises bare exceptions
            raise ModelFileError(f"{path}: {TOKENIZER_KEY}: {error}; convert the model again") from error
        engine.forget_key(TOKENIZER_KEY)  # the prompter has all of it
        self._engine = engine
        self._embeddings = Embeddings(lambda clip: engine.encode(clip.features()[None])[0], folder)
        self._inboxes: dict[int, deque[_engine.Event]] = {}
        self._knows_token_bytes = False

    def encode(self, clip: Clip) -> Float32:
        """float32[32, width]: the clip in the language model's embedding space. Raises AudioError."""
        return self._embedded([clip])[0][1]

    def answers(self, queries: Iterable[Query]) -> Iterator[Answer]:
        """Asks each query and yields answers as they finish, in any order.

        Queries are read only when the engine has room for one, so the iterable may be endless; they are
        computed together. When the caller stops early, what is unfinished is cancelled. Raises PromptError
        for a query longer than the context, AudioError for a clip without sound.
        """
        with closing(self._run(queries, stream=False)) as events:
            yield from (answer for _, answer in events if answer is not None)

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
    ) -> list[Answer] | Iterator[str]:
        """Answers to a prompt with one clip per [AUDIO], in order of repeat.

        sampling, max_new_tokens: None takes the file's. format "prepended": clips before the text, which then
        holds no [AUDIO]. stream: an iterator over pieces of the text of one answer. Raises PromptError when
        [AUDIO]s and clips differ in number or the prompt is longer than the context, AudioError.
        """
        sequence = self.prompter.sequence(prompt, _clips(audio), format)
        query = Query(sequence, repeats, seed, sampling, max_new_tokens)
        if stream:
            if repeats != 1:
                raise Error(f"stream gives the text of one answer, not of {repeats}; use repeats=1")
            return self._pieces(query)
        return sorted(self.answers([query]), key=lambda answer: answer.repeat)

    def generate_ids(
        self,
        sequence: Sequence[int | Clip],
        repeats: int = 1,
        seed: int = 0,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
    ) -> list[list[int]]:
        """Ids that follow a sequence of token ids and clips, one list for each repeat, EOS left out."""
        query = Query(PromptSequence.of(sequence), repeats, seed, sampling, max_new_tokens)
        answers = sorted(self.answers([query]), key=lambda answer: answer.repeat)
        return [list(answer.token_ids) for answer in answers]

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
    ) -> Distribution:
        """The exact probabilities that a sampled answer says yes, no or neither: no sampling noise.

        `term` is what the prompt asks about ("bird"): a reading takes claims about it into account.
        """
        query = Query(
            self.prompter.sequence(prompt, _clips(audio), format),
            sampling=sampling,
            max_new_tokens=max_new_tokens,
            mode="exact",
            reading=Reading(reading, term),
            epsilon=epsilon,
            node_budget=node_budget,
        )
        (answer,) = self.answers([query])
        return cast(Distribution, answer.distribution)

    def likely_answers(
        self,
        prompt: str,
        audio: Audio | Sequence[Audio] | None = None,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        format: Format = "interleaved",
        epsilon: float = 1e-2,
        node_budget: int = 4096,
    ) -> Likely:
        """Whole answers with exact probabilities, until all others have less than `epsilon` together."""
        query = Query(
            self.prompter.sequence(prompt, _clips(audio), format),
            sampling=sampling,
            max_new_tokens=max_new_tokens,
            mode="exact",
            epsilon=epsilon,
            node_budget=node_budget,
        )
        (answer,) = self.answers([query])
        return cast(Likely, answer.likely)

    def score(
        self,
        prompt: str,
        continuations: Sequence[str],
        audio: Audio | Sequence[Audio] | None = None,
        sampling: Sampling | None = None,
        format: Format = "interleaved",
    ) -> list[float]:
        """Log-likelihood (nats) of each continuation after the prompt; all of them share one tree.

        sampling: None takes the model's own distribution, else the sampler's (-inf: never drawn).
        """
        sequence = self.prompter.sequence(prompt, _clips(audio), format)
        ids = tuple(tuple(self.prompter.continuation(text)) for text in continuations)
        query = Query(sequence, sampling=sampling, mode="score", continuations=ids)
        return [answer.logprob for answer in sorted(self.answers([query]), key=lambda answer: answer.repeat)]

    def logits(self, sequence: Sequence[int | Clip]) -> Float32:
        """float32[positions, vocabulary] of a sequence of token ids and clips; a clip is 32 positions."""
        whole = PromptSequence.of(sequence)
        return self._engine.logits(whole.ids, self._embedded(whole.clips))

    def description(self) -> dict[str, Any]:
        """Device, processor features, kernels, threads, bytes of weights and KV cache, times so far (s)."""
        return self._engine.description()

    def _pieces(self, query: Query) -> Iterator[str]:
        stream = self.prompter.stream()
        with closing(self._run([query], stream=True)) as events:
            for event, answer in events:
                piece = stream.push(event.token) if answer is None else stream.finish()
                if piece:
                    yield piece

    def _run(
        self, queries: Iterable[Query], stream: bool
    ) -> Generator[tuple["_engine.Event", Answer | None], None, None]:
        """The loop under everything: (event, its answer when it is a finished one)."""
        source: Iterator[Query] | None = iter(queries)
        live: dict[int, Query] = {}  # by the engine's id
        left: dict[int, int] = {}  # answers still to come
        inbox: deque[_engine.Event] = deque()
        try:
            while source or live:
                while source and self._engine.wants_queries():
                    query = next(source, None)
                    if query is None:
                        source = None
                    else:
                        id = self._add(query, stream)
                        live[id], left[id], self._inboxes[id] = query, _answers_of(query), inbox
                if not inbox:
                    self._step()
                if live and not inbox and self._engine.idle():
                    raise Error("a failure in another use of this model ended these queries; ask them again")
                while inbox:
                    event = inbox.popleft()
                    if event.kind == "token":
                        yield event, None
                        continue
                    query = live[event.query]
                    left[event.query] -= 1
                    if not left[event.query]:
                        del live[event.query], self._inboxes[event.query]
                    yield event, self._answer(event, query)
        finally:
            for id in live:
                self._engine.cancel(id)
                del self._inboxes[id]

    def _step(self) -> None:
        """One step of the engine; each run of `answers` that is under way gets its own events."""
        for event in self._engine.step():
            inbox = self._inboxes.get(event.query)
            if inbox is not None:  # a cancelled query has none
                inbox.append(event)

    def _add(self, query: Query, stream: bool) -> int:
        tokens = self.max_new_tokens if query.max_new_tokens is None else query.max_new_tokens
        sampling = self.sampling if query.sampling is None and query.mode != "score" else query.sampling
        reading = query.reading or query.stop_when_decided
        if reading and not self._knows_token_bytes:
            self._engine.set_token_bytes(self.prompter.token_bytes(self.info["llama.vocab_size"]))
            self._knows_token_bytes = True
        return self._engine.add(
            query.sequence.ids,
            self._embedded(query.sequence.clips),
            query.repeats,
            query.seed,
            sampling.engine() if sampling else None,
            tokens,
            stream,
            query.mode,
            reading.automaton() if reading else None,
            query.epsilon,
            query.node_budget,
            query.continuations,
        )

    def _answer(self, event: "_engine.Event", query: Query) -> Answer:
        text, ids, stop = self.prompter.decode(event.token_ids), tuple(event.token_ids), cast(Any, event.stop)
        answer = Answer(text, ids, event.logprob, stop, event.repeat, query.tag)
        if event.stop != "exact":
            return answer
        yes, no, neither, undecided = event.masses
        if query.reading:
            return replace(answer, distribution=Distribution(yes, no, neither, undecided, event.nodes))
        probability: dict[str, float] = defaultdict(float)
        for tokens, part in event.answers:
            probability[self.prompter.decode(tokens)] += part
        ordered = sorted(probability.items(), key=lambda item: (-item[1], item[0]))
        return replace(answer, likely=Likely(tuple(ordered), undecided, event.nodes))

    def _embedded(self, clips: Iterable[Clip]) -> list[Embedded]:
        return [(bytes.fromhex(clip.hash), self._embeddings.of(clip)) for clip in clips]


def _clips(audio: Audio | Sequence[Audio] | None) -> list[Clip]:
    if audio is None:
        return []
    if isinstance(audio, Sequence) and not isinstance(audio, str):
        return [clip for item in audio for clip in _clips(item)]
    return [audio if isinstance(audio, Clip) else load_audio(audio)]


def _answers_of(query: Query) -> int:
    return {"sample": query.repeats, "exact": 1, "score": len(query.continuations)}[query.mode]
