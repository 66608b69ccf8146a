"""Odd strings, numbers, arrays and files for each command and public function: an answer, or one line.

`make fuzz-inputs` goes on for an hour. A failure names LTU_FUZZ_SEED and LTU_FUZZ_CASE, which repeat it.
"""

import contextlib
import gzip
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import soundfile

import ltu
from ltu.cli import convert, reformulate, run, shard, train
from ltu.readings import decide
from ltu.shard.run.store import Store
from ltu.shard.spec.labels_csv import read_labels
from ltu.shard.spec.specification import read_spec
from ltu.text_files import read_json, read_text
from tiny import tiny_gguf

CASES = 2500  # the same ones each time; with LTU_FUZZ_SECONDS as many as fit
SECONDS = os.environ.get("LTU_FUZZ_SECONDS")
SEED = os.environ.get("LTU_FUZZ_SEED", "28")
CASE = os.environ.get("LTU_FUZZ_CASE")

TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\ud83d",
        "\udce9",
        "[AUDIO]",
        "[AUDIO] [AUDIO]?",
        "</s>",
        "a\u2028b\u0085c",
        "🐦",
        "é",
        "e\u0301",
    ),
    *(
        "-",
        "--",
        "-1",
        "nan",
        "1e999",
        "a" * 5000,
        "{prompt}",
        "%s",
        "../..",
        "yes\nno",
        "\x1b[31m",
        "'\"",
        "\\",
        ",",
        "a,b",
    ),
)
NUMBERS = (
    -1,
    0,
    1,
    2,
    1.5,
    -0.0,
    1e-38,
    1e38,
    1e308,
    2**31,
    2**63,
    2**64,
    10**30,
    float("nan"),
    float("inf"),
)
OTHERS = (
    None,
    True,
    [],
    [1],
    {},
    {"a": 1},
    (),
    b"",
    b"\xff",
    object(),
    1j,
    np.int64(3),
    np.float32(0.5),
    "text",
    range(3),
)

Case = tuple[str, Callable[[], object]]


