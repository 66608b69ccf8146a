"""The C++ engine. Types in, types out; every array is C-contiguous. Raises the classes of ltu.errors."""

from collections.abc import Sequence
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

    rules: (outcome, at, first positions); outcome 0 yes, 1 no, 2 neither; at 0 any, 1 start, 2 end.
    positions: (rule, whether a phrase can end there, the bytes it takes, positions that can follow).
    by_position: the match that begins earlier wins, the order of the rules only between equals.
    """

    def __init__(
        self,
        rules: Sequence[tuple[int, int, Sequence[int]]],
        positions: Sequence[tuple[int, bool, bytes, Sequence[int]]],
        by_position: bool,
    ) -> None: ...
    def run(self, state: int, text: bytes) -> int: ...
    def decided(self, state: int) -> int:
        """The outcome that nothing after this state can change, or -1."""
    def at_end(self, state: int) -> int:
        """The outcome of an answer that ends here."""

class Event:
    """What one step made: `kind` is "token" or "finished"."""

    kind: str
    query: int
    repeat: int
    token: int  # "token"
    token_ids: list[int]  # "finished"
    logprob: float  # "finished"
    stop: str  # "finished": "eos", "length", "decided", "given", "exact" or "cancelled"
    masses: list[float]  # of an exact answer: P(yes), P(no), P(neither), undecided
    nodes: int  # of an exact answer: positions computed
    answers: list[tuple[list[int], float]]  # of an exact answer without a reading: token ids, probability

class Engine:
    """One model on one device. Not thread-safe; long calls release the GIL."""

    def __init__(
        self,
        path: str,
        device: str = "auto",
        threads: int = 0,
        kv_memory: int = 0,
        tree: bool = True,
        draft_width: int = 0,
        batch_invariant: bool = False,
    ) -> None:
        """Opens, checks and loads a model file.

        threads 0: physical cores. kv_memory: bytes of KV cache, 0: a quarter of the memory.
        Raises ModelFileError (names the key or tensor), Error for an unknown device.
        """
    def encode(self, features: Float32) -> Float32:
        """(clips, frames, mels) normalised log-mel → (clips, 32, width) audio embeddings."""
    def encode_pooled(self, features: Float32) -> Float32:
        """(clips, frames, mels) → (clips, 32, encoder width): before the division by 50 (for tests)."""
    def add(
        self,
        ids: Sequence[int],
        clips: Sequence[tuple[bytes, Float32]],
        repeats: int,
        seed: int,
        sampling: Sampling | None,
        max_new_tokens: int,
        stream: bool = False,
        mode: str = "sample",
        reading: Reading | None = None,
        epsilon: float = 1e-3,
        node_budget: int = 4096,
        continuations: Sequence[Sequence[int]] = (),
    ) -> int:
        """Takes a query and returns its id.

        ids: token ids, -1 where a whole clip stands, in the clips' order.
        clips: (content hash, (32, width) embeddings) for each -1.
        stream: "token" events too.
        mode "sample": with a reading, an answer stops as soon as its outcome is decided. "exact": the
        probability of each outcome of the reading, up to epsilon undecided or node_budget positions. "score":
        the log-likelihood of each continuation, one "finished" event each; sampling None: under the model's
        own distribution. "forced": the same, token by token as if they had been drawn, for benchmarks.
        Raises PromptError when it is longer than the context.
        """
    def set_token_bytes(self, tokens: Sequence[bytes]) -> None:
        """The text of each token; queries with a reading need it."""
    def wants_queries(self) -> bool:
        """Whether another query would start at once rather than wait."""
    def step(self) -> list[Event]:
        """Advances every live answer by one token and returns what happened; [] when idle."""
    def cancel(self, query: int) -> None: ...
    def idle(self) -> bool: ...
    def logits(
        self, ids: Sequence[int], clips: Sequence[tuple[bytes, Float32]], last_only: bool = False
    ) -> Float32:
        """Logits of one sequence, (positions, vocabulary) or (1, vocabulary); audio positions included."""
    def metadata(self) -> dict[str, Any]:
        """All keys of the file but the tokenizer's big arrays."""
    def forget_key(self, key: str) -> None:
        """Gives the key's memory back; `metadata` has it no more."""
    def description(self) -> dict[str, Any]:
        """device, kernels, threads, bytes of weights and KV cache, timings (s), positions."""

def distribution(logits: Float32, history: Sequence[int], sampling: Sampling) -> Float32:
    """(vocabulary,) probabilities that a token is drawn from after the processors."""

def quantize(values: Float32, type: str) -> NDArray[np.uint8]:
    """(rows, columns) → (rows, bytes per row) in a ggml type: f32 f16 bf16 q8_0 q6_k q5_k q4_k q4_0."""

def dequantize(data: NDArray[np.uint8], type: str, columns: int) -> Float32: ...
def tensor_table(keys: dict[str, Any]) -> list[tuple[str, list[int], bool]]:
    """(name, ggml shape, required) of each tensor that a file with these keys holds."""

def processor() -> str:
    """The kernels' instruction set: scalar, avx2, avx512 or avx512vnni (LTU_PROCESSOR forces a lower one)."""
