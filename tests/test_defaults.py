"""LTU's settings are those that its own code was run with for the golden data."""

import json
from dataclasses import asdict
from pathlib import Path

from ltu import defaults

GOLDEN = json.loads((Path(__file__).parent / "golden" / "golden.json").read_text(encoding="utf-8"))


def test_sampling_is_that_of_the_original_code() -> None:
    assert asdict(defaults.SAMPLING) == GOLDEN["sampling"][0]["params"]


def test_the_template_is_that_of_the_original_code() -> None:
    text = GOLDEN["prompts"][0]["text"]
    assert defaults.TEMPLATE.format(prompt="Is [AUDIO] a type of bird?") == text