class Pool:
    """Files that are good, damaged, foreign or no files at all."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, tiny_gguf(folder / "m.gguf")
        noise = np.random.default_rng(0).normal(0, 0.1, 8000)
        (folder / "clips" / "Dog").mkdir(parents=True)
        for name in ("clips/a.wav", "clips/Dog/b.flac", "clips/._a.wav"):
            soundfile.write(folder / name, noise, 16_000)
        (folder / "clips" / "labels.csv").write_text("file,fold,label,source\na.wav,1,Dog bark,1\n")
        texts = {
            "s.jsonl": '{"kind": "header", "format": 1}\n{"kind": "word"}\n',
            "run.toml": 'name = "x"\n[base]\npath = "m.gguf"\n[data]\nitems = "s.jsonl"\n',
            "openaqa.json": '[{"instruction": "a?", "audio_id": "a", "dataset": "d", "task": ""}]',
            "config.json": '{"model_type": "llama"}',
        }
        for name, text in texts.items():
            (folder / name).write_text(text)
        Store(folder / "r.db", create=True).close()
        self.whole = [p for p in sorted(folder.rglob("*")) if p.is_file()]

    def path(self, random: Random) -> str:
        """A file to read: whole, damaged, or none."""
        kind = random.random()
        if kind < 0.3:
            return str(random.choice(self.whole))
        if kind < 0.8:
            return str(self._damaged(random))
        odd = (
            "/dev/null",
            "/",
            str(self.folder),
            "/proc/self/mem",
            "/none/x",
            "x" * 300,
            "caf\udce9.wav",
            "-",
            "",
        )
        return random.choice(odd)

    def output(self, random: Random) -> str:
        return random.choice(
            (str(self.folder / "out"), "/dev/null", "-", "", str(self.folder), "/none/x", "/proc/x")
        )

    def _damaged(self, random: Random) -> Path:
        source = random.choice(self.whole)
        data = bytearray(source.read_bytes())
        change = random.randrange(6)
        if change == 0:
            data = data[: random.randrange(len(data) + 1)]
        elif change == 1:
            for _ in range(random.randrange(1, 20)):
                data[random.randrange(len(data))] = random.randrange(256)
        elif change == 2:
            data = bytearray(gzip.compress(bytes(data[:100_000])))
        elif change == 3:
            data = bytearray(
                data[:1000].decode("latin-1").encode(random.choice(("utf-16", "utf-8-sig", "utf-32")))
            )
        elif change == 4:
            data = bytearray(
                random.choice((b"", b"[" * 50_000, b"<!doctype html>", b"\xe9,\xe9\n", b'{"a": "\\ud800"}'))
            )
        else:
            data += data[: random.randrange(len(data) + 1)]
        path = self.folder / f"damaged{random.choice((source.suffix, '.bin', '.wav', ''))}"
        path.write_bytes(data)
        return path


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def model(pool: Pool) -> Iterator[ltu.Model]:
    with ltu.load(pool.model, device="cpu", threads=1) as model:
        yield model


def options(random: Random, known: dict[str, Callable[[], object]]) -> list[str]:
    """Some of the options, now and then without a value."""
    line = []
    for name in random.sample(sorted(known), random.randrange(len(known) + 1)):
        value = str(known[name]()).replace("\0", " ")
        line += (
            [name]
            if random.random() < 0.05
            else [f"{name}={value}"]
            if random.random() < 0.3
            else [name, value]
        )
    return line


def command(random: Random, pool: Pool) -> Case:
    text, number = (lambda: random.choice(TEXTS)), (lambda: random.choice(NUMBERS))
    path, out = (lambda: pool.path(random)), (lambda: pool.output(random))
    small = lambda: random.choice((number(), 1, 2))  # noqa: E731
    sampling = {"--temperature": number, "--top-k": number, "--top-p": number, "--repetition-penalty": number}
    asked = {
        "--audio": path,
        "--prompt": text,
        "--seed": number,
        "--channel": number,
        "--format": text,
        "--repeats": small,
    }
    machine = {
        "--kv-memory": text,
        "--device": text,
        "--threads": lambda: random.choice((-1, 0, 1, 2, 10**9)),
    }
    choices: dict[str, tuple[Any, list[str], dict[str, Callable[[], object]]]] = {
        "ltu-run": (
            run,
            ["--gguf", random.choice((str(pool.model), path())), "--max-new-tokens", "2"],
            asked | sampling | machine,
        ),
        "ltu-convert": (
            convert,
            [],
            {
                "--base": path,
                "--ltu": path,
                "--checkpoint": path,
                "--gguf": path,
                "--outtype": text,
                "--output": out,
            },
        ),
        "ltu-convert inspect": (convert, ["inspect", path()], {"--device": text}),
        "ltu-train": (train, [path()], {"--gguf": out}),
        "ltu-reformulate": (
            reformulate,
            [path(), random.choice(("--offline", "--dry-run", "--prepended"))],
            {"--output": out, "--subset": number, "--seed": number, "--datasets": text, "--report": out},
        ),
        "ltu-shard build": (
            shard,
            ["build"],
            {
                "--clips": lambda: random.choice((path(), str(pool.folder / "clips"))),
                **{
                    "--out": out,
                    "--preset": lambda: random.choice(("esc10", "esc50", text())),
                    "--folds": text,
                },
                **{
                    "--audioset": path,
                    "--reviewed": path,
                    "--table": path,
                    "--per-word": number,
                    "--seed": number,
                },
            },
        ),
        "ltu-shard run": (
            shard,
            ["run", "--spec", path(), "--out", out()],
            {"--gguf": path, "--repeats": number, "--tasks": text},
        ),
        "ltu-shard harness": (shard, ["harness", path()], {"--out": out, "--clips": path}),
        "ltu-shard export": (shard, ["export", path()], {"--out": out, "--run": number}),
        "ltu-shard calibrate": (shard, ["calibrate", path()], {"--gguf": path, "--run": number}),
    }
    for reader in ("validate", "list", "report"):
        choices[f"ltu-shard {reader}"] = (
            shard,
            [reader, path()],
            {"--run": number} if reader == "report" else {},
        )
    name = random.choice(sorted(choices))
    module, fixed, known = choices[name]
    arguments = [*fixed, *options(random, known)]
    return f"{name.split()[0]} {arguments}", lambda: typed(module.app, arguments)


def typed(app: Callable[..., None], arguments: list[str]) -> None:
    """Runs a command as its installed script does, and looks at what it leaves."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace") for _ in range(2))
    code: object = None
    stdin, show = sys.stdin, warnings.showwarning
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.stdin = io.StringIO()
        try:
            app(arguments, prog_name="ltu")
        except SystemExit as end:
            code = end.code
        finally:
            sys.stdin, warnings.showwarning = stdin, show
    err.seek(0)
    said = err.read().splitlines()
    assert code in (0, 1, 2), f"exit code {code!r}"
    errors = [line for line in said if line.startswith("error: ")]
    assert len(errors) == (code != 0), said
    assert not errors or (len(errors[0]) < 6000 and not errors[0].startswith("error: unexpected")), errors
    assert not any("Traceback" in line for line in said), said


