"""Commands of the pages, run as they are shown, each after the other in one folder that holds what they name.

Those on a tiny model run here; `make docs-commands` adds the demo model's. The others need a checkpoint of
LTU's size, training, a card or somebody's key, and are only parsed (tests/test_docs.py).
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from test_docs import ROOT, SHOWN
from tiny import tiny_gguf

CLIPS = ROOT / "python" / "ltu" / "assets" / "clips"
LABELS = {
    "4-125929-A": "Helicopter",
    "4-156843-A": "Person sneeze",
    "4-160999-A": "Rain",
    "4-164859-A": "Rooster",
    "4-175945-A": "Clock tick",
    "4-183992-A": "Dog bark",
}
ON_A_TINY_MODEL = [
    "ltu-convert --gguf m.gguf --outtype q8_0 --output n.gguf",
    "ltu-convert inspect m.gguf --self-test",
    "ltu-convert --gguf m.gguf --llama-only --output l.gguf",
    "ltu-shard build --preset esc10 --clips FOLDER --folds 4 --out S.jsonl",
    "ltu-shard run --gguf m.gguf --spec S.jsonl --out results.db --controls",
    "ltu-shard list results.db",
    "ltu-shard report results.db",
    "ltu-shard report results.db --json",
    "ltu-shard export results.db --out FOLDER",
    "ltu-shard harness S.jsonl --out tasks",
    "ltu-reformulate openaqa.json --output o.jsonl --offline --report o.html",
]
ON_THE_DEMO_MODEL = [
    "ltu-run --version",
    'ltu-run --audio bird.wav --prompt "Is [AUDIO] a type of bird?"',
    'ltu-run --audio hour.flac --prompt "Is [AUDIO] a type of bird?" --windows',
    "ltu-run --audio python/ltu/assets/clips/4-183992-A.ogg "
    '--prompt "Is [AUDIO] a type of animal?" --repeats 2',
    "ltu-run --audio python/ltu/assets/clips/4-164859-A.ogg "
    '--prompt "Can you list the labels based on [AUDIO] ?"',
    "ltu-convert --gguf demo.gguf --outtype q4_k --output demo-q4_k.gguf",
    "ltu-convert inspect demo-q4_k.gguf --self-test",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m.gguf, FOLDER of clips with labels.csv, recordings and items under the names that the pages use."""
    folder = tmp_path_factory.mktemp("pages")
    tiny_gguf(folder / "m.gguf", context=1024)
    clips = folder / "FOLDER"
    clips.mkdir()
    rows = ["file,fold,label,source"]
    for name, label in LABELS.items():
        shutil.copy(CLIPS / f"{name}.ogg", clips)
        rows.append(f"{name}.ogg,4,{label},{name}")
    (clips / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "python").symlink_to(ROOT / "python")
    samples, rate = soundfile.read(CLIPS / "4-164859-A.ogg")
    soundfile.write(folder / "bird.wav", samples, rate)
    soundfile.write(folder / "hour.flac", np.tile(samples, 5), rate)
    item = {"instruction": "What is it?", "input": "", "output": "A dog.", "dataset": "as_strong_train"}
    rows_of = [{**item, "audio_id": f"{n}.flac", "task": "open-ended question"} for n in range(4)]
    (folder / "openaqa.json").write_text(json.dumps(rows_of))
    return folder


def run(command: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    main = f"from ltu.cli.{program.removeprefix('ltu-')} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", main, *arguments], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", ON_A_TINY_MODEL + ON_THE_DEMO_MODEL)
def test_a_page_shows_it(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert (program, arguments) in [(shown, list(args)) for _, shown, args in SHOWN]


@pytest.mark.parametrize("command", ON_A_TINY_MODEL)
def test_it_runs(command: str, folder: Path) -> None:
    run(command, folder)


@pytest.mark.skipif(not os.environ.get("LTU_DOCS_COMMANDS"), reason="make docs-commands")
@pytest.mark.parametrize("command", ON_THE_DEMO_MODEL)
def test_it_runs_on_the_demo_model(command: str, folder: Path) -> None:
    from ltu.demo_model import demo_model_path

    if not (folder / "demo.gguf").exists():
        (folder / "demo.gguf").symlink_to(demo_model_path())
    run(command, folder)
