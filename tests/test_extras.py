"""The base install needs nothing that an extra brings; what is missing is named with its extra."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ltu.errors import Error, needs
from tiny import tiny_gguf

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    """What is imported of each."""
    found = {re.split(r"[^\w-]", requirement)[0].replace("-", "_") for requirement in requirements}
    return found - {"ltu_engine"}


EXTRAS = set().union(*map(names, PROJECT["optional-dependencies"].values())) - names(PROJECT["dependencies"])


def without(packages: set[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m ltu …` where these can't be imported."""
    line = f"import sys; sys.modules.update(dict.fromkeys({packages})); from ltu.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", line, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def test_the_base_install_converts_and_answers(tmp_path: Path) -> None:
    model = tiny_gguf(tmp_path / "tiny.gguf", outtype="f32")
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    other = tmp_path / "other.gguf"
    for arguments in (
        ["convert", "--gguf", model, "--outtype", "q8_0", "--output", other],
        ["run", "--gguf", other, "--audio", tmp_path / "noise.wav", "--prompt", "Is [AUDIO] a bird?"],
        ["reformulate", "--help"],
        ["shard", "report", "--table2"],
    ):
        done = without(EXTRAS, *arguments)
        assert done.returncode == 0, done.stderr


def test_training_without_its_extra_is_one_line(tmp_path: Path) -> None:
    done = without({"torch", "transformers"}, "train", tmp_path / "run.toml")
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: the package (torch|transformers) is missing: pip install 'ltu-engine\[train\]'\n",
        done.stderr,
    )


def test_a_module_of_ours_that_is_missing_is_no_extra() -> None:
    with pytest.raises(ModuleNotFoundError), needs("train"):
        import ltu.nothing  # noqa: F401
    with (
        pytest.raises(Error, match=r"the package nothing_such is missing: .*'ltu-engine\[shard\]'"),
        needs("shard"),
    ):
        import nothing_such  # noqa: F401
