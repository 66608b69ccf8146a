"""The top of a model card, as huggingface_hub reads it."""

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id

import ltu
from ltu.training.config import Config, Source, read_config
from ltu.training.run.metadata import LICENSES, front_matter

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


def read(text: str) -> ModelCard:
    card = ModelCard(text, ignore_metadata_errors=False)
    assert card.data.license in LICENSES
    for name in filter(None, (card.data.base_model, *(card.data.datasets or ()))):
        validate_repo_id(name)
        assert "/" in name
    return card


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_hub_reads_the_card_of_every_configuration(path: Path) -> None:
    config = read_config(path)
    card = read(front_matter(config) + "\n# Name\n")
    assert card.text.strip() == "# Name"
    assert config.base.source.url.endswith(str(card.data.base_model))


def with_sources(config: Config, license: str, url: str) -> Config:
    base = replace(config.base, source=Source("A base: 7B #1", "MIT", url))
    return replace(config, license=license, base=base)


def test_what_the_hub_does_not_know_stays_out() -> None:
    config = read_config(CONFIGS / "demo.toml")
    card = read(
        front_matter(with_sources(config, "My own: terms!", "https://example.org/a/b")) + "\n# Name\n"
    )
    assert (card.data.license, card.data.license_name) == ("other", "my-own-terms")
    assert card.data.base_model is None
    assert card.data.datasets is None


def test_the_demo_models_card_is_one_of_the_hubs() -> None:
    card = read((Path(ltu.__file__).parent / "assets" / "demo" / "MODEL_CARD.md").read_text())
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert card.data.library_name == "ltu-engine"
