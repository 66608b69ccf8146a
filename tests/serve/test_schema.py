"""What schemathesis makes of the server's own description, good and bad, never breaks it.

As a program, with the number of cases for each operation: the long run.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("schemathesis")
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks as openapi

import ltu
from ltu.serve.app import create_app
from ltu.serve.limits import Limits

KEY_HEADER = {"Authorization": "Bearer none"}


def run(model: ltu.Model, cases: int) -> int:
    """Sends so many cases to each operation and returns how many there were. Raises what a check finds."""
    app = create_app(model, "tiny", limits=Limits(tokens=4, choices=4, nodes=64 * 4))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    count = 0
    checks: Any = [
        schemathesis.checks.not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_schema_conformance,
        openapi.negative_data_rejection,
    ]
    for operation in (result.ok() for result in schema.get_all_operations()):

        @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @schemathesis_given(operation)
        def sent(case: Any) -> None:
            nonlocal count
            count += 1
            if isinstance(case.body, dict) and isinstance(case.body.get("model"), str) and count % 2:
                case.body["model"] = "tiny"  # half of them shall get further
            case.call_and_validate(checks=checks, headers=KEY_HEADER)

        sent()
    return count


def schemathesis_given(operation: Any) -> Any:
    from hypothesis import given
    from hypothesis import strategies as st
    from schemathesis.generation import GenerationMode

    return given(
        case=st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
            if operation.body or operation.path_parameters
            else st.nothing(),
        )
    )


def test_generated_requests_are_answered_or_refused_as_described(model: ltu.Model) -> None:
    assert run(model, 5) > 15


if __name__ == "__main__":
    with ltu.load(Path(sys.argv[2]) if len(sys.argv) > 2 else None, device="cpu") as loaded:
        print(run(loaded, int(sys.argv[1])), "cases, no failure")
