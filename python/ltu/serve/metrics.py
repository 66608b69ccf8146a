"""Numbers for Prometheus: OpenTelemetry's names where it has some, ours for the token tree."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ltu.model import Model

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1.0,
    2.5,
)


@dataclass
class Outcome:
    """How a request ended."""

    status: int = 500


class Metrics:
    """What is measured of requests, beside what the engine counts."""

    def __init__(self, model: Model) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Engine(model))
        self.duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "From the request's head to the response's end",
            ["operation", "status"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the request's head to its first token",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.per_token = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Between the tokens of an answer, after the first",
            buckets=TOKEN_SECONDS,
            registry=self._registry,
        )
        self.shared = Counter(
            "ltu_positions_shared", "Positions of prompts that were in the tree", registry=self._registry
        )

    @contextmanager
    def request(self, operation: str) -> Iterator["Outcome"]:
        """Measures what is done inside; the outcome's status is set there."""
        start, outcome = time.perf_counter(), Outcome()
        try:
            yield outcome
        finally:
            seconds = time.perf_counter() - start
            self.duration.labels(operation, str(outcome.status)).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Engine(Collector):
    """The engine's own counts, read between two steps."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def describe(self) -> list[Metric]:
        return []  # so that registering asks nothing

    def collect(self) -> Iterator[Metric]:
        about: dict[str, Any] = self._model.description()
        positions = CounterMetricFamily(
            "ltu_positions", "Positions that the language model computed", labels=["kind"]
        )
        for kind in ("prompt", "answer", "draft"):
            positions.add_metric([kind], about[f"{kind}_positions"])
        yield positions
        for name, key, text in (
            ("ltu_drafts_taken", "taken_drafts", "Drafted tokens that were drawn"),
            ("ltu_answers_given_up", "given_up", "Answers that lost their cells for a time"),
            ("ltu_clips_encoded", "clips", "Clips that went through the audio encoder"),
            ("ltu_steps", "steps", "Steps of the engine"),
        ):
            yield CounterMetricFamily(name, text, value=about[key])
        seconds = CounterMetricFamily("ltu_step_seconds", "Where the engine's time went", labels=["phase"])
        for phase in ("encode", "prompt", "answer"):
            seconds.add_metric([phase], about[f"{phase}_seconds"])
        yield seconds
        cells = GaugeMetricFamily("ltu_kv_cells", "Cells of the KV cache", labels=["state"])
        cells.add_metric(["taken"], about["kv_cells_taken"])
        cells.add_metric(["all"], about["kv_cells"])
        yield cells
