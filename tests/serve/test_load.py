"""A short run of bench/serve.py: clients that are slow, broken or gone disturb nobody."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from serve import Load, questions


def test_no_answer_is_wrong_or_lost_among_many_clients(server: str) -> None:
    async def run() -> None:
        load = Load(server, questions("tiny")[::5])
        await load.learn()
        outcome = await load.run(clients=10, requests=8)
        assert (outcome.wrong, outcome.lost) == ([], [])
        assert outcome.answered > 40
        assert outcome.refused + outcome.left > 0

    asyncio.run(run())