def function(random: Random, pool: Pool, model: ltu.Model) -> Case:
    def odd() -> Any:
        return random.choice((random.choice(TEXTS), random.choice(NUMBERS), random.choice(OTHERS)))

    def array() -> Any:
        shape = random.choice(((0,), (400,), (2, 800), (800, 2), (3, 3, 3), ()))
        kind = random.choice(
            (np.float64, np.float32, np.int16, np.int64, np.uint8, np.bool_, np.complex64, object)
        )
        values = np.full(shape, random.choice((0, 1, 2, np.nan, 1e30)) if kind is not object else None)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return values.astype(kind)

    audio = random.choice(
        (odd(), array(), pool.path(random), (array(), odd()), {"array": array(), "sampling_rate": odd()})
    )
    fields = {
        name: odd() for name in random.sample(("temperature", "top_k", "top_p", "repetition_penalty"), 2)
    }
    sizes = {"repeats": random.choice((odd(), 2)), "seed": odd(), "format": odd()}
    prompt, sound = random.choice((odd(), "[AUDIO]?", "yes")), random.choice((None, audio))
    chosen = random.choice(
        (
            ("load_audio", lambda: ltu.load_audio(audio, *random.choice(((), (odd(),), (16_000, odd()))))),
            ("Sampling", lambda: ltu.Sampling(**fields)),
            ("generate", lambda: model.generate(prompt, sound, max_new_tokens=2, **fields)),
            ("query", lambda: model.query(prompt, sound, max_new_tokens=odd(), **sizes)),
            ("query mode", lambda: model.query("yes", mode=random.choice((odd(), "exact")), epsilon=odd())),
            ("generate_ids", lambda: model.generate_ids(odd(), max_new_tokens=1)),
            ("score", lambda: model.score(prompt, random.choice((odd(), [odd()])))),
            (
                "answer_distribution",
                lambda: model.answer_distribution("yes", term=odd(), reading=odd(), node_budget=4),
            ),
            (
                "decide",
                lambda: decide(
                    random.choice(TEXTS), random.choice(TEXTS), random.choice((*TEXTS, "careful"))
                ),
            ),
            (
                "load",
                lambda: ltu.load(
                    pool.path(random) or "/", device="cpu", threads=odd() if random.random() < 0.2 else 1
                ),
            ),
            ("read_spec", lambda: read_spec(Path(pool.path(random)))),
            ("read_labels", lambda: read_labels(pool.folder, name=pool.path(random))),
            ("read_text", lambda: read_text(pool.path(random))),
            ("read_json", lambda: read_json(pool.path(random))),
        )
    )

    def called() -> None:
        # OSError: the system's own words, with the name of the file
        with contextlib.suppress(ltu.Error, OSError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen[1]()

    return f"{chosen[0]}: {prompt!r:.80} {sound!r:.80} {audio!r:.80} {fields} {sizes}", called


def test_odd_inputs_get_an_answer_or_one_line(
    pool: Pool, model: ltu.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some of the names are no paths but "-" and the like
    end = time.monotonic() + float(SECONDS or 0)
    first = number = int(CASE or 0)
    while number == first or (time.monotonic() < end if SECONDS else not CASE and number < CASES):
        random = Random(f"{SEED} {number}")
        name, work = command(random, pool) if number % 2 else function(random, pool, model)
        try:
            work()
        except Exception as error:
            pytest.fail(
                f"LTU_FUZZ_SEED={SEED} LTU_FUZZ_CASE={number}: {name}: {type(error).__name__}: {error}"
            )
        number += 1
    print(f"{number} cases of seed {SEED}")
