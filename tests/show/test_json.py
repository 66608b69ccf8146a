"""Numbers in JSON."""

import json

import numpy as np
import pytest

from ltu.show.json import as_written


@pytest.mark.parametrize("value", [0.1, 0.95, 1.1, 500.0, 1e-5, 0.0, -2.5, 3e-39, 16777216.0])
def test_a_float32_is_written_as_it_was_meant(value: float) -> None:
    leaked = float(np.float32(value))
    assert np.float32(as_written(leaked)) == np.float32(value)
    assert json.dumps(as_written({"x": [leaked]})) == json.dumps({"x": [value]})


def test_a_double_keeps_all_of_its_digits() -> None:
    doubles = np.random.default_rng(0).standard_normal(1000).tolist()
    assert as_written(doubles) == doubles
    halves = [511 / 512, 509 / 512, 2.0**-50]  # float32, too, but meant to the last digit
    assert as_written(halves) == halves
    assert as_written((1 / 3, None, True, 7, "0.1")) == [1 / 3, None, True, 7, "0.1"]
