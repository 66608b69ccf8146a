"""What `--json` prints of each command, for the programs that read it: the same keys with the same types."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forms import assert_form
from ltu.show.json import as_written
from tiny import tiny_gguf

WORDS = Path(__file__).parents[1] / "python/ltu/assets/shard/esc10.jsonl"
FOLDERS = ("bark", "crowing")  # of words that have recordings
QUESTION = {
    "instruction": "Which of these is heard?",
    "input": "",
    "audio_id": "clips/1.flac",
    "dataset": "as_20k",
    "task": "cla_label",
    "output": "Labels: Dog; Bark",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, recordings, words of theirs, a question of OpenAQA's; what commands make of them."""
    made = tmp_path_factory.mktemp("json")
    tiny_gguf(made / "m.gguf", words=("yes", "no", "Yes", "No"))
    for n, word in enumerate(FOLDERS):
        (made / "clips" / word).mkdir(parents=True)
        noise = np.random.default_rng(n).normal(0, 0.1, 8_000)
        soundfile.write(made / "clips" / word / "1.wav", noise, 16_000)
    rows = WORDS.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [row for row in rows if json.loads(row)["word"] in FOLDERS]
    (made / "words.jsonl").write_text("".join(kept), encoding="utf-8")
    (made / "openaqa.json").write_text(json.dumps([QUESTION]))
    return made


def printed(folder: Path, command: str) -> Any:
    """The document of a command that is run there."""
    arguments = [sys.executable, "-m", "ltu", *command.split(), "--json"]
    done = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("form", "command"),  # in this order: each leaves files for those below
    [
        (
            "run",
            "run --gguf m.gguf --audio clips/bark/1.wav --prompt [AUDIO]? --repeats 2 --max-new-tokens 3",
        ),
        (
            "run-exact",
            "run --gguf m.gguf --audio clips/bark/1.wav --prompt [AUDIO]? --exact --term dog --top-k 9",
        ),
        ("convert-inspect", "convert inspect m.gguf --self-test"),
        ("shard-build", "shard build --clips clips --table words.jsonl --per-word 1 --out s.jsonl"),
        ("shard-build", "shard validate s.jsonl"),
        ("shard-list-words", "shard list s.jsonl"),
        ("shard-harness", "shard harness s.jsonl --out tasks"),
        ("shard-run", "shard run --gguf m.gguf --spec s.jsonl --out r.db --max-new-tokens 3"),
        ("shard-validate-results", "shard validate r.db"),
        ("shard-list-runs", "shard list r.db"),
        ("shard-export", "shard export r.db --out logs"),
        ("shard-run", "shard run --gguf m.gguf --spec s.jsonl --out c.db --max-new-tokens 3 --scores"),
        ("shard-calibrate", "shard calibrate c.db --gguf m.gguf"),
        ("shard-report-table2", "shard report --table2"),
        ("reformulate-dry-run", "reformulate openaqa.json --dry-run"),
        ("reformulate", "reformulate openaqa.json --offline --output out.jsonl"),
    ],
)
def test_documents_keep_their_form(folder: Path, form: str, command: str) -> None:
    document = printed(folder, command)
    assert_form(form, document)
    assert as_written(document) == document  # .1, not .10000000149011612
