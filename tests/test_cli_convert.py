"""The command: its output, its one-line errors and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import gguf
import pytest

from tiny import tiny_gguf

COMMAND = [sys.executable, "-c", "from ltu.cli.convert import main; main()"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf", outtype="f16")


def test_a_file_becomes_another_type_and_says_what_fell_back(tiny: Path, tmp_path: Path) -> None:
    done = run("--gguf", tiny, "--outtype", "q4_k", "--output", tmp_path / "n.gguf")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "n.gguf") in done.stdout
    assert "note: blk.*.ffn_down.weight: q8_0 instead of q4_k, its rows hold 96 values" in done.stderr
    shown = run("inspect", tmp_path / "n.gguf")
    assert shown.returncode == 0, shown.stderr
    for text in ("q8_0: 16 tensors", "blk.*.ffn_down.weight: q8_0 instead of q4_k", "ltu.prompt.template"):
        assert text in shown.stdout


def test_inspect_tests_a_file_against_its_own_values(tiny: Path) -> None:
    done = run("inspect", tiny, "--self-test", "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["self_test"]["passed"] is True
    assert shown["self_test"]["device"] == "cpu"
    assert shown["types"]["f16"]["tensors"] > 0
    assert shown["keys"]["ltu.prompt.bos"] is True


def test_the_llama_part_is_a_llama_file(tiny: Path, tmp_path: Path) -> None:
    done = run("--gguf", tiny, "--llama-only", "--output", tmp_path / "l.gguf")
    assert done.returncode == 0, done.stderr
    whole, llama = gguf.GGUFReader(tiny), gguf.GGUFReader(tmp_path / "l.gguf")
    assert llama.get_field("general.architecture").contents() == "llama"
    assert not [key for key in llama.fields if key.startswith(("ltu.", "clip.", "tokenizer.huggingface"))]
    parts = {t.name: bytes(t.data) for t in whole.tensors if not t.name.startswith(("a.", "mm."))}
    assert {tensor.name: bytes(tensor.data) for tensor in llama.tensors} == parts
    again = run("--base", tiny, "--checkpoint", tmp_path, "--output", tmp_path / "m.gguf")
    assert again.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --base"),
        (("--gguf", "m.gguf"), "--output"),
        (("--base", "llama", "--output", "m.gguf"), "a LLaMA alone can't hear: add either --ltu FILE"),
        (("--base", "x", "--ltu", "y", "--checkpoint", "z", "--output", "m.gguf"), "--checkpoint"),
        (("--gguf", "x", "--ltu", "y", "--output", "m.gguf"), "--gguf"),
        (("--gguf", "x", "--outtype", "q9", "--output", "m.gguf"), "q9"),
        (("inspect",), "FILE"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_failures_are_1_with_one_line(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model")
    (tmp_path / "empty").mkdir()
    output = ("--output", tmp_path / "m.gguf")
    for arguments, message in (
        (("inspect", tmp_path / "none.gguf"), "none.gguf: No such file"),
        (("inspect", tmp_path / "text.gguf"), "text.gguf: is no GGUF file"),
        (("--gguf", tmp_path / "text.gguf", *output), "text.gguf: is no GGUF file"),
        (("--gguf", tiny, "--output", tmp_path / "no" / "m.gguf"), "no: there is no such folder"),
        (("--base", tmp_path / "empty", "--ltu", tiny, *output), "tiny.gguf: is a GGUF file; give a file of"),
        (("--base", tmp_path / "empty", "--checkpoint", tmp_path, *output), "ltu.json: is missing; give"),
    ):
        done = run(*arguments)
        assert done.returncode == 1, arguments
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
