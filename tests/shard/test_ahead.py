"""Clips are read ahead of their questions: in order, bounded, errors in their place."""

import threading
from collections.abc import Generator
from typing import cast

import pytest

from ltu.shard.run.ahead import ahead


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_and_no_more_than_two_a_thread_are_ahead(threads: int) -> None:
    taken, begun, most = 0, 0, 0
    lock = threading.Lock()

    def work(item: int) -> int:
        nonlocal begun, most
        with lock:
            begun += 1
            most = max(most, begun - taken)
        return item * item

    results = []
    for result in ahead(work, range(50), threads):
        results.append(result)
        with lock:
            taken += 1
    assert results == [i * i for i in range(50)]
    assert most <= 2 * threads + 1


def test_several_are_worked_on_at_once() -> None:
    together = threading.Barrier(3, timeout=30)
    assert list(ahead(lambda item: (together.wait(), item)[1], range(3), 3)) == [0, 1, 2]


def test_an_error_is_raised_in_its_place() -> None:
    results = ahead(lambda item: 1 // (2 - item), range(4), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_who_stops_reading_ends_what_has_not_begun() -> None:
    begun: list[int] = []
    results = cast(Generator[None], ahead(begun.append, range(1000), 1))
    next(results)
    results.close()
    assert len(begun) <= 3
