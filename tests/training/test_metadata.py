"""The top of a model card, as huggingface_hub reads it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id

import ltu
from ltu.training.config import Config, Source, read_config
from ltu.training.run.metadata import LICENSES, front_matter

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


def read(text: str) -> tuple[dict[str, Any], str]:
    """The card's fields, and the text below them."""
    card = ModelCard(text, ignore_metadata_errors=False)
    fields = card.data.to_dict()
    assert fields["license"] in LICENSES
    for name in filter(None, (fields.get("base_model"), *(fields.get("datasets") or ()))):
        validate_repo_id(name)
        assert "/" in name
    return fields, card.text


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_hub_reads_the_card_of_every_configuration(path: Path) -> None:
    config = read_config(path)
    fields, text = read(front_matter(config) + "\n# Name\n")
    assert text.strip() == "# Name"
    assert config.base.source.url.endswith(fields["base_model"])


def with_sources(config: Config, license: str, url: str) -> Config:
    base = replace(config.base, source=Source("A base: 7B #1", "MIT", url))
    return replace(config, license=license, base=base)


def test_what_the_hub_does_not_know_stays_out() -> None:
    config = read_config(CONFIGS / "demo.toml")
    fields, _ = read(
        front_matter(with_sources(config, "My own: terms!", "https://example.org/a/b")) + "\n# Name\n"
    )
    assert (fields["license"], fields["license_name"]) == ("other", "my-own-terms")
    assert "base_model" not in fields
    assert "datasets" not in fields


def test_the_demo_models_card_is_one_of_the_hubs() -> None:
    fields, _ = read((Path(ltu.__file__).parent / "assets" / "demo" / "MODEL_CARD.md").read_text())
    assert fields["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert fields["library_name"] == "ltu-engine"
