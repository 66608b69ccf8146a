"""The C++ engine. Types in, types out; every array is C-contiguous. Raises the classes of ltu.errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

class Sampling:
    """Hugging Face's processors in their order: penalty, temperature, top-k, top-p."""

    def __init__(
        self, temperature: float, top_k: int, top_p: float, repetition_penalty: float, greedy: bool
    ) -> None: ...

class Reading:
    """One reading of answers as an automaton over their bytes, made as it is used; state 0 is the start.

    rules: (decision, at, first positions); at 0 any, 1 start, 2 end.
    positions: (rule, whether a phrase can end there, the bytes it takes, positions that can follow).
    by_position: the match that begins earlier wins, the order of the rules only between equals.
    decisions: how many there are; the last one is that of an answer that no rule matches.
    same_letters: bytes of letters that are read as another one.
    """

    def __init__(
        self,
        rules: Sequence[tuple[int, int, Sequence[int]]],
        positions: Sequence[tuple[int, bool, bytes, Sequence[int]]],
        by_position: bool,
        decisions: int = 3,
        same_letters: Mapping[bytes, int] = {},
    ) -> None: ...
    def run(self, state: int, text: bytes) -> int: ...
    def decided(self, state: int) -> int:
        """The decision that nothing after this state can change, or -1."""
    def at_end(self, state: int) -> int:
        """The decision of an answer that ends here."""

class Sample:
    """Independent answers. With a reading, one stops as soon as its decision is decided."""

    def __init__(
        self,
        sampling: Sampling,
        repeats: int = 1,
        first_repeat: int = 0,
        stop_when_decided: Reading | None = None,
        stream: bool = False,
        logprobs: int | None = None,
    ) -> None: ...

class Exact:
    """The probability of each decision of the reading (None: of whole answers), up to epsilon undecided or
    node_budget positions."""

    def __init__(
        self,
        sampling: Sampling,
        reading: Reading | None = None,
        epsilon: float = 1e-3,
        node_budget: int = 4096,
    ) -> None: ...

class Score:
    """The log-likelihood of each continuation, one answer for each.

    sampling None: under the model's own distribution. end: of the end behind it, too. by_token: token by
    token as if they had been drawn, for benchmarks.
    """

    def __init__(
        self,
        continuations: Sequence[Sequence[int]],
        sampling: Sampling | None = None,
        end: bool = False,
        by_token: bool = False,
    ) -> None: ...

class Query:
    """ids: token ids, -1 where a whole clip stands; clips: (content hash, (32, width) embeddings) of each.

    Queries of different callers take turns.
    """

    def __init__(
        self,
        ids: Sequence[int],
        clips: Sequence[tuple[bytes, Float32]],
        mode: Sample | Exact | Score,
        seed: int = 0,
        max_new_tokens: int = 400,
        caller: int = 0,
    ) -> None: ...

class Logprobs:
    """Of one token (nats): under the distribution it was drawn from, and under the model's own."""

    drawn: float
    raw: float
    best_drawn: list[tuple[int, float]]
    best_raw: list[tuple[int, float]]

class Event:
    """What one step made: `kind` is "token", "finished" or "failed"."""

    kind: str
    query: int
    repeat: int
    token: int  # "token"
    token_ids: list[int]  # "finished"
    logprob: float  # "token", "finished"
    logprobs: list[Logprobs]  # of the token or of token_ids, where they were asked for
    stop: str  # "finished": "eos", "length", "decided", "given", "exact" or "cancelled"; "failed": why
    masses: list[float]  # of an exact answer: the probability of each decision, then undecided
    nodes: int  # of an exact answer: positions computed
    found: int  # "finished": positions of the prompt that were in the tree already
    answers: list[tuple[list[int], float]]  # of an exact answer without a reading: token ids, probability

