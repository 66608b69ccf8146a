"""Whether the engine lives, and computes what its file says that it computes."""

import asyncio
import time

import anyio
import numpy as np

from ltu.errors import Error
from ltu.model import Model

PATIENCE = 2.0  # seconds that /health waits for a step to end


class Pulse:
    """Asks the engine's thread for a word between two steps, one question at a time."""

    def __init__(self, model: Model, stalled: float) -> None:
        self._model, self._stalled = model, stalled
        self._asked: asyncio.Task[None] | None = None
        self._since = 0.0
        self._wrong: str | None = None
        self.self_test = "no values in the file"

    async def start(self) -> None:
        """The self-test, where the file has values for one."""
        if self._model.info.get("ltu.check.logit_tolerance"):
            self._wrong = await anyio.to_thread.run_sync(self._deviation)
            self.self_test = self._wrong or "passed"

    async def problem(self) -> str | None:
        """What is wrong with the engine, None: nothing."""
        if self._wrong:
            return self._wrong
        if self._asked is None or self._asked.done():
            self._since = time.monotonic()
            self._asked = asyncio.create_task(anyio.to_thread.run_sync(self._model.description))  # type: ignore[arg-type]
        try:
            await asyncio.wait_for(asyncio.shield(self._asked), PATIENCE)
        except Error as error:
            return str(error)
        except asyncio.TimeoutError:  # until Python 3.10 not the built-in one
            seconds = time.monotonic() - self._since
            if seconds > self._stalled:
                return f"the engine has been in one step for {seconds:.0f} s"
        return None

    def _deviation(self) -> str | None:
        from ltu.convert.check import synthetic_clip

        info, clip = self._model.info, synthetic_clip()
        ids = [clip if id < 0 else id for id in info["ltu.check.prompt_ids"]]
        logits = self._model.logits(ids)[-1][info["ltu.check.logit_ids"]]
        error = float(np.abs(logits - np.asarray(info["ltu.check.logits"], np.float32)).max())
        if error <= info["ltu.check.logit_tolerance"]:
            return None
        return f"the self-test fails: logits differ by {error:.3g} from those in the file; convert it again"