class Engine:
    """One model on one device. For one thread (`interrupt` alone is for any); long calls release the GIL."""

    def __init__(
        self,
        path: str | bytes,
        device: str = "auto",
        threads: int = 0,
        kv_memory: int = 0,
        tree: bool = True,
        draft_width: int = 0,
        batch_invariant: bool = False,
        step_answers: int = 0,
        step_prompt_positions: int = 0,
        steps_under_way: int = 0,
    ) -> None:
        """Opens, checks and loads a model file.

        threads 0: physical cores, no more than the container grants. kv_memory: bytes of KV cache, 0: a
        quarter of the memory. step_answers, step_prompt_positions: so many advance in one step;
        steps_under_way 2: the host reads a wide step while the device computes the next; 0: what suits the
        device; no bit depends on them.
        Raises ModelFileError (names the key or tensor), Error for an unknown device.
        """
    def encode(self, features: Float32) -> Float32:
        """(clips, frames, mels) normalised log-mel → (clips, 32, width) audio embeddings."""
    def encode_pooled(self, features: Float32) -> Float32:
        """(clips, frames, mels) → (clips, 32, encoder width): before the division by 50 (for tests)."""
    def add(self, query: Query) -> int:
        """Takes a query and returns its id. Raises PromptError when it can't be answered."""
    def set_token_bytes(self, tokens: Sequence[bytes]) -> None:
        """The text of each token; queries with a reading need it."""
    def step(self) -> list[Event]:
        """Advances every live answer by one token and returns what happened; [] when idle or interrupted.

        A step that fails gives a "failed" event for every query that was live; the next one works.
        """
    def cancel(self, query: int, repeat: int | None = None) -> list[Event]:
        """Ends what is unfinished of a query, or one repeat: "finished" events that stop with "cancelled"."""
    def interrupt(self) -> None:
        """From any thread. A step on the CPU ends early and loses only time; encode and logits raise
        Interrupted."""
    def idle(self) -> bool: ...
    def logits(
        self, ids: Sequence[int], clips: Sequence[tuple[bytes, Float32]], last_only: bool = False
    ) -> Float32:
        """Logits of one sequence, (positions, vocabulary) or (1, vocabulary); audio positions included."""
    def metadata(self) -> dict[str, Any]:
        """All keys of the file but the tokenizer's big arrays."""
    def description(self) -> dict[str, Any]:
        """device, kernels, threads, bytes of weights and KV cache, timings (s), positions."""

def distribution(logits: Float32, history: Sequence[int], sampling: Sampling) -> Float32:
    """(vocabulary,) probabilities that a token is drawn from after the processors."""

def quantize(values: Float32, type: str) -> NDArray[np.uint8]:
    """(rows, columns) → (rows, bytes per row) in a ggml type: f32 f16 bf16 q8_0 q6_k q5_k q4_k q4_0."""

def dequantize(data: NDArray[np.uint8], type: str, columns: int) -> Float32: ...
def tensor_types() -> dict[str, tuple[int, int, int]]:
    """ggml's types: name → (number in GGUF, values in a block, bytes of a block)."""

def weight_types() -> dict[str, tuple[int, str]]:
    """Types of matrices that the engine multiplies with: name → of a file of such, general.file_type and the
    encoding in its name (Q4_K_S)."""

def read_gguf(path: str | bytes) -> tuple[dict[str, Any], list[tuple[str, list[int], str, int]]]:
    """Keys, and (name, ggml shape, type, offset in the file) of each tensor. Raises ModelFileError."""

def tensor_table(keys: dict[str, Any]) -> list[tuple[str, str, list[int], bool, bool]]:
    """(name, name in a checkpoint, ggml shape, whether a matrix, required) of each tensor that a file with
    these keys holds. Raises ModelFileError."""

def architectures() -> dict[str, bool]:
    """Language models by llama.cpp's name → whether its files hold rows of q and k as they are rotated."""

def devices() -> list[str]:
    """What this build and machine can compute on: cpu, cuda:0, …"""

def usable_cores(root: str = "/") -> int:
    """Physical cores that this process may run on, no more than its cgroups grant; the engine's threads by
    default. root: the folder that has proc and sys."""

def processor() -> str:
    """The kernels' instruction set: scalar, avx2, avx512 or avx512vnni (LTU_PROCESSOR forces a lower one).
    Raises Error."""
